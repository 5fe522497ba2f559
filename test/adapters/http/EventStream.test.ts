import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { answerWithEvents, wantsEvents } from "../../../src/adapters/http/EventStream.ts"
import { eventStreams } from "../../../src/adapters/http/Examples.ts"
import { ConversationBusy, ShuttingDown, StorageUnavailable, TurnNotFound } from "../../../src/domain/model/Errors.ts"
import type { TurnEvent } from "../../../src/domain/TurnEvents.ts"
import type { StoredCall } from "../../../src/ports/ConversationRepo.ts"
import {
  ada,
  conversation,
  invalidJson,
  message,
  problemJson,
  requestId,
  serveFakes,
  toolCallJson,
  turnId
} from "../../support/http.ts"

const path = `/api/v1/users/${ada.id}/chat`
const eventsPath = `/api/v1/users/${ada.id}/turns/${turnId}/events`
const body = '{"message":"Hello"}'
const accept = { accept: "text/event-stream" }

const at = (step: number, position: number) => ({ attempt: 3, step, position })
const begun: TurnEvent = { ...at(0, 0), _tag: "Begun", conversationId: conversation.id, turnId }
const storedCall: StoredCall = Array.getUnsafe(message.calls, 0)
const completed: TurnEvent = { ...at(1, 1), _tag: "Completed", body: '{"message":"Hi\\u009b."}' }

/** The events of an answer, as their names, ids and data. */
const eventsOf = (text: string) =>
  text
    .split("\n\n")
    .filter((block) => block.trim() !== "" && !block.startsWith(":"))
    .map((block) => {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)))
      return [fields["event"], fields["id"], JSON.parse(fields["data"] ?? "null")] as const
    })

describe("the events of a turn", () => {
  it.live("are sent as they happen, and the answer at their end", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        feed: {
          follow: () =>
            Stream.make<ReadonlyArray<TurnEvent>>(
              begun,
              { ...at(0, 10), _tag: "Text", text: "One\nmo\u009bment" },
              { ...at(0, 11), _tag: "Restarted" },
              { ...at(0, 12), _tag: "ToolCallBegun", call: storedCall },
              { ...at(0, 13), _tag: "ToolCallDone", call: storedCall },
              { ...at(1, 0), _tag: "StepDone" },
              completed
            )
        }
      })
      const response = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "text/event-stream")
      assert.strictEqual(response.headers["cache-control"], "no-store")
      assert.strictEqual(response.headers["x-accel-buffering"], "no")
      assert.strictEqual(response.headers["x-request-id"], requestId)
      assert.notProperty(response.headers, "idempotency-replayed")
      assert.notInclude(response.text, "\u009b")
      const { result: _, status: __, ...told } = toolCallJson
      assert.deepStrictEqual(eventsOf(response.text), [
        ["begun", "3.0.0", { conversation_id: conversation.id, turn_id: turnId }],
        ["text", "3.0.10", { text: "One\nmo\u009bment" }],
        ["restarted", "3.0.11", { step: 0 }],
        ["tool_call_begun", "3.0.12", told],
        ["tool_call_done", "3.0.13", toolCallJson],
        ["step_done", "3.1.0", { step: 1 }],
        ["completed", "3.1.1", { message: "Hi\u009b." }]
      ])
      const call = server.calls.find(([method]) => method === "open")
      assert.deepInclude(call?.[1], { user: ada, message: "Hello" })
    })
  )

  it.live("are those that the document shows", () =>
    Effect.gen(function* () {
      const [shown] = Object.values(eventStreams)
      assert(shown !== undefined)
      const events = eventsOf(shown.value)
      const data = (name: string) => events.find(([event]) => event === name)?.[2]
      const [reply, told] = [data("completed"), data("tool_call_done")]
      const stored: StoredCall = {
        ...storedCall,
        id: told.id,
        toolName: told.tool_name,
        arguments: JSON.stringify(told.arguments),
        result: JSON.stringify(told.result)
      }
      const place = (step: number, position: number) => ({ attempt: 1, step, position })
      const server = yield* serveFakes({
        feed: {
          follow: () =>
            Stream.make<ReadonlyArray<TurnEvent>>(
              { ...place(0, 0), _tag: "Begun", conversationId: reply.conversation_id, turnId: reply.turn_id },
              { ...place(0, 1), _tag: "ToolCallBegun", call: stored },
              { ...place(0, 2), _tag: "ToolCallDone", call: stored },
              { ...place(1, 0), _tag: "StepDone" },
              { ...place(1, 26), _tag: "Text", text: "I've added 'Buy groceries'" },
              { ...place(1, 50), _tag: "Text", text: " to your list as task 1." },
              { ...place(1, 51), _tag: "Completed", body: JSON.stringify(reply) }
            )
        }
      })
      const { text } = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(
        text,
        shown.value
          .replaceAll('"user_id":"demo"', `"user_id":"${ada.id}"`)
          .replace(/(event: completed.*)/s, (end) => end.replaceAll(ada.id, "demo"))
      )
    })
  )

  it.live("are told behind the last one that came, and of a turn that was stopped too", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        feed: {
          follow: (user, id, after) =>
            Stream.make<ReadonlyArray<TurnEvent>>({
              ...at(1, 9),
              _tag: "Stopped",
              body: JSON.stringify({ user, id, after: Option.getOrNull(after) })
            })
        }
      })
      const ask = (headers: Record<string, string>) => server.fetch("GET", eventsPath, { headers })
      assert.deepStrictEqual(eventsOf((yield* ask({})).text), [
        ["stopped", "3.1.9", { user: ada.id, id: turnId, after: null }]
      ])
      const again = yield* ask({ "last-event-id": "2.1.7" })
      assert.strictEqual(again.headers["content-type"], "text/event-stream")
      assert.deepStrictEqual(eventsOf(again.text), [
        ["stopped", "3.1.9", { user: ada.id, id: turnId, after: { attempt: 2, step: 1, position: 7 } }]
      ])
      for (const id of ["", "1.2", "1.2.3.4", "a.b.c", "1.1.99999999999", "-1.0.0"]) {
        const refused = yield* ask({ "last-event-id": id })
        assert.deepStrictEqual(
          refused.json(),
          invalidJson({ path: "last-event-id", message: "Expected the id of an event" })
        )
      }
    })
  )

  it.live("are not held back until there are more", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<void>()
      const server = yield* serveFakes({
        feed: {
          follow: () => Stream.concat(Stream.make(begun), Stream.fromEffect(Effect.as(Deferred.await(seen), completed)))
        }
      })
      const response = yield* Effect.promise((signal) =>
        fetch(`http://127.0.0.1:${server.port}${path}`, {
          method: "POST",
          body,
          signal,
          headers: { authorization: "Bearer ada-token", "content-type": "application/json", ...accept }
        })
      )
      const reader = response.body?.getReader()
      const first = yield* Effect.promise(() => reader?.read() ?? Promise.reject(new Error("no body")))
      assert.include(new TextDecoder().decode(first.value), "event: begun\n")
      yield* Deferred.succeed(seen, undefined)
      const second = yield* Effect.promise(() => reader?.read() ?? Promise.reject(new Error("no body")))
      assert.include(new TextDecoder().decode(second.value), "event: completed\n")
    })
  )

  it.live("do not wait for ever for who reads nothing", () =>
    Effect.gen(function* () {
      const left = yield* Deferred.make<void>()
      const text = "x".repeat(1024 * 1024)
      const endless = Stream.forever(Stream.succeed<TurnEvent>({ ...at(0, 1), _tag: "Text", text }))
      const server = yield* serveFakes(
        { feed: { follow: () => Stream.ensuring(endless, Deferred.succeed(left, undefined)) } },
        { stallTimeout: "300 millis" }
      )
      const head = `GET ${eventsPath} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\n\r\n`
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() =>
          connect(server.port, "127.0.0.1")
            .pause()
            .on("error", () => undefined)
        ),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.write(head)
      yield* Deferred.await(left)
    })
  )

  it.live("and answers are waited for as long as they take", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes(
        { chat: { send: () => Effect.delay(Effect.succeed({ body: "{}", replayed: false }), "400 millis") } },
        { stallTimeout: "100 millis" }
      )
      assert.strictEqual((yield* server.fetch("POST", path, { body })).status, 200)
    })
  )

  it.live("end with the problem that the turn came to", () =>
    Effect.gen(function* () {
      const failed: TurnEvent = {
        ...at(0, 1),
        _tag: "Failed",
        turn: {
          userId: ada.id,
          conversationId: conversation.id,
          turnId,
          failure: { code: "step_limit" },
          retryable: false,
          calls: [storedCall],
          usage: { promptTokens: 1, completionTokens: 2 }
        }
      }
      const server = yield* serveFakes({ feed: { follow: () => Stream.make(begun, failed) } })
      const response = yield* server.fetch("POST", path, { body, headers: accept })
      const detail =
        "The agent did not come to an end within its limit of steps. It will not be tried again under this Idempotency-Key."
      assert.deepStrictEqual(eventsOf(response.text).at(-1), [
        "failed",
        "3.0.1",
        problemJson(502, "step_limit", "The agent did not come to an end", detail, {
          conversation_id: conversation.id,
          turn_id: turnId,
          tool_calls: [toolCallJson],
          usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
          retryable: false
        })
      ])
    })
  )

  it.live("are interrupted by a problem when the turn cannot be followed to its end", () =>
    Effect.gen(function* () {
      const failures = [
        new ShuttingDown(),
        new StorageUnavailable({ operation: "test" }),
        new TurnNotFound({ turnId }),
        undefined
      ]
      const server = yield* serveFakes({
        feed: {
          follow: () => {
            const failure = failures.shift()
            return Stream.concat(
              Stream.make(begun),
              failure === undefined ? Stream.die(new Error("a bug of Ada's")) : Stream.fail(failure)
            )
          }
        }
      })
      const told = Effect.map(server.fetch("GET", eventsPath), (response) => {
        assert.strictEqual(response.status, 200)
        const [name, id, data] = eventsOf(response.text).at(-1) ?? []
        assert.deepStrictEqual([name, id, data.request_id], ["interrupted", undefined, requestId])
        assert.notInclude(response.text, "a bug of")
        return [data.status, data.error.code]
      })
      assert.deepStrictEqual(yield* told, [503, "unavailable"])
      assert.deepStrictEqual(yield* told, [503, "unavailable"])
      assert.deepStrictEqual(yield* told, [404, "not_found"])
      assert.strictEqual(server.logs.length, 1)
      assert.deepStrictEqual(yield* told, [500, "internal"])
      assert.strictEqual(server.logs.length, 2)
    })
  )

  it.live("are none where it fails before the first", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        chat: { open: () => Effect.fail(new ConversationBusy({ retryAfterMillis: 1000 })) },
        feed: { follow: () => Effect.fail(new TurnNotFound({ turnId })) }
      })
      const refused = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(refused.status, 409)
      assert.strictEqual(refused.headers["content-type"], "application/problem+json")
      assert.strictEqual(refused.headers["retry-after"], "1")
      const none = yield* server.fetch("GET", eventsPath)
      assert.strictEqual(none.status, 404)
      assert.deepStrictEqual(
        none.json(),
        problemJson(404, "not_found", "There is no such thing", "There is no such turn.")
      )
    })
  )

  it.live("hold no place of their user while none comes", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ feed: { follow: () => Stream.never } })
      const headers = { authorization: "Bearer ada-token", "last-event-id": "1.1.3" }
      for (let i = 0; i < 6; i++) {
        const response = yield* Effect.promise((signal) =>
          fetch(`http://127.0.0.1:${server.port}${eventsPath}`, { headers, signal })
        )
        assert.strictEqual(response.status, 200)
      }
      const stopped = yield* server.fetch("POST", eventsPath.replace(/events$/, "stop"))
      assert.strictEqual(stopped.status, 200)
    })
  )

  it.live("of a turn that had been answered are told with the sign of that", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ chat: { open: () => Effect.succeed({ turnId, replayed: true }) } })
      const replayed = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(replayed.headers["idempotency-replayed"], "true")
      assert.deepStrictEqual(
        eventsOf(replayed.text).map(([name]) => name),
        ["completed"]
      )
    })
  )

  it.effect("are kept company by comments while nothing happens", () =>
    Effect.gen(function* () {
      const response = yield* answerWithEvents(
        ada.id,
        Effect.succeed(Stream.fromEffect(Effect.as(Effect.sleep("40 seconds"), completed)))
      )
      assert(response.body._tag === "Stream")
      const reading = yield* Effect.forkChild(
        Stream.runCollect(Stream.decodeText(Stream.orDie(response.body.stream))),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust("40 seconds")
      const text = (yield* Fiber.join(reading)).join("")
      assert.strictEqual(text.split(": the turn goes on\n\n").length, 3)
      assert.deepStrictEqual(
        eventsOf(text.replaceAll(": the turn goes on\n\n", "")).map(([name]) => name),
        ["completed"]
      )
    }).pipe(Effect.scoped)
  )

  it("are for who asks for them", () => {
    const asks = [
      "text/event-stream",
      "TEXT/Event-Stream",
      "application/json, text/event-stream",
      "text/event-stream;q=0.5"
    ]
    for (const accept of asks) assert.isTrue(wantsEvents(accept), accept)
    const asksNot = [
      undefined,
      "",
      "*/*",
      "text/*",
      "application/json",
      "text/event-stream;q=0",
      "application/json, text/event-stream; q=0.9",
      "text/event-streams",
      "text/event-stream;q=x"
    ]
    for (const accept of asksNot) assert.isFalse(wantsEvents(accept), String(accept))
  })

  it.live("are not for who did not ask", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch("POST", path, { body })
      assert.strictEqual(response.headers["content-type"], "application/json")
      assert.deepStrictEqual(
        server.calls.map(([method]) => method),
        ["send"]
      )
    })
  )
})
