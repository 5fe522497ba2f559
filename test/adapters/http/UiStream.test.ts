import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, Option, Stream } from "effect"
import { answers, turnId as exampleTurnId, requests, uiStreams } from "../../../src/adapters/http/Examples.ts"
import { ConversationId, ToolCallId, TurnId } from "../../../src/domain/model/Conversation.ts"
import {
  ConversationBusy,
  ConversationNotFound,
  ShuttingDown,
  StorageUnavailable,
  TurnNotFound
} from "../../../src/domain/model/Errors.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import type { TurnEvent } from "../../../src/domain/TurnEvents.ts"
import type { StoredMessage } from "../../../src/ports/ConversationRepo.ts"
import {
  ada,
  conversation,
  invalidJson,
  message,
  problemJson,
  replyBody,
  serveFakes,
  turnId
} from "../../support/http.ts"

const chat = `/api/v1/users/${ada.id}/chat/ui`

const user = (...texts: ReadonlyArray<string>) => ({
  id: "gZ3",
  role: "user",
  parts: texts.map((text) => ({ type: "text", text }))
})
const bodyOf = (messages: unknown, id: unknown = conversation.id) =>
  JSON.stringify({ id, messages, trigger: "submit-message", messageId: "7", mine: [1] })

const at = { attempt: 1, step: 0, position: 0 }
const begun: TurnEvent = { ...at, _tag: "Begun", conversationId: conversation.id, turnId }
const text = (text: string): TurnEvent => ({ ...at, _tag: "Text", text })
const completed: TurnEvent = { ...at, _tag: "Completed", body: replyBody }

const chunksOf = (text: string) =>
  text
    .split("\n\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice("data: ".length))

describe("the stream of a front end's message", () => {
  it.live("is that of the turn, in the SDK's protocol", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        feed: { follow: () => Stream.make(begun, text("One\nmo\u009bment"), completed) }
      })
      const response = yield* server.fetch("POST", chat, { body: bodyOf([user("Hello")]) })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "text/event-stream")
      assert.strictEqual(response.headers["x-vercel-ai-ui-message-stream"], "v1")
      assert.strictEqual(response.headers["cache-control"], "no-store")
      assert.strictEqual(response.headers["x-accel-buffering"], "no")
      assert.notInclude(response.text, "\u009b")
      const chunks = chunksOf(response.text)
      assert.strictEqual(chunks.at(-1), "[DONE]")
      assert.deepInclude(
        chunks.slice(0, -1).map((chunk) => JSON.parse(chunk)),
        { type: "text-delta", id: "text-1", delta: "One\nmo\u009bment" }
      )
      assert.deepStrictEqual(server.calls, [
        [
          "open",
          {
            user: ada,
            conversationId: Option.some(conversation.id),
            startIfAbsent: true,
            message: "Hello",
            idempotencyKey: Option.some(`ui:${conversation.id}:gZ3`)
          }
        ]
      ])
    })
  )

  it.live("is as the document shows it", () =>
    Effect.gen(function* () {
      const { value } = answers.reply.NewConversation
      const [call] = value.tool_calls
      assert(call !== undefined)
      const stored = {
        ...Array.getUnsafe(message.calls, 0),
        id: ToolCallId.make(call.id),
        toolName: call.tool_name,
        arguments: JSON.stringify(call.arguments),
        result: JSON.stringify(call.result)
      }
      const conversationId = ConversationId.make(value.conversation_id)
      const events: ReadonlyArray<TurnEvent> = [
        { ...at, _tag: "Begun", conversationId, turnId: TurnId.make(exampleTurnId) },
        { ...at, _tag: "ToolCallBegun", call: stored },
        { ...at, _tag: "ToolCallDone", call: stored },
        { ...at, step: 1, _tag: "StepDone" },
        { ...text("I've added 'Buy groceries'"), step: 1 },
        { ...text(" to your list as task 1."), step: 1 },
        { ...at, step: 1, _tag: "Completed", body: JSON.stringify(value) }
      ]
      const server = yield* serveFakes({
        auth: { authenticate: () => Effect.succeed({ ...ada, id: UserId.make("demo") }) },
        feed: {
          follow: () => Stream.fromIterable(events)
        }
      })
      const body = JSON.stringify(requests.ui.NewChat.value)
      const response = yield* server.fetch("POST", "/api/v1/users/demo/chat/ui", { body })
      assert.strictEqual(response.text, uiStreams["WithTool"]?.value)
    })
  )

  it.live("tells what became of it when the turn can be followed no longer", () =>
    Effect.gen(function* () {
      const errors = [new ShuttingDown(), new StorageUnavailable({ operation: "test" }), new TurnNotFound({ turnId })]
      const server = yield* serveFakes({
        feed: {
          follow: () => {
            const error = errors.shift()
            return Stream.concat(Stream.make(begun), error === undefined ? Stream.die("a bug") : Stream.fail(error))
          }
        }
      })
      for (const errorText of [
        "This instance is shutting down; another one goes on with what it had begun.",
        "The database is out of reach. What was asked may or may not have happened.",
        "There is no such turn.",
        "The cause is in the log, under this request id."
      ]) {
        const { status, text } = yield* server.fetch("POST", chat, { body: bodyOf([user("Hello")]) })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(chunksOf(text).slice(-2), [JSON.stringify({ type: "error", errorText }), "[DONE]"])
      }
    })
  )

  it.live("is none when there is no turn, but a problem", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        chat: { open: () => Effect.fail(new ConversationBusy({ retryAfterMillis: 3000 })) }
      })
      const busy = yield* server.fetch("POST", chat, { body: bodyOf([user("Hello")]) })
      assert.strictEqual(busy.status, 409)
      assert.strictEqual(busy.headers["content-type"], "application/problem+json")
      assert.strictEqual(busy.headers["retry-after"], "3")
    })
  )
})

describe("a front end's message", () => {
  const opened = Effect.fnUntraced(function* (body: string, headers: Record<string, string> = {}) {
    const server = yield* serveFakes()
    const { status } = yield* server.fetch("POST", chat, { body, headers })
    assert.strictEqual(status, 200)
    const [call] = server.calls
    return call?.[1]
  })

  it.live("is the text of the user's last one", () =>
    Effect.gen(function* () {
      const odd = [null, 7, "user", { role: "system" }, { role: "assistant", parts: "none" }, { id: {}, role: "user" }]
      const last = {
        ...user("  What is", "in it? "),
        parts: [
          { type: "file", mediaType: "image/png", url: "data:," },
          { type: "text", text: "  What is" },
          { type: "reasoning", text: "no" },
          null,
          { type: "text", text: 7 },
          { type: "text", text: "in it? " }
        ]
      }
      const { parts } = user("Done")
      const asked = yield* opened(bodyOf([...odd, user("Not this"), last, { id: "8", role: "assistant", parts }]))
      assert.deepInclude(asked, {
        message: "What is\nin it?",
        idempotencyKey: Option.some(`ui:${conversation.id}:gZ3`)
      })
    })
  )

  it.live("has the key that is sent with it, or that of its id, or none", () =>
    Effect.gen(function* () {
      const header = { "idempotency-key": '"mine"' }
      assert.deepInclude(yield* opened(bodyOf([user("Hello")]), header), {
        idempotencyKey: Option.some(IdempotencyKey.make("mine"))
      })
      const { id: _, ...nameless } = user("Hello")
      assert.deepInclude(yield* opened(bodyOf([nameless])), { idempotencyKey: Option.none() })
    })
  )

  it.live("belongs to the conversation of its chat", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* opened(bodyOf([user("Hello")], conversation.id.toUpperCase())), {
        conversationId: Option.some(conversation.id)
      })
      assert.deepInclude(yield* opened(bodyOf([user("Hello")], "chat")), {
        conversationId: Option.some("f61c9202-4d7b-860c-9af8-0e5dbd5307cf")
      })
    })
  )

  it.live("is refused when it is none", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const none = invalidJson({ path: "messages", message: "Expected a message of the user's, with its parts" })
      const length = invalidJson({
        path: "messages.text",
        message: "Expected 1 to 2000 characters (Unicode code points) after trimming"
      })
      const odd = invalidJson({
        path: "id",
        message: "Expected well-formed Unicode without NUL characters, and not only white space"
      })
      const id = invalidJson({ path: "id", message: "Expected 1 to 255 characters (Unicode code points)" })
      for (const [body, problem] of [
        [bodyOf([]), none],
        [bodyOf([{ role: "assistant", parts: [] }]), none],
        [bodyOf([user("Hello"), { role: "user", parts: "Hello" }]), none],
        [bodyOf([user("Hello"), { role: "user", id: 7, parts: [] }]), none],
        [bodyOf([user(" ")]), length],
        [bodyOf([user("Hello"), user()]), length],
        [bodyOf([user("x".repeat(2001))]), length],
        [bodyOf([user("Hello")], ""), id],
        [bodyOf([user("Hello")], "x".repeat(256)), id],
        [bodyOf([user("Hello")], "\ud800"), odd],
        [bodyOf([user("Hello")], "a\0b"), odd],
        [bodyOf([user("Hello")], " \n"), odd],
        [bodyOf("Hello"), invalidJson({ path: "messages", message: "Expected array" })],
        [
          bodyOf(globalThis.Array.from({ length: 10_001 }, () => 0)),
          invalidJson({ path: "messages", message: "Expected at most 10000 messages" })
        ]
      ] as const) {
        const response = yield* server.fetch("POST", chat, { body })
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(response.json(), problem, body.slice(0, 200))
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )
})

describe("what a chat looks for", () => {
  const running: StoredMessage = { ...message, role: "user", turnStatus: "running", calls: [] }
  const stream = `${chat}/chat/stream`
  const chatConversation = "f61c9202-4d7b-860c-9af8-0e5dbd5307cf"
  const newest = { limit: 1, order: "desc", after: Option.none() }

  it.live("is its running turn", () =>
    Effect.gen(function* () {
      const found: globalThis.Array<StoredMessage> = [running]
      const asked: globalThis.Array<unknown> = []
      const server = yield* serveFakes({
        repo: {
          messages: (...args) => {
            asked.push(args)
            return Effect.succeed({ items: found, hasMore: true })
          }
        },
        feed: {
          follow: (...args) => {
            asked.push(args)
            return Stream.make(begun, completed)
          }
        }
      })
      const response = yield* server.fetch("GET", stream)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["x-vercel-ai-ui-message-stream"], "v1")
      assert.strictEqual(chunksOf(response.text).at(-1), "[DONE]")
      assert.deepStrictEqual(asked, [
        [ada.id, chatConversation, newest],
        [ada.id, turnId, Option.none()]
      ])
      for (const turnStatus of ["completed", "failed", "stopped"] as const) {
        found.splice(0, 1, { ...running, turnStatus })
        const { status, text } = yield* server.fetch("GET", stream)
        assert.deepStrictEqual([status, text], [204, ""])
      }
      found.splice(0, 1)
      assert.strictEqual((yield* server.fetch("GET", stream)).status, 204)
    })
  )

  it.live("is nothing when its conversation is not there, or is gone just then", () =>
    Effect.gen(function* () {
      let gone = false
      const server = yield* serveFakes({
        repo: {
          messages: (_, conversationId) =>
            gone
              ? Effect.succeed({ items: [running], hasMore: false })
              : Effect.fail(new ConversationNotFound({ conversationId }))
        },
        feed: { follow: () => Effect.fail(new TurnNotFound({ turnId })) }
      })
      assert.strictEqual((yield* server.fetch("GET", stream)).status, 204)
      const { json } = yield* server.fetch("GET", `${chat}/chat/messages`)
      assert.deepStrictEqual(json(), { data: [], has_more: false, next_cursor: null })
      gone = true
      assert.strictEqual((yield* server.fetch("GET", stream)).status, 204)
    })
  )

  it.live("are its messages, the newest of them, in their order", () =>
    Effect.gen(function* () {
      const asked: globalThis.Array<unknown> = []
      const server = yield* serveFakes({
        repo: {
          messages: (...args) => {
            asked.push(args)
            return Effect.succeed({ items: [message, { ...running, seq: 1 }], hasMore: true })
          }
        }
      })
      const response = yield* server.fetch("GET", `${chat}/chat/messages`)
      const page: unknown = response.json()
      assert.deepNestedInclude(page, {
        "data[0].role": "user",
        "data[1].role": "assistant",
        "data[1].metadata.conversation_id": chatConversation,
        has_more: true
      })
      assert(typeof page === "object" && page !== null && "next_cursor" in page)
      yield* server.fetch("GET", `${chat}/chat/messages?limit=7&after=${page.next_cursor}`)
      assert.deepStrictEqual(asked, [
        [ada.id, chatConversation, { limit: 200, order: "desc", after: Option.none() }],
        [ada.id, chatConversation, { limit: 7, order: "desc", after: Option.some(1) }]
      ])
    })
  )

  it.live("may be called whatever a front end likes", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const long = yield* server.fetch("GET", `${chat}/${"x".repeat(256)}/messages`)
      assert.deepStrictEqual(
        long.json(),
        invalidJson({ path: "chat_id", message: "Expected 1 to 255 characters (Unicode code points)" })
      )
      for (const name of ["a/b", "a b", "\u{1f600}", "%", ";", "#", "?", "..."]) {
        const { status } = yield* server.fetch("GET", `${chat}/${encodeURIComponent(name)}/messages`)
        assert.strictEqual(status, 200, name)
      }
      const nowhere = yield* server.fetch("GET", `${chat}/a/b/messages`)
      assert.deepStrictEqual(
        nowhere.json(),
        problemJson(404, "not_found", "There is no such thing", "There is nothing at this path.")
      )
    })
  )
})
