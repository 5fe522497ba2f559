import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { prepareTurnkeeper, seedTasks, seedTurnkeeper } from "../../../bench/seed.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import { startPostgres } from "../../support/postgres.ts"
import { explainEverything, scannedBy } from "../../support/statements.ts"

describe("plans", () => {
  it.live(
    "find rows by index alone, and read no more pages than the answer needs",
    () =>
      Effect.gen(function* () {
        const server = yield* Effect.acquireRelease(
          Effect.promise(() => startPostgres(18)),
          ({ stop }) => Effect.promise(stop)
        )
        yield* PgDatabase.migrate({ url: Redacted.make(server.url), connections: 1, prepare: true })
        yield* Effect.promise(async () => {
          await prepareTurnkeeper(server.url, 100)
          await seedTurnkeeper(server.url, { users: 100, conversations: 1, messages: 5000 })
          await seedTurnkeeper(server.url, { users: 100, conversations: 1999, messages: 20 }, 1)
          await seedTasks(server.url, 100, 100)
        })
        const plans = yield* explainEverything(server, server.url)
        const tables = new Set(plans.flatMap((plan) => plan.nodes.flatMap((node) => node.relation ?? [])))
        assert.includeMembers(
          [...tables],
          [
            "conversations",
            "direct_calls",
            "messages",
            "rate_limits",
            "session",
            "steps",
            "tasks",
            "tool_calls",
            "turns",
            "user_counters"
          ]
        )
        assert.isAbove(plans.length, 100)
        for (const plan of plans) {
          const { nodes, pages, query } = plan
          assert.deepStrictEqual(scannedBy(plan), [], query)
          assert.isBelow(Math.max(...nodes.map((node) => node.removed)), 200, query)
          // 50 messages with their turns and calls are the most that is ever read at once.
          assert.isBelow(pages, 250, query)
        }
      }).pipe(Effect.scoped),
    60_000
  )
})
