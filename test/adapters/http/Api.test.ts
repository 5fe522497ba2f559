import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { HttpClientRequest, HttpServer } from "effect/http"
import { HttpApiMiddleware, HttpApiTest } from "effect/http-api"
import { Api, Authentication } from "../../../src/adapters/http/Api.ts"
import * as Handlers from "../../../src/adapters/http/Handlers.ts"
import {
  authentication,
  chatBody,
  fairShare,
  identified,
  jsonBody,
  ownPath,
  validRequest
} from "../../../src/adapters/http/Middleware.ts"
import * as Routes from "../../../src/adapters/http/Routes.ts"
import { ConversationId } from "../../../src/domain/model/Conversation.ts"
import { TaskId } from "../../../src/domain/model/Task.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import {
  ada,
  bob,
  conversation,
  makeFakes,
  message,
  type Overrides,
  task,
  toolCall,
  turnId
} from "../../support/http.ts"

const client = Effect.fnUntraced(function* (overrides: Overrides = {}, token = "ada-token") {
  const fakes = makeFakes(overrides)
  const context = yield* Layer.build(
    Layer.mergeAll(
      Layer.merge(Routes.agent(Api), Handlers.health).pipe(
        Layer.provideMerge([authentication, chatBody, fairShare, identified, jsonBody, ownPath, validRequest]),
        Layer.provide(fakes.layer)
      ),
      HttpApiMiddleware.layerClient(Authentication, ({ next, request }) =>
        next(HttpClientRequest.bearerToken(request, token))
      ),
      HttpServer.layerServices
    )
  )
  const api = yield* HttpApiTest.groups(Api, [
    "agentChat",
    "agentConversations",
    "agentTasks",
    "agentMe",
    "agentUsers",
    "health"
  ]).pipe(Effect.provide(context))
  return { ...fakes, api }
})

const params = { user_id: ada.id }
const ofConversation = { ...params, conversation_id: conversation.id }
const ofTask = { ...params, task_id: task.id }

for (const operation of ["send", "sendAlias"] as const) {
  it.effect(`chat.${operation} gives the whole request to the chat, and its answer back`, () =>
    Effect.gen(function* () {
      const { api, calls } = yield* client()
      const answer = yield* api.agentChat[operation]({
        params,
        headers: { "idempotency-key": IdempotencyKey.make('a"b\\c') },
        payload: { message: " Hello ", conversation_id: conversation.id }
      })
      assert.strictEqual(answer.body.message, "Done 😀.")
      assert.strictEqual(answer.body.turnId, turnId)
      assert.deepStrictEqual(answer.headers, {})
      assert.deepStrictEqual(calls, [
        [
          "send",
          {
            user: ada,
            conversationId: Option.some(conversation.id),
            message: "Hello",
            idempotencyKey: Option.some(IdempotencyKey.make('a"b\\c'))
          }
        ]
      ])
    })
  )
}

it.effect("me", () =>
  Effect.gen(function* () {
    const { api } = yield* client()
    assert.deepStrictEqual(yield* api.agentMe.get(), ada)
    const other = yield* client({}, "bob-token")
    assert.deepStrictEqual(yield* other.api.agentMe.get(), bob)
  })
)

it.effect("conversations", () =>
  Effect.gen(function* () {
    const { api, calls } = yield* client()
    const page = yield* api.agentConversations.list({ params, query: {} })
    assert.deepStrictEqual(page, { data: [conversation], hasMore: false, nextCursor: null })
    assert.deepStrictEqual(yield* api.agentConversations.get({ params: ofConversation }), conversation)
    const renamed = yield* api.agentConversations.rename({ params: ofConversation, payload: { title: " New " } })
    assert.strictEqual(renamed.title, "New")
    yield* api.agentConversations.remove({ params: ofConversation })
    assert.deepStrictEqual(calls, [
      ["list", ada.id, { limit: 50, after: Option.none() }],
      ["get", ada.id, conversation.id],
      ["rename", ada.id, conversation.id, "New"],
      ["remove", ada.id, conversation.id]
    ])
  })
)

it.effect("messages, with the user's id among the arguments of their calls", () =>
  Effect.gen(function* () {
    const { api, calls } = yield* client()
    const { data } = yield* api.agentConversations.messages({
      params: ofConversation,
      query: { order: "desc", limit: 200 }
    })
    const { calls: _, idempotencyKey: __, ...said } = message
    assert.deepStrictEqual(data, [
      {
        ...said,
        toolCalls: [toolCall]
      }
    ])
    assert.deepStrictEqual(calls, [
      ["messages", ada.id, conversation.id, { limit: 200, order: "desc", after: Option.none() }]
    ])
  })
)

it.effect("tasks", () =>
  Effect.gen(function* () {
    const { api, calls } = yield* client()
    const page = yield* api.agentTasks.list({ params, query: { status: "pending" } })
    assert.deepStrictEqual(page, { data: [task], hasMore: false, nextCursor: null })
    const created = yield* api.agentTasks.create({ params, payload: { title: " Milk " } })
    assert.deepStrictEqual(created.body, { ...task, title: "Milk" })
    assert.strictEqual(created.headers.location, "/api/v1/users/ada_1-A/tasks/7")
    assert.deepStrictEqual(yield* api.agentTasks.get({ params: ofTask }), task)
    const updated = yield* api.agentTasks.update({ params: ofTask, payload: { completed: true, description: null } })
    assert.deepStrictEqual(updated, { ...task, completed: true })
    yield* api.agentTasks.remove({ params: ofTask })
    assert.deepStrictEqual(calls, [
      ["tasks", ada.id, { status: "pending", limit: 50, after: Option.none() }],
      ["add", ada.id, { title: "Milk", description: null }, 10_000],
      ["task", ada.id, task.id],
      ["update", ada.id, task.id, { completed: true, description: null }],
      ["removeTask", ada.id, task.id]
    ])
  })
)

it.effect("erasing a user's data, and health", () =>
  Effect.gen(function* () {
    const { api, calls } = yield* client()
    yield* api.agentUsers.erase({ params })
    assert.deepStrictEqual(yield* api.health.live(), { status: "ok" })
    assert.deepStrictEqual(calls, [["eraseUser", ada.id]])
    assert.deepStrictEqual(yield* api.health.ready(), { status: "ok" })
    assert.deepStrictEqual(calls, [["eraseUser", ada.id], ["check"]])
  })
)

it.effect("a typed client is told of problems as it is of answers", () =>
  Effect.gen(function* () {
    const { api } = yield* client()
    const missing = yield* Effect.flip(api.agentTasks.get({ params: { ...params, task_id: TaskId.make(8) } }))
    assert.deepInclude(missing, { status: 404, detail: "There is no such task." })
    const foreign = yield* Effect.flip(api.agentTasks.get({ params: { ...ofTask, user_id: bob.id } }))
    assert.deepInclude(foreign, { status: 403 })
    const absent = yield* Effect.flip(
      api.agentConversations.get({
        params: { ...params, conversation_id: ConversationId.make("7c9e6679-7425-40de-944b-000000000000") }
      })
    )
    assert.deepInclude(absent, { status: 404, detail: "There is no such conversation." })
  })
)

it.effect("pages go on behind their last entry", () =>
  Effect.gen(function* () {
    const more = { hasMore: true }
    const { api } = yield* client({
      repo: {
        list: () => Effect.succeed({ items: [{ ...conversation, title: "first" }, conversation], ...more }),
        messages: () => Effect.succeed({ items: [message], ...more })
      },
      tasks: { list: () => Effect.succeed({ items: [task], ...more }) }
    })
    const conversations = yield* api.agentConversations.list({ params, query: {} })
    assert.isTrue(conversations.hasMore)
    assert.deepStrictEqual(conversations.nextCursor, { id: conversation.id, updatedAt: conversation.updatedAt })
    const messages = yield* api.agentConversations.messages({ params: ofConversation, query: {} })
    assert.deepStrictEqual(messages.nextCursor, { seq: 2 })
    const tasks = yield* api.agentTasks.list({ params, query: {} })
    assert.deepStrictEqual(tasks.nextCursor, { id: task.id })
  })
)

it.effect("a cursor stands for its place", () =>
  Effect.gen(function* () {
    const { api, calls } = yield* client()
    const after = { id: conversation.id, updatedAt: conversation.updatedAt }
    yield* api.agentConversations.list({ params, query: { after } })
    yield* api.agentConversations.messages({ params: ofConversation, query: { after: { seq: 2 } } })
    yield* api.agentTasks.list({ params, query: { after: { id: task.id } } })
    assert.deepStrictEqual(calls, [
      ["list", ada.id, { limit: 50, after: Option.some(after) }],
      ["messages", ada.id, conversation.id, { limit: 50, order: "asc", after: Option.some(2) }],
      ["tasks", ada.id, { status: "all", limit: 50, after: Option.some(task.id) }]
    ])
  })
)
