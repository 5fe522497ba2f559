import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConversationId } from "../../../src/domain/model/Conversation.ts"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyKeyReused,
  RateLimited,
  ShuttingDown,
  StorageUnavailable,
  TooManyConversations,
  TooManyTurns,
  TurnFailed,
  TurnInProgress
} from "../../../src/domain/model/Errors.ts"
import type { Failure } from "../../../src/domain/model/Turn.ts"
import {
  conversation,
  conversationJson,
  messageJson,
  problemJson,
  replyBody,
  requestId,
  serveFakes,
  taskJson,
  toolCall,
  toolCallJson,
  turnId
} from "../../support/http.ts"

const user = "/api/v1/users/ada_1-A"
const chatPaths = [`${user}/chat`, "/api/ada_1-A/chat"]
const body = '{"message":"Hello"}'

describe.each(chatPaths)("POST %s", (path) => {
  it.live("gives the stored answer byte for byte", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch("POST", path, { body })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.text, replyBody)
      assert.strictEqual(response.headers["content-type"], "application/json")
      assert.notProperty(response.headers, "idempotency-replayed")
    })
  )

  it.live("tells of a replay", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ chat: { send: () => Effect.succeed({ body: replyBody, replayed: true }) } })
      const response = yield* server.fetch("POST", path, { body, headers: { "idempotency-key": "k" } })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.text, replyBody)
      assert.strictEqual(response.headers["idempotency-replayed"], "true")
    })
  )

  const later = "Not available at the moment"
  it.live.each([
    [
      new ConversationNotFound({ conversationId: conversation.id }),
      problemJson(404, "not_found", "There is no such thing", "There is no such conversation."),
      undefined
    ],
    [
      new ConversationBusy({ retryAfterMillis: 2001 }),
      problemJson(
        409,
        "conversation_busy",
        "Another turn of this conversation is running",
        "Another turn of this conversation is running."
      ),
      "3"
    ],
    [
      new TurnInProgress({ retryAfterMillis: 0 }),
      problemJson(
        409,
        "turn_in_progress",
        "The turn under this key is still running",
        "The turn under this key is still running."
      ),
      "1"
    ],
    [
      new IdempotencyKeyReused(),
      problemJson(
        422,
        "idempotency_key_reused",
        "The key was used for another request",
        "This Idempotency-Key was used with another request."
      ),
      undefined
    ],
    [
      new RateLimited({ retryAfterMillis: 1000, turnsPerMinute: 60 }),
      problemJson(429, "rate_limited", "Too many turns", "Too many turns were begun within a minute."),
      "1"
    ],
    [
      new TooManyTurns({ turnsAtOnce: 10 }),
      problemJson(429, "rate_limited", "Too many turns", "As many turns are running as may at once."),
      "1"
    ],
    [
      new TooManyConversations({ limit: 7 }),
      problemJson(
        422,
        "limit_reached",
        "There is no room for more",
        "The limit of 7 conversations is reached: delete one first."
      ),
      undefined
    ],
    [
      new ShuttingDown(),
      problemJson(
        503,
        "unavailable",
        later,
        "This instance is shutting down; another one goes on with what it had begun."
      ),
      "1"
    ],
    [
      new StorageUnavailable({ operation: "begin" }),
      problemJson(
        503,
        "unavailable",
        later,
        "The database is out of reach. What was asked may or may not have happened."
      ),
      "5"
    ]
  ] as const)("%s", ([error, expected, retryAfter]) =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ chat: { send: () => Effect.fail(error) } })
      const response = yield* server.fetch("POST", path, { body })
      assert.strictEqual(response.status, expected.status)
      assert.deepStrictEqual(response.json(), expected)
      assert.strictEqual(response.headers["content-type"], "application/problem+json")
      assert.strictEqual(response.headers["retry-after"], retryAfter)
    })
  )

  it.live("tells a limited user of the limit", () =>
    Effect.gen(function* () {
      const error = new RateLimited({ retryAfterMillis: 1001, turnsPerMinute: 60 })
      const server = yield* serveFakes({ chat: { send: () => Effect.fail(error) } })
      const { headers } = yield* server.fetch("POST", path, { body })
      assert.strictEqual(headers["retry-after"], "2")
      assert.strictEqual(headers["ratelimit-policy"], '"turns";q=60;w=60')
      assert.strictEqual(headers["ratelimit"], '"turns";r=0;t=2')
    })
  )

  it.live("tells a user with too many turns at once of that limit", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ chat: { send: () => Effect.fail(new TooManyTurns({ turnsAtOnce: 10 })) } })
      const { headers } = yield* server.fetch("POST", path, { body })
      assert.strictEqual(headers["ratelimit-policy"], '"turns-at-once";q=10;qu="concurrent-requests"')
      assert.strictEqual(headers["ratelimit"], '"turns-at-once";r=0')
    })
  )

  const failed = "The language model failed"
  it.live.each([
    [
      { code: "model_failed", reason: "rate_limited" },
      failed,
      "The language model takes no more requests at the moment."
    ],
    [{ code: "model_failed", reason: "overloaded" }, failed, "The language model is overloaded."],
    [{ code: "model_failed", reason: "timed_out" }, failed, "The language model did not answer in time."],
    [{ code: "model_failed", reason: "unreachable" }, failed, "The language model is out of reach."],
    [
      { code: "model_failed", reason: "unavailable" },
      failed,
      "The language model is out of order; it is tried again in a moment."
    ],
    [{ code: "model_failed", reason: "bad_answer" }, failed, "The language model gave no usable answer."],
    [{ code: "model_failed", reason: "refused" }, failed, "The language model's provider refused the message."],
    [
      { code: "model_failed", reason: "context_too_long" },
      failed,
      "The conversation is too long for the language model."
    ],
    [
      { code: "model_failed", reason: "misconfigured" },
      failed,
      "The language model is not set up as it should be; this is for the operator to mend."
    ],
    [{ code: "model_failed" }, failed, "The language model failed."],
    [
      { code: "step_limit" },
      "The agent did not come to an end",
      "The agent did not come to an end within its limit of steps."
    ],
    [{ code: "abandoned" }, "The turn was given up", "The turn was attempted too often without coming to an end."]
  ] satisfies ReadonlyArray<[Failure, string, string]>)("502 %j", ([failure, title, words]) =>
    Effect.gen(function* () {
      for (const retryable of [true, false]) {
        const error = new TurnFailed({
          conversationId: conversation.id,
          turnId,
          failure,
          retryable,
          toolCalls: [toolCall],
          usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5 }
        })
        const server = yield* serveFakes({ chat: { send: () => Effect.fail(error) } })
        const response = yield* server.fetch("POST", path, { body })
        assert.strictEqual(response.status, 502)
        assert.strictEqual(response.headers["content-type"], "application/problem+json")
        const advice = retryable
          ? "Send the request again under the same Idempotency-Key to go on from here."
          : "It will not be tried again under this Idempotency-Key."
        assert.deepStrictEqual(
          response.json(),
          problemJson(502, failure.code, title, `${words} ${advice}`, {
            conversation_id: conversation.id,
            turn_id: turnId,
            tool_calls: [toolCallJson],
            usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
            retryable
          })
        )
      }
    })
  )

  it.live("500 tells nothing, and leaves the cause in the log", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ chat: { send: () => Effect.die(new Error("select * from secrets")) } })
      const response = yield* server.fetch("POST", `${path}?token=secret`, { body })
      assert.strictEqual(response.status, 500)
      assert.deepStrictEqual(
        response.json(),
        problemJson(500, "internal", "Something went wrong here", "The cause is in the log, under this request id.")
      )
      assert.strictEqual(server.logs.length, 1)
      const [entry] = server.logs
      assert.strictEqual(entry?.level, "ERROR")
      assert.include(entry?.cause, "select * from secrets")
      assert.deepStrictEqual(entry?.annotations, { requestId, method: "POST", path })
    })
  )
})

it.live("an answer that does not encode is a bug of ours, not of the client", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes({
      // An id is a UUID.
      repo: { get: () => Effect.succeed({ ...conversation, id: ConversationId.make("1", { disableChecks: true }) }) }
    })
    const response = yield* server.fetch("GET", `${user}/conversations/${conversation.id}`)
    assert.strictEqual(response.status, 500)
    assert.strictEqual(server.logs.length, 1)
  })
)

it.live("what is out of reach is in the log, with the request's id", () =>
  Effect.gen(function* () {
    const cause = new Error("connect ECONNREFUSED")
    const server = yield* serveFakes({
      tasks: { get: () => Effect.fail(new StorageUnavailable({ operation: "task", cause })) }
    })
    yield* server.fetch("GET", `${user}/tasks/7`)
    assert.strictEqual(server.logs.length, 1)
    const [entry] = server.logs
    assert.strictEqual(entry?.level, "WARN")
    assert.include(entry?.cause, "ECONNREFUSED")
    assert.deepStrictEqual(entry?.annotations, { requestId, operation: "task" })
  })
)

const missing = "7c9e6679-7425-40de-944b-000000000000"
const noConversation = problemJson(404, "not_found", "There is no such thing", "There is no such conversation.")
const noTask = problemJson(404, "not_found", "There is no such thing", "There is no such task.")

it.live.each([
  ["GET", `/conversations/${missing}`, undefined, noConversation],
  ["PATCH", `/conversations/${missing}`, '{"title":"x"}', noConversation],
  ["DELETE", `/conversations/${missing}`, undefined, noConversation],
  ["GET", `/conversations/${missing}/messages`, undefined, noConversation],
  ["GET", "/tasks/8", undefined, noTask],
  ["PATCH", "/tasks/8", '{"title":"x"}', noTask],
  ["DELETE", "/tasks/8", undefined, noTask]
] as const)("%s %s is not found", ([method, path, body, expected]) =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const response = yield* server.fetch(method, user + path, body === undefined ? {} : { body })
    assert.strictEqual(response.status, 404)
    assert.deepStrictEqual(response.json(), expected)
    assert.strictEqual(response.headers["content-type"], "application/problem+json")
  })
)

it.live("what is another's looks exactly like what is absent", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const headers = { authorization: "Bearer bob-token" }
    // Ada has this conversation, and this task.
    const foreign = yield* server.fetch("GET", `/api/v1/users/bob/conversations/${conversation.id}`, { headers })
    const absent = yield* server.fetch("GET", `/api/v1/users/bob/conversations/${missing}`, { headers })
    const { date: _, ...seen } = foreign.headers
    const { date: __, ...expected } = absent.headers
    assert.deepStrictEqual([foreign.status, foreign.text, seen], [404, absent.text, expected])
    const task = yield* server.fetch("GET", "/api/v1/users/bob/tasks/7", { headers })
    assert.deepStrictEqual(task.json(), noTask)
  })
)

it.live("answers are as the contract has them, to the letter", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const get = (path: string) => Effect.map(server.fetch("GET", user + path), (response) => response.json())
    const page = { has_more: false, next_cursor: null }
    assert.deepStrictEqual(yield* get("/conversations"), { data: [conversationJson], ...page })
    assert.deepStrictEqual(yield* get(`/conversations/${conversation.id}`), conversationJson)
    assert.deepStrictEqual(yield* get(`/conversations/${conversation.id}/messages`), { data: [messageJson], ...page })
    assert.deepStrictEqual(yield* get("/tasks"), { data: [taskJson], ...page })
    assert.deepStrictEqual(yield* get("/tasks/7"), taskJson)
    const created = yield* server.fetch("POST", `${user}/tasks`, { body: '{"title":"Milk","description":"2 l"}' })
    assert.strictEqual(created.status, 201)
    assert.strictEqual(created.headers["location"], `${user}/tasks/7`)
    assert.deepStrictEqual(created.json(), { ...taskJson, title: "Milk", description: "2 l" })
    for (const path of ["/tasks/7", `/conversations/${conversation.id}`, "/data"]) {
      const deleted = yield* server.fetch("DELETE", user + path)
      assert.deepStrictEqual([deleted.status, deleted.text], [204, ""])
    }
  })
)
