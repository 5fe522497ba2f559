import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fuzz } from "../../fuzz/run.ts"
import { serveMemory, servePostgres } from "../../fuzz/service.ts"
import { crowd, fuzzSockets, slowCases, socketCases } from "../../fuzz/sockets.ts"
import { freshDatabase } from "../../support/database.ts"

/* A slice of `npm run fuzz`: the same cases by the same seeds, but fewer. */

const seed = 1

describe("whatever is asked is answered as the document has it", () => {
  it.live("in memory", () =>
    Effect.gen(function* () {
      const service = yield* serveMemory(4)
      const report = yield* fuzz(service, { seed, requests: 200, naughtyStep: 50, concurrency: 16 })
      assert.strictEqual(report.breaches.join("\n\n"), "")
      assert.isAtLeast(report.tallies.length, 15)
      for (const { invalid, naughty, operation, valid } of report.tallies) {
        assert.strictEqual(Math.min(valid, invalid), 100, operation)
        assert.isAtLeast(naughty, 20, operation)
      }
    })
  )

  it.live("on PostgreSQL", () =>
    Effect.gen(function* () {
      const service = yield* servePostgres(yield* freshDatabase(), 2)
      const report = yield* fuzz(service, { seed: seed + 1, requests: 40, naughtyStep: 100, concurrency: 16 })
      assert.strictEqual(report.breaches.join("\n\n"), "")
    })
  )
})

describe("whatever is sent on a socket is refused, and nobody else notices", () => {
  it.live("at once", () =>
    Effect.gen(function* () {
      const service = yield* serveMemory(1)
      const cases = socketCases(service, seed)
      assert.strictEqual((yield* fuzzSockets(service, cases, 8)).join("\n\n"), "")
      assert.strictEqual((yield* crowd(service, 200)).join("\n\n"), "")
    })
  )

  it.live("or when it does not come to an end", () =>
    Effect.gen(function* () {
      const service = yield* serveMemory(1, { requestTimeout: "1 second" })
      const cases = slowCases(service)
      assert.strictEqual((yield* fuzzSockets(service, cases, cases.length)).join("\n\n"), "")
    })
  )
})
