import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import { databaseOptions, freshDatabase } from "../support/database.ts"
import { connect, titlesOf } from "../support/mcp.ts"
import { demoOf, start, temporaryFolder } from "../support/service.ts"

const keys = Array.from({ length: 12 }, (_, i) => `k${i}`)

describe("the service's MCP", () => {
  it.live("has a call once under its key, though the service is killed while it carries calls out", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const embedded = { DATA_DIR: folder }
      const first = yield* start(embedded)
      const { token } = demoOf(first.output())
      assert.include(first.output(), `${first.url}/mcp`)
      const before = yield* connect(`${first.url}/mcp`, token)
      const add = (connection: typeof before, key: string) => connection.call("add_task", { title: key }, key)
      const answered = yield* add(before, "k0")
      const rest = yield* Effect.forkChild(
        Effect.forEach(keys, (key) => Effect.ignore(add(before, key)), { concurrency: "unbounded", discard: true })
      )
      yield* add(before, "k1")
      yield* first.end("SIGKILL")
      yield* Fiber.join(rest)
      const second = yield* start(embedded)
      // The session of before goes on.
      const after = yield* connect(`${second.url}/mcp`, token, before.sessionId())
      const results = yield* Effect.forEach(keys, (key) => add(after, key), { concurrency: 6 })
      assert.deepStrictEqual(results[0], answered)
      assert.deepStrictEqual((yield* titlesOf(after)).toSorted(), keys.toSorted())
    }).pipe(Effect.scoped)
  )

  it.live("has a call once under its key at several instances, one of which is killed", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const database = PgDatabase.layer(databaseOptions(url, 1))
      const { token } = yield* Effect.provide(BetterAuth.createDemoSession, database)
      const [a, b] = yield* Effect.all([start({ DATABASE_URL: url }), start({ DATABASE_URL: url })], { concurrency: 2 })
      const here = yield* connect(`${a.url}/mcp`, token)
      const there = yield* connect(`${b.url}/mcp`, token, here.sessionId())
      const addAll = (connection: typeof here) =>
        Effect.forEach(keys, (key) => connection.call("add_task", { title: key }, key), { concurrency: "unbounded" })
      const dying = yield* Effect.forkChild(Effect.ignore(addAll(here)))
      const meanwhile = yield* Effect.forkChild(addAll(there))
      yield* here.call("list_tasks")
      yield* a.end("SIGKILL")
      yield* Fiber.join(dying)
      const told = yield* Fiber.join(meanwhile)
      assert.deepStrictEqual(yield* addAll(there), told)
      assert.deepStrictEqual((yield* titlesOf(there)).toSorted(), keys.toSorted())
      const rows = yield* Effect.provide(
        Effect.flatMap(
          SqlClient.SqlClient,
          (sql) => sql`select count(*)::int n from direct_calls where result is null`
        ),
        database
      )
      assert.deepStrictEqual(rows, [{ n: 0 }])
    }).pipe(Effect.scoped)
  )
})
