// @effect-diagnostics-next-line nodeBuiltinImport:off -- the HMAC is needed at once, without a promise
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { Cache, Config, Duration, Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { AuthUnavailable, InvalidToken } from "../../domain/model/Errors.ts"
import { type User, UserId } from "../../domain/model/User.ts"
import { Auth } from "../../ports/Auth.ts"

/** The names of Better Auth's tables and columns, where a site has named them otherwise. A table may name its schema. */
export const Names = Schema.Struct({
  session: Schema.String,
  "session.token": Schema.String,
  "session.userId": Schema.String,
  "session.expiresAt": Schema.String,
  user: Schema.String,
  "user.id": Schema.String,
  "user.name": Schema.String
})
export type Names = typeof Names.Type

/** Better Auth's own names. */
export const defaultNames: Names = {
  session: "session",
  "session.token": "token",
  "session.userId": "userId",
  "session.expiresAt": "expiresAt",
  user: "user",
  "user.id": "id",
  "user.name": "name"
}

export interface Options {
  readonly names: Names
  /** Better Auth's secret: with it, the signature of a signed token is checked before the database is asked. */
  readonly secret: Option.Option<Redacted.Redacted>
  /** Whether a token without a signature is refused; this needs the secret. */
  readonly requireSigned: boolean
}

/** The database has no tables of Better Auth, so nobody could sign in. */
export class AuthTablesMissing extends Schema.TaggedError<AuthTablesMissing>()("AuthTablesMissing", {
  tables: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The database lacks ${this.tables.join(
      " and "
    )}, where Better Auth keeps its sessions: nobody could sign in. Run Better Auth's migrations, or name its tables.`
  }
}

/** The application's client. Columns come as they are called: it may have them renamed for its own statements. */
const client = Effect.map(SqlClient.SqlClient, (given) => given.withoutTransforms())

const decodeRow = Schema.decodeUnknownOption(Schema.Tuple([Schema.Struct({ id: UserId, name: Schema.String })]))

/**
 * `Auth` by Better Auth's sessions. A token is taken in the two forms in which Better Auth gives it out: as it stands in
 * the `session` table, and signed (`token.signature`, perhaps percent-encoded, as in its cookie), where the signature is
 * the base64 HMAC-SHA-256 of the token.
 */
export const make = (options: Options): Effect.Effect<Auth["Service"], never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* client
    const { names } = options
    const column = (table: "session" | "user", name: keyof Names) =>
      sql`${sql.literal(table === "session" ? "s" : "u")}.${sql(names[name])}`

    const find = (token: string): Effect.Effect<User, InvalidToken | AuthUnavailable> =>
      sql`select ${column("user", "user.id")} id, ${column("user", "user.name")} name
          from ${sql(names.session)} s
          join ${sql(names.user)} u on ${column("user", "user.id")} = ${column("session", "session.userId")}
          where ${column("session", "session.token")} = ${token}
            and ${column("session", "session.expiresAt")} > clock_timestamp()`.pipe(
        Effect.timeoutOrElse({
          duration: "10 seconds",
          orElse: () => Effect.fail(new AuthUnavailable({ operation: "Auth.authenticate" }))
        }),
        Effect.catchTag("SqlError", (cause) =>
          Effect.fail(new AuthUnavailable({ operation: "Auth.authenticate", cause }))
        ),
        // A user whose id is not one that this service can name has no access to it either.
        Effect.flatMap((rows) =>
          Option.match(decodeRow(rows), {
            onNone: () => Effect.fail(new InvalidToken()),
            onSome: ([user]) => Effect.succeed(user)
          })
        )
      )

    const known = yield* Cache.makeWith(find, {
      capacity: knownTokens,
      timeToLive: (exit) => (Exit.isSuccess(exit) ? believedFor : 0)
    })

    return Auth.of({
      authenticate: (redacted) =>
        Option.match(sessionToken(Redacted.value(redacted), options), {
          onNone: () => Effect.fail(new InvalidToken()),
          onSome: (token) => Cache.get(known, token)
        })
    })
  })

export const layer = (options: Options): Layer.Layer<Auth, never, SqlClient.SqlClient> =>
  Layer.effect(Auth, make(options))

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` where one is missing
 * there, or is wrong.
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Auth, Config.ConfigError, SqlClient.SqlClient> => Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/** Refuses a database that has no tables of these names. */
export const requireTables = (
  names: Names
): Effect.Effect<void, AuthTablesMissing | SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* client
    const missing: Array<string> = []
    for (const table of [names.session, names.user]) {
      const quoted = table
        .split(".")
        .map((part) => `"${part.replaceAll('"', '""')}"`)
        .join(".")
      const rows = yield* sql`select 1 where to_regclass(${quoted}) is not null`
      if (rows.length === 0) missing.push(table)
    }
    if (missing.length > 0) return yield* new AuthTablesMissing({ tables: missing })
  })

/** A user and the token of a session of theirs. */
export interface DemoSession {
  readonly userId: UserId
  readonly name: string
  readonly token: string
}

const decodeToken = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ token: Schema.String })]))

/**
 * For the embedded database: tables as Better Auth makes them, and a user with a session that lasts. The token is made
 * at random once, so that it is no password that everybody knows.
 */
export const createDemoSession: Effect.Effect<DemoSession, SqlError.SqlError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* client
    const userId = UserId.make("demo")
    const name = "Demo"
    yield* sql`create table if not exists "user" (
      id text primary key, name text not null, email text not null unique, "emailVerified" boolean not null, image text,
      "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now()
    )`
    yield* sql`create table if not exists session (
      id text primary key, "expiresAt" timestamptz not null, token text not null unique,
      "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now(),
      "ipAddress" text, "userAgent" text, "userId" text not null references "user" (id) on delete cascade
    )`
    yield* sql`create index if not exists "session_userId_idx" on session ("userId")`
    yield* sql`insert into "user" (id, name, email, "emailVerified")
      values (${userId}, ${name}, 'demo@example.com', true) on conflict (id) do nothing`
    yield* sql`insert into session (id, "expiresAt", token, "userId")
      values ('demo', now() + interval '100 years', ${randomBytes(16).toString("hex")}, ${userId})
      on conflict (id) do nothing`
    const [{ token }] = yield* Effect.flatMap(sql`select token from session where id = 'demo'`, decodeToken).pipe(
      Effect.catchTag("SchemaError", Effect.die)
    )
    return { userId, name, token }
  }
)

/** How long a token that was good is taken for good without a look: signing out takes effect within this. */
const believedFor = Duration.seconds(3)
/** How many tokens are remembered, those that were used last. */
const knownTokens = 10_000

const visible = /^[\x21-\x7e]{1,1024}$/

/** The token as it stands in the table, if this may be one. */
const sessionToken = (sent: string, options: Options): Option.Option<string> => {
  const text = decoded(sent)
  if (!visible.test(text)) return Option.none()
  const dot = text.lastIndexOf(".")
  if (dot === -1) return options.requireSigned ? Option.none() : Option.some(text)
  const token = text.slice(0, dot)
  const signature = text.slice(dot + 1)
  return Option.match(options.secret, {
    onNone: () => Option.some(token),
    onSome: (secret) => (isSigned(token, signature, secret) ? Option.some(token) : Option.none())
  })
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const isSigned = (token: string, signature: string, secret: Redacted.Redacted): boolean => {
  const expected = createHmac("sha256", Redacted.value(secret)).update(token).digest("base64")
  const given = Buffer.from(signature)
  return given.length === expected.length && timingSafeEqual(given, Buffer.from(expected))
}
