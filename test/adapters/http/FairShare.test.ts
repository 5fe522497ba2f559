import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { CurrentUser } from "../../../src/adapters/http/Api.ts"
import { withinShare } from "../../../src/adapters/http/Middleware.ts"
import { FairShare, fairShare } from "../../../src/domain/Places.ts"
import { ada, bob, serveFakes } from "../../support/http.ts"

it.live("four requests of a user are worked on at once; those of others go on meanwhile", () =>
  Effect.gen(function* () {
    const open = yield* Latch.make()
    const four = yield* Deferred.make<void>()
    const begun: Array<string> = []
    const server = yield* serveFakes({
      tasks: {
        list: (userId) =>
          Effect.gen(function* () {
            begun.push(userId)
            if (begun.length === 4) yield* Deferred.succeed(four, undefined)
            if (userId === ada.id) yield* open.await
            return { items: [], hasMore: false }
          })
      }
    })
    const ask = Effect.map(server.fetch("GET", `/api/v1/users/${ada.id}/tasks`), ({ status }) => status)
    const crowd = yield* Effect.forEach(Array.from({ length: 9 }), () => Effect.forkChild(ask))
    yield* Deferred.await(four)
    const gone = yield* Effect.forkChild(ask)
    yield* Fiber.interrupt(gone)
    // Neither what needs no share nor another user waits behind them.
    assert.strictEqual((yield* server.fetch("GET", "/health/live")).status, 200)
    const headers = { authorization: "Bearer bob-token" }
    assert.strictEqual((yield* server.fetch("GET", `/api/v1/users/${bob.id}/tasks`, { headers })).status, 200)
    assert.deepStrictEqual(begun, [ada.id, ada.id, ada.id, ada.id, bob.id])
    yield* open.open
    const statuses = yield* Effect.forEach(crowd, Fiber.join)
    assert.deepStrictEqual(
      statuses,
      Array.from({ length: 9 }, () => 200)
    )
  }).pipe(Effect.scoped)
)

it.live("bodies of a user's that do not arrive take no place", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const path = `/api/v1/users/${ada.id}/tasks`
    const half = [
      `POST ${path} HTTP/1.1`,
      "Host: x",
      "Authorization: Bearer ada-token",
      "Content-Type: application/json",
      "Content-Length: 100",
      "Expect: 100-continue",
      "",
      '{"title":'
    ].join("\r\n")
    // Each has been told to go on, so its body is waited for.
    for (let i = 0; i < 5; i++) assert.include(yield* server.rawUntilAnswered(half), "100 Continue")
    assert.strictEqual((yield* server.fetch("GET", path)).status, 200)
  }).pipe(Effect.scoped)
)

it.effect("a place is not waited for without end, and nothing has happened then", () =>
  Effect.gen(function* () {
    const share = withinShare(yield* FairShare)
    let begun = 0
    const request = share(
      Effect.andThen(
        Effect.sync(() => begun++),
        Effect.never
      )
    ).pipe(Effect.provideService(CurrentUser, ada))
    for (let i = 0; i < 4; i++) yield* Effect.forkChild(request, { startImmediately: true })
    const late = yield* Effect.forkChild(Effect.flip(request), { startImmediately: true })
    yield* TestClock.adjust("25 seconds")
    const { body, headers } = yield* Fiber.join(late)
    assert.strictEqual(body.error.code, "unavailable")
    assert.strictEqual(headers["retry-after"], "1")
    assert.strictEqual(begun, 4)
  }).pipe(Effect.provide(fairShare))
)
