import * as Net from "node:net"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as PgConversationRepo from "../../../src/adapters/postgres/PgConversationRepo.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import { ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import { databaseOptions, freshDatabase, postgres } from "../../support/database.ts"

const plain = (url: string) => PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })

describe("PgDatabase", () => {
  it.live("brings an empty database up to date, even when two instances start at once, and once only", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const options = databaseOptions(url)
      yield* Effect.all([PgDatabase.migrate(options), PgDatabase.migrate(options)], { concurrency: 2 })
      yield* PgDatabase.migrate(options)
      const ran = yield* Effect.provide(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select migration_id, name from turnkeeper_migrations`),
        plain(url)
      )
      assert.deepStrictEqual(ran, [{ migration_id: 1, name: "turns" }])
      yield* Effect.provide(PgDatabase.requireMigrations, plain(url))
    })
  )

  it.live("refuses a database that lacks the migrations, and is not ready on it", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const error = yield* Effect.flip(Effect.provide(PgDatabase.requireMigrations, plain(url)))
      assert(error._tag === "MigrationsMissing")
      assert.deepStrictEqual([error.found, error.needed], [0, 1])
      assert.include(error.message, "MIGRATE=on")
      const client = plain(url)
      const ready = Effect.flatMap(ConversationRepo, (repo) => repo.check).pipe(
        Effect.provide(PgConversationRepo.layer.pipe(Layer.provide(client)))
      )
      assert.strictEqual((yield* Effect.exit(ready))._tag, "Failure")
    })
  )

  it.live("tells a database that is out of reach from a bug", () =>
    Effect.gen(function* () {
      const nowhere = PgDatabase.layer(databaseOptions("postgres://postgres@127.0.0.1:1/x"))
      const error = yield* Effect.flatMap(ConversationRepo, (repo) =>
        repo.list(UserId.make("ada"), { limit: 1, after: Option.none() })
      ).pipe(Effect.provide(PgConversationRepo.layer.pipe(Layer.provide(nowhere))), Effect.flip)
      assert(error._tag === "StorageUnavailable")
      assert.strictEqual(error.operation, "ConversationRepo.list")
    })
  )
})

/** A server that takes what is sent and never answers, in front of the real one once it is told to. */
const blackHole = (target: URL) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<{ readonly url: string; readonly server: Net.Server; swallow: boolean }>((resolve) => {
          const server = Net.createServer((client) => {
            const upstream = Net.connect(Number(target.port), target.hostname)
            client.on("data", (data) => {
              if (!state.swallow) upstream.write(data)
            })
            upstream.on("data", (data) => client.write(data))
            for (const socket of [client, upstream]) {
              socket.on("error", () => {
                client.destroy()
                upstream.destroy()
              })
            }
          })
          const state = { url: "", server, swallow: false }
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            const url = new URL(target)
            url.port = typeof address === "object" && address !== null ? String(address.port) : ""
            state.url = url.href
            resolve(state)
          })
        })
    ),
    ({ server }) => Effect.sync(() => server.close())
  )

describe("a connection that stopped answering", () => {
  it.live("is given up, and the next one works", () =>
    Effect.gen(function* () {
      const hole = yield* blackHole(new URL(yield* freshDatabase()))
      const client = yield* Layer.build(PgDatabase.layer({ ...databaseOptions(hole.url, 1), silenceMillis: 200 }))
      const sql = Context.get(client, SqlClient.SqlClient)
      const ask = sql`select 1 as one`
      assert.deepStrictEqual(yield* ask, [{ one: 1 }])
      hole.swallow = true
      assert.strictEqual((yield* Effect.flip(ask))._tag, "SqlError")
      hole.swallow = false
      assert.deepStrictEqual(yield* ask, [{ one: 1 }])
    }).pipe(Effect.scoped)
  )
})

layer(postgres(), { excludeTestServices: true, timeout: "60 seconds" })("statements", (it) => {
  it.effect("never scan a table whole, though all of them are empty", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [setting] = yield* sql`show enable_seqscan`
      assert.deepStrictEqual(setting, { enable_seqscan: "off" })
      const functions = yield* sql`select p.proname, p.proconfig from pg_proc p
        join pg_language l on l.oid = p.prolang
        where p.pronamespace = 'public'::regnamespace and l.lanname = 'plpgsql'`
      assert.isAbove(functions.length, 15)
      for (const { proconfig, proname } of functions) {
        assert(Array.isArray(proconfig), String(proname))
        assert.include(proconfig, "enable_seqscan=off", String(proname))
      }
    })
  )
})
