import { assert } from "@effect/vitest"
import { Console, Effect, Layer, Option, type Scope } from "effect"
import { defaultNames } from "../../src/adapters/better-auth/BetterAuth.ts"
import { defaultSchema } from "../../src/adapters/postgres/Schema.ts"
import type { AppConfig } from "../../src/app/Config.ts"
import * as Service from "../../src/app/Service.ts"
import { defaultSettings } from "../../src/domain/Settings.ts"
import { databaseOptions } from "./database.ts"

/** The configuration of a service on the database of this URL, with the model that needs nothing. */
export const appConfig = (databaseUrl: string, more: Partial<AppConfig> = {}): AppConfig => ({
  port: 0,
  host: "127.0.0.1",
  corsOrigins: [],
  logLevel: "None",
  database: { _tag: "Server", migrate: true, ...databaseOptions(databaseUrl), schema: defaultSchema },
  model: { _tag: "Offline" },
  auth: { names: defaultNames, secret: Option.none(), requireSigned: false, sessions: true, jwt: Option.none() },
  settings: { ...defaultSettings, turnsPerMinute: null, turnsAtOnce: null },
  ...more
})

export type Adapters = ReturnType<typeof Service.adapters>

/**
 * Runs the whole service in this process until the scope is closed, its ports as `change` makes them, and answers where it
 * is. Its banner is read, not printed.
 */
export const serveApp = (
  config: AppConfig,
  change: (adapters: Adapters) => Adapters = (adapters) => adapters
): Effect.Effect<string, Layer.Error<Adapters>, Scope.Scope> =>
  Effect.gen(function* () {
    const printed: Array<string> = []
    yield* Layer.build(Service.serve(config).pipe(Layer.provide(change(Service.adapters(config))))).pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, log: (text: string) => printed.push(text) }),
      Effect.orDie
    )
    return /listens on (http:\S+)/.exec(printed.join("\n"))?.[1] ?? assert.fail("there is no banner")
  })
