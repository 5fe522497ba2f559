import { Config, Context, Duration, Effect, Layer, Schema } from "effect"

/** What an operator may want otherwise. */
export interface Settings {
  /** How long one attempt at a turn may think, all its model calls together. */
  readonly turnTimeout: Duration.Duration
  /** How long running turns get to end when the service shuts down. */
  readonly shutdownGrace: Duration.Duration
  /** How many messages of a conversation the model is shown, the new one included. */
  readonly historyMessages: number
  /** How many tokens they may be, estimated from above. */
  readonly historyTokens: number
  /** How many turns a user may begin in a minute; `null` for no limit. */
  readonly turnsPerMinute: number | null
  /** How many turns of a user may run at once; `null` for no limit. */
  readonly turnsAtOnce: number | null
  /** How many conversations a user may have; `null` for no limit. */
  readonly maxConversations: number | null
  /** How many tasks a user may have; `null` for no limit. */
  readonly maxTasks: number | null
}

export const defaultSettings: Settings = {
  turnTimeout: Duration.seconds(60),
  shutdownGrace: Duration.seconds(30),
  historyMessages: 20,
  historyTokens: 6000,
  turnsPerMinute: 60,
  turnsAtOnce: 10,
  maxConversations: 10_000,
  maxTasks: 10_000
}

/** The settings in force. */
export const Settings = Context.Reference<Settings>("turnkeeper/domain/Settings", {
  defaultValue: () => defaultSettings
})

/** Settings that nothing could go by. */
export class SettingsInvalid extends Schema.TaggedError<SettingsInvalid>()("SettingsInvalid", {
  problems: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The settings are wrong:\n${this.problems.map((problem) => `  - ${problem}`).join("\n")}`
  }
}

/** Some settings otherwise than by default. Fails with `SettingsInvalid`, which tells all that is wrong at once. */
export const layer = (settings: Partial<Settings>): Layer.Layer<never, SettingsInvalid> =>
  Layer.effect(
    Settings,
    Effect.suspend(() => {
      const all = { ...defaultSettings, ...settings }
      const problems = Object.entries(all).flatMap(([name, value]) => {
        if (Duration.isDuration(value)) return Duration.isNegative(value) ? [`${name} is negative`] : []
        return value === null || (Number.isSafeInteger(value) && value > 0)
          ? []
          : [`${name} is ${value}, and no count from 1 on`]
      })
      return problems.length === 0 ? Effect.succeed(all) : Effect.fail(new SettingsInvalid({ problems }))
    })
  )

/**
 * The same, with settings that are read from the application's `ConfigProvider`. Fails with `ConfigError` besides, where one is
 * missing there, or is wrong.
 */
export const layerConfig = (
  settings: Config.Wrap<Partial<Settings>>
): Layer.Layer<never, Config.ConfigError | SettingsInvalid> => Layer.unwrap(Effect.map(Config.unwrap(settings), layer))
