// @effect-diagnostics-next-line nodeBuiltinImport:off -- beside node:sqlite, which is synchronous too
import { existsSync, mkdirSync } from "node:fs"
// @effect-diagnostics-next-line nodeBuiltinImport:off -- as above
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
// @effect-diagnostics-next-line nodeBuiltinImport:off -- the driver asks for a Duplex
import { Duplex } from "node:stream"
import * as PgClient from "@effect/sql-pg/PgClient"
import { PGlite } from "@electric-sql/pglite"
import { Config, Effect, Function, Layer, Schedule, Schema, type Scope } from "effect"
import { SqlClient, type SqlError } from "effect/sql"

/** Another process works in the folder. */
export class DataDirLocked extends Schema.TaggedError<DataDirLocked>()("DataDirLocked", { dataDir: Schema.String }) {
  override get message() {
    return `Another process uses the data in ${this.dataDir}. End it, or choose another folder.`
  }
}

/** The folder, or the database in it, cannot be opened. */
export class DataDirUnusable extends Schema.TaggedError<DataDirUnusable>()("DataDirUnusable", {
  dataDir: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The data in ${this.dataDir} cannot be opened`
  }
}

export interface Options {
  /** The folder of the data, which is made if need be and no other process may use meanwhile; without one they are in memory. */
  readonly dataDir?: string
}

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` besides, where one is
 * missing there, or is wrong.
 */
export const layerConfig = (options: Config.Wrap<Options>) => Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/** PostgreSQL in this process: a client like that of a real server, of one connection. */
export const layer = ({
  dataDir
}: Options = {}): Layer.Layer<
  PgClient.PgClient | SqlClient.SqlClient,
  DataDirLocked | DataDirUnusable | SqlError.SqlError
> =>
  Layer.unwrap(
    Effect.gen(function* () {
      if (dataDir !== undefined) yield* lock(dataDir)
      const database = yield* open(dataDir)
      return vacuuming.pipe(
        Layer.provideMerge(
          PgClient.layer({
            // Of several connections PGlite mixes up the transactions, so there is one; statements queue on it.
            maxConnections: 1,
            multiplex: true,
            host: "embedded",
            username: "postgres",
            database: "postgres",
            ssl: false,
            startupParameters: { enable_seqscan: "off" },
            stream: () => wire(database)
          })
        )
      )
    })
  )

/** PGlite never vacuums by itself. What the hot tables collect in ten minutes is cleared in a fraction of a second. */
const vacuuming = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`vacuum (analyze)`.pipe(
      Effect.catchCause((cause) => Effect.logWarning("The embedded database could not be vacuumed", cause)),
      Effect.schedule(Schedule.spaced("10 minutes")),
      Effect.forkScoped
    )
  })
)

const unusable = (dataDir: string) => (cause: unknown) => new DataDirUnusable({ dataDir, cause })

/** Node's own recursion never ends where a parent exists in which nothing can be made. */
const makeFolder = (folder: string): void => {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  mkdirSync(folder)
}

/**
 * PGlite would open a folder twice and corrupt it. An exclusive transaction of SQLite in a file beside it is a lock that
 * the operating system takes away from a process that is killed.
 */
const lock = (dataDir: string): Effect.Effect<void, DataDirLocked | DataDirUnusable, Scope.Scope> =>
  Effect.gen(function* () {
    const file = yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          makeFolder(dataDir)
          return new DatabaseSync(join(dataDir, "lock.sqlite"))
        },
        catch: unusable(dataDir)
      }),
      (file) => Effect.sync(() => file.close())
    )
    yield* Effect.try({
      try: () => file.exec("pragma locking_mode = exclusive; begin exclusive"),
      catch: () => new DataDirLocked({ dataDir })
    })
  })

const open = (dataDir: string | undefined): Effect.Effect<PGlite, DataDirUnusable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => (dataDir === undefined ? PGlite.create() : PGlite.create(join(dataDir, "data"))),
      catch: unusable(dataDir ?? "memory")
    }),
    (database) => Effect.promise(() => database.close())
  )

/** A connection to the database as a stream of PostgreSQL's protocol, without a socket in between. */
const wire = (database: PGlite): Duplex => {
  const send = (message: Uint8Array, onData: (data: Uint8Array) => void) =>
    database.runExclusive(() => database.execProtocolRawStream(message, { onRawData: onData }))
  // A connection that goes in the middle of a transaction must not leave it open for the next one.
  const rollback = () =>
    database.closed ? Promise.resolve() : database.exec("rollback").then(Function.constVoid, Function.constVoid)
  const duplex: Duplex = new Duplex({
    read: Function.constVoid,
    write(chunk: Uint8Array, _encoding, done) {
      if (chunk[0] === terminate) return done()
      send(new Uint8Array(chunk), (data) => duplex.push(Buffer.from(data))).then(() => done(), done)
    },
    final: (done) => void rollback().then(() => done()),
    destroy: (error, done) => void rollback().then(() => done(error))
  })
  return duplex
}

const terminate = 0x58 // "X", the message by which a client ends its connection
