import { Context, Effect, Layer, Logger, Option, Redacted, type Scope } from "effect"
import { HttpServer } from "effect/http"
import { SqlClient, type SqlError } from "effect/sql"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import { Readiness } from "../../src/adapters/http/Handlers.ts"
import { type ServeOptions, serve } from "../../src/adapters/http/Server.ts"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as MemoryAuth from "../../src/adapters/memory/MemoryAuth.ts"
import * as OfflineModel from "../../src/adapters/offline/OfflineModel.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import * as Postgres from "../../src/adapters/postgres/Postgres.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { defaultSettings, Settings } from "../../src/domain/Settings.ts"
import * as Turnkeeper from "../../src/domain/Turnkeeper.ts"
import * as Turns from "../../src/domain/Turns.ts"
import type { Auth } from "../../src/ports/Auth.ts"
import type { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import type { TaskTools } from "../../src/ports/TaskTools.ts"

/** Somebody who may ask, and by what token. */
export interface FuzzUser {
  readonly id: string
  readonly token: string
}

/** So many users, among them those with the shortest and the longest id. */
const usersOf = (count: number): ReadonlyArray<FuzzUser> =>
  Array.from({ length: count }, (_, i) => {
    const id = i === 0 ? "0" : i === 1 ? "Z".repeat(128) : `user-${i}_`
    return { id, token: `token-${i}` }
  })

/** The service on a socket, and what it has logged of failures. */
export interface FuzzService {
  readonly port: number
  readonly users: ReadonlyArray<FuzzUser>
  /** What the log has of a request at the level of an error or a warning. */
  readonly logOf: (requestId: string) => string
  /** How many errors are in the log. */
  readonly errors: () => number
}

type Ports = Auth | ConversationRepo | TaskTools

const keptLogs = 10_000

/** The whole service on these ports, with the model that needs nothing and never fails, and without a limit of rate. */
const serveOn = (
  ports: Layer.Layer<Ports>,
  users: ReadonlyArray<FuzzUser>,
  options: Partial<ServeOptions>
): Effect.Effect<FuzzService, never, Scope.Scope> =>
  Effect.gen(function* () {
    const logs = new Map<string, string>()
    let errors = 0
    const logger = Logger.map(Logger.formatStructured, (entry) => {
      if (entry.level === "ERROR" || entry.level === "FATAL") errors++
      const requestId = entry.annotations["requestId"]
      if (entry.level !== "ERROR" && entry.level !== "WARN") return
      if (typeof requestId === "string" && logs.size < keptLogs) {
        logs.set(requestId, `${entry.level} ${JSON.stringify(entry.message)} ${entry.cause ?? ""}`)
      }
    })
    const domain = Turnkeeper.layer.pipe(Layer.provide(OfflineModel.layer))
    const readiness = Layer.effect(
      Readiness,
      Effect.map(Turns.Turns, (turns) => turns.ready)
    )
    const context = yield* Layer.build(
      serve({ port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0, ...options }).pipe(
        Layer.provide(readiness),
        Layer.provide(domain),
        Layer.provide(Layer.succeed(Settings, { ...defaultSettings, turnsPerMinute: null, turnsAtOnce: null })),
        Layer.provide(ports),
        Layer.provide(Logger.layer([logger]))
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    if (address._tag === "UnixPathAddress") return yield* Effect.die("a port was asked for")
    return { port: address.port, users, logOf: (requestId: string) => logs.get(requestId) ?? "", errors: () => errors }
  }).pipe(Effect.orDie)

/** The service in memory. */
export const serveMemory = (
  count: number,
  options: Partial<ServeOptions> = {}
): Effect.Effect<FuzzService, never, Scope.Scope> => {
  const users = usersOf(count)
  const known = new Map(users.map(({ id, token }) => [token, { id: UserId.make(id), name: id }]))
  return serveOn(Layer.mergeAll(Memory.layer, MemoryAuth.layer(known)), users, options)
}

/** Users and sessions, as Better Auth would have made them. */
const signUp = Effect.fnUntraced(function* (users: ReadonlyArray<FuzzUser>) {
  const sql = yield* SqlClient.SqlClient
  yield* BetterAuth.createDemoSession
  yield* Effect.forEach(users, ({ id, token }) =>
    Effect.andThen(
      sql`insert into "user" (id, name, email, "emailVerified") values (${id}, ${id}, ${id}, true)`,
      sql`insert into session (id, token, "userId", "expiresAt")
        values (${token}, ${token}, ${id}, now() + interval '1 day')`
    )
  )
})

/** The service on an empty PostgreSQL, sessions included. */
export const servePostgres = (
  url: string,
  count: number,
  options: Partial<ServeOptions> = {}
): Effect.Effect<FuzzService, never, Scope.Scope> =>
  Effect.gen(function* () {
    const users = usersOf(count)
    const database: PgDatabase.Options = { url: Redacted.make(url), connections: 10, prepare: true }
    yield* Effect.orDie(PgDatabase.migrate(database))
    const client: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> = Layer.orDie(PgDatabase.layer(database))
    const auth = BetterAuth.layer({ names: BetterAuth.defaultNames, secret: Option.none(), requireSigned: false })
    const ports = Layer.mergeAll(Postgres.layer(), auth).pipe(
      Layer.provide(Layer.effectDiscard(signUp(users))),
      Layer.provide(client)
    )
    return yield* serveOn(Layer.orDie(ports), users, options)
  })
