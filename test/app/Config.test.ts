import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Option, Redacted } from "effect"
import { defaultNames } from "../../src/adapters/better-auth/BetterAuth.ts"
import * as Config from "../../src/app/Config.ts"

const load = (env: Record<string, string>) =>
  Effect.provideService(Config.load, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("Config", () => {
  it.effect("needs nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load({}), {
        port: 8000,
        host: "127.0.0.1",
        corsOrigins: [],
        logLevel: "Info",
        database: { _tag: "Embedded", dataDir: ".turnkeeper" },
        model: { _tag: "Offline" },
        auth: { names: defaultNames, secret: Option.none(), requireSigned: false, sessions: true, jwt: Option.none() },
        settings: {
          turnTimeout: Duration.seconds(60),
          shutdownGrace: Duration.seconds(30),
          historyMessages: 20,
          historyTokens: 6000,
          turnsPerMinute: 60,
          turnsAtOnce: 10,
          maxConversations: 10_000,
          maxTasks: 10_000
        }
      })
    })
  )

  it.effect("takes an empty variable for one that is not set", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load({ OPENAI_API_KEY: "", DATABASE_URL: "", PORT: "" }), yield* load({}))
    })
  )

  it.effect("takes all that it can be told", () =>
    Effect.gen(function* () {
      const config = yield* load({
        PORT: "9000",
        HOST: "::1",
        LOG_LEVEL: "Debug",
        DATABASE_URL: "postgresql://user:secret@db.example.com/app?sslmode=require",
        DATABASE_POOL: "3",
        DATABASE_PREPARE: "off",
        MIGRATE: "off",
        DATABASE_SCHEMA: "agents",
        OPENAI_API_KEY: "key",
        OPENAI_MODEL: "o3",
        OPENAI_BASE_URL: "http://localhost:1234/v1",
        TURN_TIMEOUT: "5 minutes",
        SHUTDOWN_GRACE: "1 second",
        HISTORY_MESSAGES: "7",
        HISTORY_TOKENS: "100000",
        RATE_LIMIT: "off",
        TURNS_AT_ONCE: "3",
        MAX_CONVERSATIONS: "off",
        MAX_TASKS: "100",
        BETTER_AUTH_SECRET: "shh",
        BETTER_AUTH_TABLES: " session=auth.session,session.userId=user_id ",
        REQUIRE_SIGNED_TOKENS: "on",
        CORS_ORIGINS: "https://app.example.com, http://localhost:3000",
        JWKS_URL: "https://id.example.com/jwks",
        JWT_ISSUER: "https://id.example.com",
        JWT_AUDIENCE: "tasks",
        JWT_ALGORITHMS: "ES256, EdDSA"
      })
      assert(config.database._tag === "Server" && config.model._tag === "OpenAi")
      const { url, ...database } = config.database
      assert.strictEqual(Redacted.value(url), "postgresql://user:secret@db.example.com/app?sslmode=require")
      assert.deepStrictEqual(database, {
        _tag: "Server",
        connections: 3,
        prepare: false,
        schema: "agents",
        migrate: false
      })
      assert.strictEqual(config.model.model, "o3")
      assert.strictEqual(Option.getOrThrow(config.model.baseUrl).href, "http://localhost:1234/v1")
      assert.deepStrictEqual([config.port, config.host, config.logLevel], [9000, "::1", "Debug"])
      assert.deepStrictEqual(config.settings, {
        turnTimeout: Duration.minutes(5),
        shutdownGrace: Duration.seconds(1),
        historyMessages: 7,
        historyTokens: 100_000,
        turnsPerMinute: null,
        turnsAtOnce: 3,
        maxConversations: null,
        maxTasks: 100
      })
      assert.deepStrictEqual(config.auth.names, {
        ...defaultNames,
        session: "auth.session",
        "session.userId": "user_id"
      })
      assert.isTrue(config.auth.requireSigned)
      assert.deepStrictEqual(config.corsOrigins, ["https://app.example.com", "http://localhost:3000"])
      const { jwksUrl, ...jwt } = Option.getOrThrow(config.auth.jwt)
      assert.strictEqual(jwksUrl.href, "https://id.example.com/jwks")
      assert.deepStrictEqual(jwt, {
        issuer: "https://id.example.com",
        audience: "tasks",
        algorithms: ["ES256", "EdDSA"]
      })
      assert.strictEqual((yield* load({ DATABASE_URL: "postgres://x@y/z" })).host, "0.0.0.0")
    })
  )

  it.effect("tells all that is wrong at once, and no value", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        load({
          PORT: "70000",
          CORS_ORIGINS: "https://app.example.com/path",
          LOG_LEVEL: "loud",
          DATABASE_URL: "mysql://user:hunter2@host/db",
          DATABASE_POOL: "0",
          DATABASE_PREPARE: "maybe",
          DATABASE_SCHEMA: "pg_agents",
          MIGRATE: "yes",
          OPENAI_BASE_URL: "nowhere",
          TURN_TIMEOUT: "5 parsecs",
          HISTORY_MESSAGES: "2.5",
          RATE_LIMIT: "-1",
          TURNS_AT_ONCE: "0",
          MAX_CONVERSATIONS: "none",
          MAX_TASKS: "1.5",
          BETTER_AUTH_TABLES: "sessions=x",
          JWKS_URL: "file:///etc/keys",
          JWT_ALGORITHMS: "ES256,HS256"
        })
      )
      assert.deepStrictEqual(
        error.problems.map((problem) => problem.split(":")[0]),
        [
          "PORT",
          "CORS_ORIGINS",
          "LOG_LEVEL",
          "DATABASE_URL",
          "DATABASE_POOL",
          "DATABASE_PREPARE",
          "DATABASE_SCHEMA",
          "MIGRATE",
          "OPENAI_BASE_URL",
          "TURN_TIMEOUT",
          "HISTORY_MESSAGES",
          "RATE_LIMIT",
          "TURNS_AT_ONCE",
          "MAX_CONVERSATIONS",
          "MAX_TASKS",
          "BETTER_AUTH_TABLES",
          "JWKS_URL",
          "JWT_ALGORITHMS"
        ]
      )
      for (const CORS_ORIGINS of [
        "*",
        "https://*.example.com",
        "null",
        "app.example.com",
        "https://app.example.com/"
      ]) {
        assert.include((yield* Effect.flip(load({ CORS_ORIGINS }))).message, "CORS_ORIGINS", CORS_ORIGINS)
      }
      for (const value of ["hunter2", "parsecs", "nowhere"]) assert.notInclude(error.message, value)
    })
  )

  it.effect("tells what does not go together", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        load({
          REQUIRE_SIGNED_TOKENS: "on",
          OPENAI_BASE_URL: "http://localhost/v1",
          JWKS_URL: "https://id.example.com/jwks"
        })
      )
      assert.strictEqual(error.problems.length, 4)
      const alone = yield* Effect.flip(load({ SESSIONS: "off", JWT_ISSUER: "https://id.example.com" }))
      assert.deepStrictEqual(
        alone.problems.map((problem) => problem.split(":")[0]),
        ["SESSIONS", "JWKS_URL"]
      )
      for (const name of ["JWT_AUDIENCE", "JWT_ALGORITHMS"]) {
        assert.include((yield* Effect.flip(load({ [name]: "ES256" }))).message, "JWKS_URL")
      }
      for (const JWKS_URL of ["http://id.example.com/jwks", "http://10.0.0.1/jwks"]) {
        assert.include((yield* Effect.flip(load({ JWKS_URL }))).message, "JWKS_URL")
      }
      assert.include(error.message, "JWT_ISSUER")
      assert.include(error.message, "JWT_AUDIENCE")
      assert.include(error.message, "BETTER_AUTH_SECRET")
      assert.include(error.message, "OPENAI_API_KEY")
    })
  )
})
