import * as Net from "node:net"
// @effect-diagnostics-next-line nodeBuiltinImport:off -- the driver asks for a Duplex
import { Duplex } from "node:stream"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Config, Effect, Layer, Redacted, Schedule, Schema, Stream } from "effect"
import { Migrator, SqlClient, type SqlError } from "effect/sql"
import { TurnNews } from "../../ports/TurnNews.ts"
import { latestMigration, migrations, migrationsTable } from "./migrations.ts"
import { channelOf, clientOf, type SchemaInvalid, type SchemaName, schemaOf } from "./Schema.ts"

/** The database has not what this version needs, and was not to be changed. */
export class MigrationsMissing extends Schema.TaggedError<MigrationsMissing>()("MigrationsMissing", {
  /** The last migration that ran, 0 for none. */
  found: Schema.Int,
  needed: Schema.Int
}) {
  override get message() {
    return `The database has migration ${this.found}, and this version needs ${this.needed}. Run the migrations first.`
  }
}

/** The client is not set up as the turn protocol needs it. */
export class DatabaseUnfit extends Schema.TaggedError<DatabaseUnfit>()("DatabaseUnfit", {
  /** The level at which its transactions are isolated unless told otherwise. */
  isolation: Schema.String,
  /** The types whose values it does not read as the driver does by itself. */
  misread: Schema.Array(Schema.String)
}) {
  override get message() {
    if (this.misread.length > 0) {
      return `The client reads ${this.misread.join(", ")} in a way of its own: give it a registry of types that leaves these as they are.`
    }
    return `The client's transactions are isolated as "${this.isolation}", and what waits for a lock has to see then what was committed meanwhile: set default_transaction_isolation to "read committed".`
  }
}

export interface Options {
  /** A libpq URI; `sslmode=require` and the like are honoured, and certificates verified. */
  readonly url: Redacted.Redacted
  /** The greatest number of connections. */
  readonly connections: number
  /** Whether statements are prepared and session defaults sent; not so behind PgBouncer in transaction mode. */
  readonly prepare: boolean
  /** The schema in which everything is, by default `turnkeeper`: whose news are listened to. */
  readonly schema?: string
  /** After how long without any answer a connection is given up, in milliseconds; by default 15,000. */
  readonly silenceMillis?: number
}

/** The most that one row may hold, in bytes: a history of long lists exceeds the client's 16 MiB, which ends the connection. */
const maxMessageSize = 64 * 1024 * 1024

/**
 * A pool of connections on which statements of different fibers are pipelined. A connection on which nothing answers any
 * more is given up: the client by itself would go on using one that has silently gone.
 */
export const layer = (
  options: Options
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SchemaInvalid | SqlError.SqlError> =>
  Layer.merge(client(options), options.prepare ? layerNews(options) : Layer.empty)

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` where one is missing
 * there, or is wrong.
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, Config.ConfigError | SchemaInvalid | SqlError.SqlError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/**
 * What other instances say of turns, by a connection of its own, since whoever listens has it for itself. For an application that
 * brings its own client, where who watches a turn of another instance is not to wait for a quarter of a second. A PgBouncer in
 * transaction mode would lose it: behind that there is none.
 */
export const layerNews = (options: Pick<Options, "schema" | "url">): Layer.Layer<never, SchemaInvalid> =>
  Layer.unwrap(
    Effect.map(schemaOf(options.schema), (schema) => Layer.succeed(TurnNews, newsOf(options.url, channelOf(schema))))
  )

const newsOf = (url: Redacted.Redacted, channel: string): Stream.Stream<"watched" | "told"> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const connection = yield* PgConnection.make({ url, applicationName: "turnkeeper", keepAlive: "10 seconds" })
      return Stream.fromQueue(yield* connection.listen(channel))
    })
  ).pipe(
    Stream.map(({ payload }) => (payload === "told" ? "told" : "watched")),
    Stream.retry(Schedule.jittered(Schedule.spaced("1 second"))),
    Stream.orDie
  )

const client = (options: Options) =>
  PgClient.layer({
    url: options.url,
    applicationName: "turnkeeper",
    maxConnections: options.connections,
    multiplex: true,
    maxMessageSize,
    prepare: options.prepare,
    stream: () => watched(connect(options.url), options.silenceMillis ?? 15_000),
    // A plan that was made while a table was empty would scan it whole until the next analyze: hence enable_seqscan.
    ...(options.prepare && {
      startupParameters: {
        enable_seqscan: "off",
        // Before the connection is given up with all that shares it.
        statement_timeout: "10s",
        // The functions count on seeing what was committed while they waited for a lock, whatever the role's default is.
        default_transaction_isolation: "read committed"
      }
    })
  })

/**
 * Brings the database to what this version needs; two instances may do so at once. It uses a connection of its own,
 * since a migration may well be silent for long.
 */
export const migrate = (
  options: Options
): Effect.Effect<void, SchemaInvalid | SqlError.SqlError | Migrator.MigrationError> =>
  Layer.effectDiscard(Effect.flatMap(schemaOf(options.schema), runMigrations)).pipe(
    Layer.provide(
      PgClient.layer({ url: options.url, applicationName: "turnkeeper", maxConnections: 1, prepare: false })
    ),
    Layer.build,
    Effect.scoped,
    Effect.asVoid
  )

/** Runs the migrations that are missing, by the given client, in that schema, which is created if need be. */
export const runMigrations = (
  schema: SchemaName
): Effect.Effect<void, SqlError.SqlError | Migrator.MigrationError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { sql } = yield* clientOf(schema)
    const exists = Effect.map(
      sql`select 1 where to_regnamespace(${`"${schema}"`}) is not null`,
      (rows) => rows.length > 0
    )
    // Whoever may not create a schema may have been given one; and of two who create it at once, one may be told that it is there.
    if (!(yield* exists)) {
      yield* Effect.catch(sql`create schema if not exists ${sql(schema)}`, (error) =>
        Effect.flatMap(exists, (isThere) => (isThere ? Effect.void : Effect.fail(error)))
      )
    }
    yield* Migrator.make({})({ loader: migrations(schema), table: `${schema}.${migrationsTable}` }).pipe(
      Effect.provideService(SqlClient.SqlClient, sql)
    )
  })

const decodeLatest = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ latest: Schema.Int })]))

/** Refuses a database that lacks a migration in that schema. */
export const requireMigrations = (
  schema: SchemaName
): Effect.Effect<void, MigrationsMissing | SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { own, sql } = yield* clientOf(schema)
    const exists = yield* sql`select 1 where to_regclass(${`"${schema}".${migrationsTable}`}) is not null`
    const [{ latest }] =
      exists.length === 0
        ? [{ latest: 0 }]
        : yield* sql`select coalesce(max(migration_id), 0) latest from ${own}${sql(migrationsTable)}`.pipe(
            Effect.flatMap(decodeLatest),
            Effect.catchTag("SchemaError", Effect.die)
          )
    if (latest < latestMigration) return yield* new MigrationsMissing({ found: latest, needed: latestMigration })
  })

const decodeOne = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Record(Schema.String, Schema.Unknown)]))

/** What is read of the database, by its types, each as it has to come. */
const asRead = {
  timestamptz: Schema.is(Schema.Date),
  int: Schema.is(Schema.Int),
  text: Schema.is(Schema.String),
  uuid: Schema.is(Schema.String),
  boolean: Schema.is(Schema.Boolean),
  "int[]": Schema.is(Schema.Array(Schema.Int)),
  "text[]": Schema.is(Schema.Array(Schema.String)),
  "uuid[]": Schema.is(Schema.Array(Schema.String))
}

/** Refuses a client whose transactions are isolated otherwise than the functions count on, or that reads values in its own way. */
export const requireFit: Effect.Effect<void, DatabaseUnfit | SqlError.SqlError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql`select current_setting('transaction_isolation') isolation, now() "timestamptz", 1 "int",
      '{}'::json::text "text", gen_random_uuid() "uuid", true "boolean", array[1] "int[]", array['a'] "text[]",
      array[gen_random_uuid()] "uuid[]"`.withoutTransform.pipe(
      Effect.flatMap(decodeOne),
      Effect.catchTag("SchemaError", Effect.die)
    )
    const isolation = String(row["isolation"])
    const misread = Object.entries(asRead).flatMap(([type, isRead]) => (isRead(row[type]) ? [] : [type]))
    if (misread.length > 0 || isolation !== "read committed") return yield* new DatabaseUnfit({ isolation, misread })
  }
)

const connect = (redacted: Redacted.Redacted) => (): Net.Socket => {
  const url = new URL(Redacted.value(redacted))
  const host = decodeURIComponent(url.hostname || url.searchParams.get("host") || "localhost")
  const port = Number(url.port || url.searchParams.get("port") || 5432)
  return host.startsWith("/")
    ? Net.connect({ path: `${host}/.s.PGSQL.${port}` })
    : Net.connect({ host: host.replace(/^\[|\]$/g, ""), port, noDelay: true })
}

/**
 * A socket that is destroyed when nothing comes in for so long after something was written. It is a stream of its own
 * around the socket, since TLS over a bare socket would bypass it.
 */
const watched = (connect: () => Net.Socket, silenceMillis: number): Duplex => {
  const socket = connect()
  let timer: NodeJS.Timeout | undefined
  const disarm = () => {
    clearTimeout(timer)
    timer = undefined
  }
  const duplex = new Duplex({
    read: () => socket.resume(),
    write: (chunk, _encoding, done) => {
      // @effect-diagnostics-next-line globalTimers:off -- outside of any fiber
      timer ??= setTimeout(
        () => duplex.destroy(new Error(`The database has not answered for ${silenceMillis} ms`)),
        silenceMillis
      ).unref()
      socket.write(chunk, done)
    },
    final: (done) => socket.end(done),
    destroy: (error, done) => {
      disarm()
      socket.destroy()
      done(error)
    }
  })
  socket.on("data", (chunk) => {
    disarm()
    if (!duplex.push(chunk)) socket.pause()
  })
  socket.on("end", () => duplex.push(null))
  socket.on("error", (error) => duplex.destroy(error))
  socket.on("close", () => duplex.destroy())
  return duplex
}
