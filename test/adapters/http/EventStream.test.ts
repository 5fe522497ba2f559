import { assert, describe, it } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { answerWithEvents, wantsEvents } from "../../../src/adapters/http/EventStream.ts"
import { eventStreams } from "../../../src/adapters/http/Examples.ts"
import { ConversationBusy, TurnFailed } from "../../../src/domain/model/Errors.ts"
import type { TurnEvent } from "../../../src/domain/TurnEvents.ts"
import type { StoredCall } from "../../../src/ports/ConversationRepo.ts"
import {
  ada,
  conversation,
  message,
  problemJson,
  requestId,
  serveFakes,
  toolCallJson,
  turnId
} from "../../support/http.ts"

const path = `/api/v1/users/${ada.id}/chat`
const body = '{"message":"Hello"}'
const accept = { accept: "text/event-stream" }

const at = (step: number, position: number) => ({ attempt: 3, step, position })
const begun: TurnEvent = { ...at(0, 0), _tag: "Begun", conversationId: conversation.id, turnId }
const storedCall: StoredCall = Array.getUnsafe(message.calls, 0)

const answer = { body: '{"message":"Hi\\u009b."}', replayed: false }

/** The events of an answer, as their names, ids and data. */
const eventsOf = (text: string) =>
  text
    .split("\n\n")
    .filter((block) => block.trim() !== "")
    .map((block) => {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)))
      return [fields["event"], fields["id"], JSON.parse(fields["data"] ?? "null")] as const
    })

describe("the events of a turn", () => {
  it.live("are sent as they happen, and the answer at their end", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        chat: {
          send: ({ watch }) =>
            Effect.sync(() => {
              watch?.(begun)
              watch?.({ ...at(0, 1), _tag: "Text", text: "One\nmo\u009bment" })
              watch?.({ ...at(0, 2), _tag: "Restarted" })
              watch?.({ ...at(0, 3), _tag: "ToolCallBegun", call: storedCall })
              watch?.({ ...at(0, 4), _tag: "ToolCallDone", call: storedCall })
              watch?.({ ...at(1, 0), _tag: "StepDone" })
              return answer
            })
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
        ["text", "3.0.1", { text: "One\nmo\u009bment" }],
        ["restarted", "3.0.2", { step: 0 }],
        ["tool_call_begun", "3.0.3", told],
        ["tool_call_done", "3.0.4", toolCallJson],
        ["step_done", "3.1.0", { step: 1 }],
        ["completed", undefined, { message: "Hi\u009b." }]
      ])
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
        chat: {
          send: ({ watch }) =>
            Effect.sync(() => {
              watch?.({
                ...place(0, 0),
                _tag: "Begun",
                conversationId: reply.conversation_id,
                turnId: reply.turn_id
              })
              watch?.({ ...place(0, 1), _tag: "ToolCallBegun", call: stored })
              watch?.({ ...place(0, 2), _tag: "ToolCallDone", call: stored })
              watch?.({ ...place(1, 0), _tag: "StepDone" })
              for (const [i, text] of ["I've added 'Buy groceries'", " to your list as task 1."].entries()) {
                watch?.({ ...place(1, i + 1), _tag: "Text", text })
              }
              return { body: JSON.stringify(reply), replayed: false }
            })
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

  it.live("are not held back until there are more", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<void>()
      const server = yield* serveFakes({
        chat: {
          send: ({ watch }) =>
            Effect.suspend(() => {
              watch?.(begun)
              return Effect.as(Deferred.await(seen), answer)
            })
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

  it.live("end with the problem that the turn came to", () =>
    Effect.gen(function* () {
      const error = new TurnFailed({
        conversationId: conversation.id,
        turnId,
        failure: { code: "step_limit" },
        retryable: false,
        toolCalls: [],
        usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 }
      })
      const failures = [error, new ConversationBusy({ retryAfterMillis: 1000 })]
      const server = yield* serveFakes({
        chat: {
          send: ({ watch }) =>
            Effect.suspend(() => {
              watch?.(begun)
              const failure = failures.shift()
              return failure === undefined ? Effect.die("a bug") : Effect.fail(failure)
            })
        }
      })
      const failed = Effect.map(server.fetch("POST", path, { body, headers: accept }), (response) => {
        assert.strictEqual(response.status, 200)
        return eventsOf(response.text).at(-1)
      })
      const detail =
        "The agent did not come to an end within its limit of steps. It will not be tried again under this Idempotency-Key."
      const known = {
        conversation_id: conversation.id,
        turn_id: turnId,
        tool_calls: [],
        usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
        retryable: false
      }
      assert.deepStrictEqual(yield* failed, [
        "failed",
        undefined,
        problemJson(502, "step_limit", "The agent did not come to an end", detail, known)
      ])
      assert.deepStrictEqual((yield* failed)?.[2], {
        ...problemJson(
          409,
          "conversation_busy",
          "Another turn of this conversation is running",
          "Another turn of this conversation is running."
        )
      })
      assert.deepStrictEqual(
        (yield* failed)?.[2],
        problemJson(500, "internal", "Something went wrong here", "The cause is in the log, under this request id.")
      )
      assert.strictEqual(server.logs.length, 1)
    })
  )

  it.live("are none where it fails before the first, or where another request has run it", () =>
    Effect.gen(function* () {
      let failing = true
      const server = yield* serveFakes({
        chat: {
          send: () =>
            failing
              ? Effect.fail(new ConversationBusy({ retryAfterMillis: 1000 }))
              : Effect.succeed({ ...answer, replayed: true })
        }
      })
      const refused = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(refused.status, 409)
      assert.strictEqual(refused.headers["content-type"], "application/problem+json")
      assert.strictEqual(refused.headers["retry-after"], "1")
      failing = false
      const replayed = yield* server.fetch("POST", path, { body, headers: accept })
      assert.strictEqual(replayed.headers["idempotency-replayed"], "true")
      assert.deepStrictEqual(eventsOf(replayed.text), [["completed", undefined, { message: "Hi\u009b." }]])
    })
  )

  it.effect("are kept company by comments while nothing happens", () =>
    Effect.gen(function* () {
      const response = yield* answerWithEvents(ada.id, (watch) =>
        Effect.andThen(
          Effect.sync(() => watch(begun)),
          Effect.as(Effect.sleep("40 seconds"), answer)
        )
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
        ["begun", "completed"]
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

  it.live("are not for who did not ask, and the turn pays nothing", () =>
    Effect.gen(function* () {
      const watchers: globalThis.Array<unknown> = []
      const server = yield* serveFakes({
        chat: {
          send: ({ watch }) => {
            watchers.push(watch)
            return Effect.succeed(answer)
          }
        }
      })
      const response = yield* server.fetch("POST", path, { body })
      assert.strictEqual(response.headers["content-type"], "application/json")
      assert.deepStrictEqual(watchers, [undefined])
    })
  )
})
