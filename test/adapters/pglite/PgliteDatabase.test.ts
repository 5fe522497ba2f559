import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import { temporaryFolder } from "../../support/service.ts"

describe("PgliteDatabase", () => {
  it.live(
    "keeps its folder to one user at a time, and what was written in it",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const database = PgliteDatabase.layer({ dataDir: folder })
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`create table kept (n int)`
          yield* sql`insert into kept values (1)`
          const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(database))))
          assert(error._tag === "DataDirLocked")
          assert.strictEqual(error.dataDir, folder)
        }).pipe(Effect.provide(database))
        const rows = yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select n from kept`).pipe(
          Effect.provide(Layer.fresh(database))
        )
        assert.deepStrictEqual(rows, [{ n: 1 }])
      }).pipe(Effect.scoped),
    60_000
  )
})

layer(PgliteDatabase.layer(), { timeout: "60 seconds" })("the embedded database", (it) => {
  it.effect("rolls back what is interrupted in a transaction, and goes on", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table half (n int)`
      const written = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        sql.withTransaction(
          Effect.andThen(
            sql`insert into half values (1)`,
            Effect.andThen(Deferred.succeed(written, undefined), Effect.never)
          )
        )
      )
      yield* Deferred.await(written)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* sql`select count(*)::int n from half`, [{ n: 0 }])
    })
  )

  it.effect("keeps statements of others out of a transaction", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table many (n int)`
      const insert = (n: number) => sql`insert into many values (${n}::int)`
      yield* Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i),
        (n) =>
          n % 2 === 0
            ? Effect.asVoid(insert(n))
            : Effect.ignore(sql.withTransaction(Effect.andThen(insert(n), Effect.fail("rolled back")))),
        { concurrency: "unbounded" }
      )
      const rows = yield* sql`select n from many order by n`
      assert.deepStrictEqual(
        rows.map((row) => row["n"]),
        Array.from({ length: 20 }, (_, i) => 2 * i)
      )
    })
  )

  it.effect("is vacuumed now and then", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table swept (n int)`
      yield* sql`insert into swept select generate_series(1, 100)`
      const known = Effect.map(
        sql`select reltuples::int n from pg_class where relname = 'swept'`,
        ([row]) => row?.["n"]
      )
      assert.strictEqual(yield* known, -1) // it was never looked at
      yield* TestClock.adjust("10 minutes")
      for (let i = 0; i < 1000 && (yield* known) === -1; i++);
      assert.strictEqual(yield* known, 100)
    })
  )
})
