import { Config, Context, Duration, Effect, Layer } from "effect"

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

/** Some settings otherwise than by default. */
export const layer = (settings: Partial<Settings>): Layer.Layer<never> =>
  Layer.succeed(Settings, { ...defaultSettings, ...settings })

/**
 * The same, with settings that are read from the application's `ConfigProvider`. Fails with `ConfigError` where one is missing
 * there, or is wrong.
 */
export const layerConfig = (settings: Config.Wrap<Partial<Settings>>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(settings), layer))
