import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Headers, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Sessions from "../../../src/adapters/mcp/Sessions.ts"
import { UserId } from "../../../src/domain/model/User.ts"

const ada = UserId.make("ada")

/** A protocol that opens sessions by POST without one, and closes them by DELETE. */
const makeProtocol = () => {
  const open = new Set<string>()
  let opened = 0
  const protocol = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers, method }) => {
    const id = headers["mcp-session-id"]
    if (method === "DELETE") {
      open.delete(id ?? "")
      return HttpServerResponse.empty({ status: 204 })
    }
    if (id !== undefined) return HttpServerResponse.empty({ status: open.has(id) ? 200 : 404 })
    open.add(`own-${++opened}`)
    return HttpServerResponse.empty({
      headers: { "mcp-session-id": `own-${opened}`, "mcp-protocol-version": "2025-11-25" }
    })
  })
  return { open, protocol }
}

const request = (headers: Headers.Headers) =>
  HttpServerRequest.fromWeb(new Request("http://localhost/", { method: "POST", headers }))

describe("sessions", () => {
  it.effect("are known to the protocol while they are used, and for a minute after", () =>
    Effect.gen(function* () {
      const { open, protocol } = makeProtocol()
      const sessions = yield* Sessions.make(protocol, ["2025-11-25"])
      const ids: Array<string> = []
      for (let i = 0; i < 100; i++) {
        const begun = yield* sessions.answer(ada, request(Headers.empty))
        ids.push(begun.headers["mcp-session-id"] ?? "")
      }
      assert.strictEqual(new Set(ids).size, 100)
      assert.strictEqual(open.size, 0)

      const named = Headers.fromInput({ "mcp-session-id": ids[0] })
      const using = yield* Scope.make()
      const headers = yield* Scope.provide(sessions.enter(ada, named), using)
      assert.strictEqual((yield* sessions.answer(ada, request(headers ?? Headers.empty))).status, 200)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(open.size, 1)
      yield* Scope.close(using, Exit.void)
      const again = yield* Effect.scoped(sessions.enter(ada, named))
      assert.deepStrictEqual(again, headers)
      assert.strictEqual(open.size, 1)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(open.size, 0)
      const anew = yield* Effect.scoped(sessions.enter(ada, named))
      assert.notDeepEqual(anew, headers)
      assert.strictEqual(open.size, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("of somebody else are nobody's", () =>
    Effect.gen(function* () {
      const { open, protocol } = makeProtocol()
      const sessions = yield* Sessions.make(protocol, ["2025-11-25"])
      const begun = yield* sessions.answer(ada, request(Headers.empty))
      const named = Headers.fromInput({ "mcp-session-id": begun.headers["mcp-session-id"] })
      assert.isUndefined(yield* sessions.enter(UserId.make("bob"), named))
      assert.strictEqual(open.size, 0)
      assert.isDefined(yield* sessions.enter(ada, named))
    }).pipe(Effect.scoped)
  )

  it.effect("are kept for a user up to a hundred, be they made up or not, and for another one still", () =>
    Effect.gen(function* () {
      const { open, protocol } = makeProtocol()
      const sessions = yield* Sessions.make(protocol, ["2025-11-25"])
      const use = (user: string, i: number) => {
        const id = `2025-11-25.00000000-0000-4000-8000-${String(i).padStart(12, "0")}.${user}`
        return Effect.scoped(sessions.enter(UserId.make(user), Headers.fromInput({ "mcp-session-id": id })))
      }
      for (let i = 0; i < 100; i++) yield* use("ada", i)
      assert.strictEqual((yield* Effect.flip(use("ada", 100)))._tag, "ExceededCapacityError")
      assert.strictEqual(open.size, 100)
      assert.isDefined(yield* use("ada", 0))
      assert.isDefined(yield* use("bob", 100))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(open.size, 0)
      assert.isDefined(yield* use("ada", 100))
    }).pipe(Effect.scoped)
  )
})
