import { assert, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect } from "effect"
import { defaultSettings, layer, layerConfig, Settings } from "../../src/domain/Settings.ts"

it.effect("what an application sets is set, and the rest as by default", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* Settings, { ...defaultSettings, turnsPerMinute: null })
  }).pipe(Effect.provide(layer({ turnsPerMinute: null })))
)

it.effect("settings come from the application's configuration", () =>
  Effect.gen(function* () {
    const read = (environment: Record<string, string>) =>
      Effect.map(Settings, (settings) => settings).pipe(
        Effect.provide(layerConfig({ maxTasks: Config.Int("TASKS"), turnTimeout: Config.Duration("PATIENCE") })),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(environment))
      )
    assert.deepStrictEqual(yield* read({ TASKS: "7", PATIENCE: "9 seconds" }), {
      ...defaultSettings,
      maxTasks: 7,
      turnTimeout: Duration.seconds(9)
    })
    const error = yield* Effect.flip(read({ TASKS: "many", PATIENCE: "9 seconds" }))
    assert.strictEqual(error._tag, "ConfigError")
  })
)

it.effect("settings that nothing could go by are refused, all at once", () =>
  Effect.gen(function* () {
    const wrong = layer({
      turnsPerMinute: 0,
      maxTasks: -1,
      historyMessages: 0.5,
      turnTimeout: Duration.seconds(-1),
      shutdownGrace: Duration.zero
    })
    const error = yield* Effect.flip(Effect.provide(Effect.void, wrong))
    assert.lengthOf(error.problems, 4)
    for (const name of ["turnsPerMinute", "maxTasks", "historyMessages", "turnTimeout"])
      assert.include(error.message, name)
  })
)
