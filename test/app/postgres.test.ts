import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import { databaseOptions, freshDatabase } from "../support/database.ts"
import { type ModelRequest, ModelServer, replies } from "../support/model-server.ts"
import type { Version } from "../support/postgres.ts"
import { http, start, startInVain } from "../support/service.ts"

/** A database with Better Auth's tables and one session in them. */
const site = Effect.fnUntraced(function* (version: Version) {
  const url = yield* freshDatabase(version)
  const client = PgDatabase.layer(databaseOptions(url, 2))
  const demo = yield* Effect.provide(BetterAuth.createDemoSession, client)
  return { url, client, token: demo.token, path: `/api/v1/users/${demo.userId}` }
})

/** A model server, and what tells an instance of it. */
const modelOf = Effect.map(ModelServer.make, (server) => ({
  server,
  env: { OPENAI_API_KEY: "test", OPENAI_BASE_URL: server.baseUrl, RATE_LIMIT: "off", TURNS_AT_ONCE: "off" }
}))

/** Whether the request is the second one of its turn: the tool's result is at its end. */
const afterTool = (request: ModelRequest): boolean => (JSON.stringify(request.body) ?? "").includes('"role":"tool"')

const addMilk = replies.calls([{ name: "add_task", arguments: { title: "Milk" } }])
const added = replies.text("Milk is on the list.")

describe("instances on one PostgreSQL", () => {
  it.live.each([15, 18] as const)(
    "serve the same conversations, and make one turn of one key: PostgreSQL %s",
    (version) =>
      Effect.gen(function* () {
        const { path, token, url } = yield* site(version)
        const { env, server } = yield* modelOf
        const [a, b] = yield* Effect.all([start({ DATABASE_URL: url, ...env }), start({ DATABASE_URL: url, ...env })], {
          concurrency: 2
        })
        yield* server.otherwise((request) => Effect.succeed(afterTool(request) ? added : addMilk))

        // The same request ten times at once, on both instances, and then once more.
        const send = (instance: { readonly url: string }, message = "Add milk") =>
          http("POST", `${instance.url}${path}/chat`, token, { message }, { "idempotency-key": "k" })
        const answers = yield* Effect.forEach(Array.from({ length: 10 }), (_, i) => send(i % 2 === 0 ? a : b), {
          concurrency: "unbounded"
        })
        const last = yield* send(b)
        assert.deepStrictEqual(
          [...answers, last].map((answer) => answer.status),
          Array.from({ length: 11 }, () => 200)
        )
        assert.strictEqual(new Set([...answers, last].map((answer) => answer.text)).size, 1)
        assert.strictEqual(last.headers.get("idempotency-replayed"), "true")
        assert.strictEqual((yield* send(a, "Add bread")).status, 422)
        assert.strictEqual(server.requests.length, 2)

        yield* server.otherwise(replies.text("You have milk on your list."))
        const { conversation_id } = last.json
        const next = yield* http("POST", `${b.url}${path}/chat`, token, { message: "What is left?", conversation_id })
        assert.strictEqual(next.status, 200)
        const messages = yield* http("GET", `${a.url}${path}/conversations/${conversation_id}/messages`, token)
        assert.deepStrictEqual(
          messages.json.data.map((row: { readonly content: string }) => row.content),
          ["Add milk", "Milk is on the list.", "What is left?", "You have milk on your list."]
        )
        assert.strictEqual((yield* http("GET", `${b.url}${path}/tasks`, token)).json.data.length, 1)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "go on with the turns of one that shuts down, and of one that is killed",
    () =>
      Effect.gen(function* () {
        const { client, path, token, url } = yield* site(18)
        const { env, server } = yield* modelOf
        const options = { DATABASE_URL: url, SHUTDOWN_GRACE: "0 seconds", ...env }
        for (const signal of ["SIGTERM", "SIGKILL"] as const) {
          const dying = yield* start(options)
          yield* server.script(addMilk, () => Effect.never)
          const request = (instance: { readonly url: string }) =>
            http("POST", `${instance.url}${path}/chat`, token, { message: "Add milk" }, { "idempotency-key": signal })
          const waiting = yield* Effect.forkChild(Effect.exit(request(dying)))
          yield* server.next
          yield* server.next // the tool has run, and the model thinks about it for ever
          yield* dying.end(signal)
          const answer = yield* Fiber.join(waiting)
          if (signal === "SIGTERM") {
            assert(answer._tag === "Success")
            assert.strictEqual(answer.value.status, 503)
            assert.isNotNull(answer.value.headers.get("retry-after"))
          } else {
            // Nobody handed this one back: as if its lease had run out.
            yield* Effect.provide(
              Effect.flatMap(
                SqlClient.SqlClient,
                (sql) => sql`update turns set lease_until = '-infinity'
                where status = 'running'`
              ),
              client
            )
          }
          yield* server.otherwise(added)
          const next = yield* start(options)
          const reply = yield* request(next)
          assert.strictEqual(reply.status, 200)
          assert.strictEqual(reply.json.message, "Milk is on the list.")
          assert.strictEqual(reply.json.tool_calls.length, 1)
          yield* server.next // that of the instance which went on
          yield* next.end("SIGTERM")
        }
        const tasks = yield* Effect.provide(
          Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select count(*)::int n from tasks`),
          client
        )
        assert.deepStrictEqual(tasks, [{ n: 2 }])
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "hold no connection while the model thinks: a hundred turns over a pool of one",
    () =>
      Effect.gen(function* () {
        const { path, token, url } = yield* site(18)
        const { env, server } = yield* modelOf
        const thought = yield* Deferred.make<void>()
        yield* server.otherwise((request) => Effect.as(Deferred.await(thought), afterTool(request) ? added : addMilk))
        const instance = yield* start({ DATABASE_URL: url, DATABASE_POOL: "1", ...env })
        const turns = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 100 }),
            () => http("POST", `${instance.url}${path}/chat`, token, { message: "Add milk" }),
            { concurrency: "unbounded" }
          )
        )
        for (let i = 0; i < 100; i++) yield* server.next
        // All hundred think, and the one connection is free.
        assert.strictEqual((yield* http("GET", `${instance.url}${path}/tasks`, token)).status, 200)
        yield* Deferred.succeed(thought, undefined)
        const answers = yield* Fiber.join(turns)
        assert.isTrue(answers.every((answer) => answer.status === 200))
        assert.strictEqual((yield* http("GET", `${instance.url}${path}/tasks?limit=200`, token)).json.data.length, 100)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("refuse a database that is not theirs", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const unmigrated = yield* startInVain({ DATABASE_URL: url, MIGRATE: "off" })
      assert.strictEqual(unmigrated.code, 1)
      assert.include(unmigrated.output, "MIGRATE=on")
      const signless = yield* startInVain({ DATABASE_URL: url })
      assert.strictEqual(signless.code, 1)
      assert.include(signless.output, "nobody could sign in")
      yield* Effect.provide(BetterAuth.createDemoSession, PgDatabase.layer(databaseOptions(url, 1)))
      const started = yield* start({ DATABASE_URL: url, MIGRATE: "off" })
      assert.include(started.output(), "PostgreSQL")
      assert.notInclude(started.output(), "token")
    }).pipe(Effect.scoped)
  )
})
