import {
  Config,
  type Duration,
  Effect,
  type LogLevel,
  Option,
  type Redacted,
  Result,
  Schema,
  SchemaGetter,
  SchemaIssue,
  SchemaTransformation
} from "effect"
import { defaultNames, Names } from "../adapters/better-auth/BetterAuth.ts"
import * as JwtAuth from "../adapters/jwt/JwtAuth.ts"
import { defaultSchema, SchemaName } from "../adapters/postgres/Schema.ts"
import { defaultSettings, type Settings } from "../domain/Settings.ts"

/** All that the service can be told, by environment variables; the README has the table. */
export interface AppConfig {
  readonly port: number
  readonly host: string
  /** The origins whose pages may call. */
  readonly corsOrigins: ReadonlyArray<string>
  readonly logLevel: LogLevel.LogLevel
  readonly database:
    | { readonly _tag: "Embedded"; readonly dataDir: string }
    | {
        readonly _tag: "Server"
        readonly url: Redacted.Redacted
        readonly connections: number
        readonly prepare: boolean
        readonly schema: SchemaName
        readonly migrate: boolean
      }
  readonly model:
    | { readonly _tag: "Offline" }
    | {
        readonly _tag: "OpenAi"
        readonly apiKey: Redacted.Redacted
        readonly model: string
        readonly baseUrl: Option.Option<URL>
      }
  readonly auth: {
    readonly names: Names
    readonly secret: Option.Option<Redacted.Redacted>
    readonly requireSigned: boolean
    /** Whether Better Auth's sessions are taken. */
    readonly sessions: boolean
    /** Whose JWTs are taken beside sessions. */
    readonly jwt: Option.Option<JwtAuth.Options>
  }
  readonly settings: Settings
}

/** The configuration is wrong. All that is wrong with it is told at once. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  problems: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The configuration is wrong:\n${this.problems.map((problem) => `  - ${problem}`).join("\n")}`
  }
}

const Toggle = (name: string, fallback: boolean) =>
  Config.Literals(["on", "off"], name).pipe(
    Config.map((value) => value === "on"),
    Config.withDefault(fallback)
  )

const between = (name: string, minimum: number, maximum: number, fallback: number) =>
  Config.schema(
    Schema.NumberFromString.pipe(Schema.check(Schema.isInt(), Schema.isBetween({ minimum, maximum }))),
    name
  ).pipe(Config.withDefault(fallback))

/** A number from 1, or `off` for none. */
const limit = (name: string, fallback: number | null) =>
  Config.orElse(Config.Literal("off", name).pipe(Config.map(() => null)), () =>
    Config.schema(
      Schema.NumberFromString.pipe(Schema.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))),
      name
    )
  ).pipe(Config.withDefault(fallback))

const duration = (name: string, fallback: Duration.Duration) => Config.Duration(name).pipe(Config.withDefault(fallback))

const isNamePair = (pair: ReadonlyArray<string>): boolean =>
  pair.length === 2 && Object.hasOwn(defaultNames, pair[0] ?? "") && pair[1] !== ""

/** Pairs of our name and theirs: "session=auth_session,session.userId=user_id". What is not named stays as it is. */
const NamesFromString = Schema.String.pipe(
  Schema.decode(SchemaTransformation.trim()),
  Schema.check(
    Schema.makeFilter((text) => text.split(",").every((pair) => isNamePair(pair.split("="))), {
      expected: `pairs such as session=auth_session,session.userId=user_id, of ${Object.keys(defaultNames).join(", ")}`
    })
  )
)
const toNames = (text: string): Names =>
  decodeNames({ ...defaultNames, ...Object.fromEntries(text.split(",").map((pair) => pair.split("="))) })
const decodeNames = Schema.decodeUnknownSync(Names)

const isAlgorithm = (name: string): name is JwtAuth.Algorithm => isOneOfThem(name)
/** Whether a host name or address is that of this machine itself, to which nobody else has a way. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || host === "::1" || host.startsWith("127.")
const isOneOfThem = Schema.is(JwtAuth.Algorithm)

/** A list such as "a, b", each of whose entries must be as expected. */
const ListFromString = (expected: string, isOne: (entry: string) => boolean) =>
  Schema.String.pipe(
    Schema.decodeTo(Schema.Array(Schema.String), {
      decode: SchemaGetter.transform((text) => text.split(",").map((entry) => entry.trim())),
      encode: SchemaGetter.transform((entries) => entries.join(","))
    }),
    Schema.check(Schema.makeFilter((entries) => entries.every(isOne), { expected }))
  )

const AlgorithmsFromString = ListFromString(`a list of ${JwtAuth.Algorithm.literals.join(", ")}`, isAlgorithm)

/** As browsers write them (RFC 6454, section 6.2): anything else would match no request. */
const OriginsFromString = ListFromString(
  "a list of origins such as https://app.example.com, without a path",
  (origin) => !origin.includes("*") && URL.canParse(origin) && new URL(origin).origin === origin
)

const postgresScheme = /^postgres(ql)?:\/\//

const variables = {
  // 0 is any free port: the banner tells which.
  PORT: between("PORT", 0, 65_535, 8000),
  HOST: Config.option(Config.String("HOST")),
  CORS_ORIGINS: Config.option(Config.schema(OriginsFromString, "CORS_ORIGINS")),
  LOG_LEVEL: Config.LogLevel("LOG_LEVEL").pipe(Config.withDefault("Info")),
  DATABASE_URL: Config.option(
    Config.schema(
      Schema.Redacted(
        Schema.String.pipe(
          Schema.check(
            Schema.makeFilter((text) => postgresScheme.test(text) && URL.canParse(text), {
              expected: "a URL such as postgres://user:password@host:5432/database"
            })
          )
        )
      ),
      "DATABASE_URL"
    )
  ),
  DATABASE_POOL: between("DATABASE_POOL", 1, 1000, 10),
  DATABASE_PREPARE: Toggle("DATABASE_PREPARE", true),
  DATABASE_SCHEMA: Config.schema(SchemaName, "DATABASE_SCHEMA").pipe(Config.withDefault(defaultSchema)),
  DATA_DIR: Config.String("DATA_DIR").pipe(Config.withDefault(".turnkeeper")),
  MIGRATE: Toggle("MIGRATE", true),
  OPENAI_API_KEY: Config.option(Config.Redacted("OPENAI_API_KEY")),
  OPENAI_MODEL: Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-4")),
  OPENAI_BASE_URL: Config.option(Config.URL("OPENAI_BASE_URL")),
  TURN_TIMEOUT: duration("TURN_TIMEOUT", defaultSettings.turnTimeout),
  SHUTDOWN_GRACE: duration("SHUTDOWN_GRACE", defaultSettings.shutdownGrace),
  HISTORY_MESSAGES: between("HISTORY_MESSAGES", 1, 200, defaultSettings.historyMessages),
  HISTORY_TOKENS: between("HISTORY_TOKENS", 1, 1_000_000, defaultSettings.historyTokens),
  RATE_LIMIT: limit("RATE_LIMIT", defaultSettings.turnsPerMinute),
  TURNS_AT_ONCE: limit("TURNS_AT_ONCE", defaultSettings.turnsAtOnce),
  MAX_CONVERSATIONS: limit("MAX_CONVERSATIONS", defaultSettings.maxConversations),
  MAX_TASKS: limit("MAX_TASKS", defaultSettings.maxTasks),
  BETTER_AUTH_SECRET: Config.option(Config.Redacted("BETTER_AUTH_SECRET")),
  BETTER_AUTH_TABLES: Config.option(Config.map(Config.schema(NamesFromString, "BETTER_AUTH_TABLES"), toNames)),
  REQUIRE_SIGNED_TOKENS: Toggle("REQUIRE_SIGNED_TOKENS", false),
  SESSIONS: Toggle("SESSIONS", true),
  JWKS_URL: Config.option(
    Config.schema(
      Schema.URLFromString.pipe(
        Schema.check(
          Schema.makeFilter(
            (url) => url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname)),
            {
              expected: "a URL with https: whoever can change keys on their way is everybody"
            }
          )
        )
      ),
      "JWKS_URL"
    )
  ),
  JWT_ISSUER: Config.option(Config.String("JWT_ISSUER")),
  JWT_AUDIENCE: Config.option(Config.String("JWT_AUDIENCE")),
  JWT_ALGORITHMS: Config.option(Config.schema(AlgorithmsFromString, "JWT_ALGORITHMS"))
}

/** Reads the configuration from the `ConfigProvider`. Fails with all problems at once; no value is told, only names. */
export const load: Effect.Effect<AppConfig, ConfigInvalid> = Effect.gen(function* () {
  const results = yield* Effect.all(variables, { mode: "result" })
  const problems = Object.entries<Result.Result<unknown, Config.ConfigError>>(results).flatMap(([name, result]) =>
    Result.isFailure(result) ? [`${name}: ${explain(result.failure)}`] : []
  )
  if (problems.length > 0) return yield* new ConfigInvalid({ problems })
  const values = yield* Effect.orDie(Effect.all(variables))
  const combined = [
    ...(values.REQUIRE_SIGNED_TOKENS && Option.isNone(values.BETTER_AUTH_SECRET)
      ? ["REQUIRE_SIGNED_TOKENS: Expected BETTER_AUTH_SECRET beside it, since signatures are checked by that"]
      : []),
    ...(Option.isSome(values.OPENAI_BASE_URL) && Option.isNone(values.OPENAI_API_KEY)
      ? ["OPENAI_BASE_URL: Expected OPENAI_API_KEY beside it; any value will do where the server asks for none"]
      : []),
    ...(!values.SESSIONS && Option.isNone(values.JWKS_URL)
      ? ["SESSIONS: Expected JWKS_URL where they are off, since nobody could sign in"]
      : []),
    ...(Option.isNone(values.JWKS_URL) &&
    [values.JWT_ISSUER, values.JWT_AUDIENCE, values.JWT_ALGORITHMS].some((value) => value._tag === "Some")
      ? [
          "JWKS_URL: Expected beside JWT_ISSUER, JWT_AUDIENCE and JWT_ALGORITHMS, since there would be no keys to check by"
        ]
      : []),
    ...(Option.isSome(values.JWKS_URL) && Option.isNone(values.JWT_ISSUER)
      ? ["JWT_ISSUER: Expected beside JWKS_URL, since a token of anybody else's must not be taken"]
      : []),
    ...(Option.isSome(values.JWKS_URL) && Option.isNone(values.JWT_AUDIENCE)
      ? ["JWT_AUDIENCE: Expected beside JWKS_URL, since a token for another service must not be taken"]
      : [])
  ]
  if (combined.length > 0) return yield* new ConfigInvalid({ problems: combined })
  return {
    port: values.PORT,
    // What has no sign-in of its own but a demo user stays on this machine unless told otherwise.
    host: Option.getOrElse(values.HOST, () => (Option.isSome(values.DATABASE_URL) ? "0.0.0.0" : "127.0.0.1")),
    corsOrigins: Option.getOrElse(values.CORS_ORIGINS, () => []),
    logLevel: values.LOG_LEVEL,
    database: Option.match(values.DATABASE_URL, {
      onNone: () => ({ _tag: "Embedded" as const, dataDir: values.DATA_DIR }),
      onSome: (url) => ({
        _tag: "Server" as const,
        url,
        connections: values.DATABASE_POOL,
        prepare: values.DATABASE_PREPARE,
        schema: values.DATABASE_SCHEMA,
        migrate: values.MIGRATE
      })
    }),
    model: Option.match(values.OPENAI_API_KEY, {
      onNone: () => ({ _tag: "Offline" as const }),
      onSome: (apiKey) => ({
        _tag: "OpenAi" as const,
        apiKey,
        model: values.OPENAI_MODEL,
        baseUrl: values.OPENAI_BASE_URL
      })
    }),
    auth: {
      names: Option.getOrElse(values.BETTER_AUTH_TABLES, () => defaultNames),
      secret: values.BETTER_AUTH_SECRET,
      requireSigned: values.REQUIRE_SIGNED_TOKENS,
      sessions: values.SESSIONS,
      jwt: Option.map(
        Option.all({ jwksUrl: values.JWKS_URL, issuer: values.JWT_ISSUER, audience: values.JWT_AUDIENCE }),
        (jwt): JwtAuth.Options => ({
          ...jwt,
          algorithms: Option.match(values.JWT_ALGORITHMS, {
            onNone: () => JwtAuth.Algorithm.literals,
            onSome: (names) => names.filter(isAlgorithm)
          })
        })
      )
    },
    settings: {
      turnTimeout: values.TURN_TIMEOUT,
      shutdownGrace: values.SHUTDOWN_GRACE,
      historyMessages: values.HISTORY_MESSAGES,
      historyTokens: values.HISTORY_TOKENS,
      turnsPerMinute: values.RATE_LIMIT,
      turnsAtOnce: values.TURNS_AT_ONCE,
      maxConversations: values.MAX_CONVERSATIONS,
      maxTasks: values.MAX_TASKS
    }
  }
})

const explain = (error: Config.ConfigError): string =>
  error.cause._tag === "SchemaError"
    ? formatIssue(error.cause.issue)
        .issues.map((issue) => issue.message)
        .join("; ")
    : error.cause.message
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()
