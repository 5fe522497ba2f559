import { connect } from "node:net"
import { Context, DateTime, Effect, Layer, Logger, Redacted, Schema, Stream } from "effect"
import { HttpServer } from "effect/http"
import { Readiness } from "../../src/adapters/http/Handlers.ts"
import { Farewell, type ServeOptions, serve } from "../../src/adapters/http/Server.ts"
import { Chat } from "../../src/domain/Chat.ts"
import type { FeedError } from "../../src/domain/FarTurn.ts"
import {
  type Conversation,
  ConversationId,
  MessageId,
  type ToolCall,
  ToolCallId,
  TurnId
} from "../../src/domain/model/Conversation.ts"
import {
  ConversationNotFound,
  InvalidToken,
  type ShuttingDown,
  TaskNotFound,
  TurnNotFound
} from "../../src/domain/model/Errors.ts"
import { type Task, TaskId } from "../../src/domain/model/Task.ts"
import { type User, UserId } from "../../src/domain/model/User.ts"
import type { TurnEvent } from "../../src/domain/TurnEvents.ts"
import { TurnFeed } from "../../src/domain/TurnFeed.ts"
import { Auth } from "../../src/ports/Auth.ts"
import {
  ConversationRepo,
  type StoredCall,
  type StoredMessage,
  type StoredTurn
} from "../../src/ports/ConversationRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"

/** The user of the token `ada-token`. */
export const ada: User = { id: UserId.make("ada_1-A"), name: "Ada" }
/** Another user, of the token `bob-token`. */
export const bob: User = { id: UserId.make("bob"), name: "Bob" }

export const conversation: Conversation = {
  id: ConversationId.make("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
  title: "Chat 2026-01-19 10:00",
  createdAt: DateTime.makeUnsafe("2026-01-19T10:00:00.000Z"),
  updatedAt: DateTime.makeUnsafe("2026-01-19T10:02:15.250Z")
}
export const conversationJson = {
  id: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  title: "Chat 2026-01-19 10:00",
  created_at: "2026-01-19T10:00:00.000Z",
  updated_at: "2026-01-19T10:02:15.250Z"
}

export const task: Task = {
  id: TaskId.make(7),
  title: "Buy groceries",
  description: null,
  completed: false,
  createdAt: DateTime.makeUnsafe("2026-01-19T10:00:00.000Z"),
  updatedAt: DateTime.makeUnsafe("2026-01-19T10:00:00.000Z")
}
export const taskJson = {
  id: 7,
  title: "Buy groceries",
  description: null,
  completed: false,
  created_at: "2026-01-19T10:00:00.000Z",
  updated_at: "2026-01-19T10:00:00.000Z"
}

export const turnId = TurnId.make("01935d3b-0000-7000-8000-000000000001")

const call: StoredCall = {
  id: ToolCallId.make("01935d3b-0000-7000-8000-000000000003"),
  seq: 1,
  step: 1,
  position: 0,
  providerCallId: "call_1",
  toolName: "complete_task",
  arguments: '{"task_id":7,"user_id":"bob"}',
  result: '{"success":true}',
  status: "success"
}

export const message: StoredMessage = {
  id: MessageId.make("01935d3b-0000-7000-8000-000000000002"),
  seq: 2,
  turnId,
  turnStatus: "completed",
  idempotencyKey: null,
  role: "assistant",
  content: "Done.",
  createdAt: DateTime.makeUnsafe("2026-01-19T10:02:15.250Z"),
  calls: [call]
}
/** The call of that message, as its user sees it. */
export const toolCall: ToolCall = {
  id: call.id,
  toolName: "complete_task",
  status: "success",
  arguments: { user_id: ada.id, task_id: 7 },
  result: { success: true }
}
export const toolCallJson = {
  id: "01935d3b-0000-7000-8000-000000000003",
  tool_name: "complete_task",
  status: "success",
  arguments: { user_id: "ada_1-A", task_id: 7 },
  result: { success: true }
}
export const messageJson = {
  id: "01935d3b-0000-7000-8000-000000000002",
  seq: 2,
  turn_id: turnId,
  turn_status: "completed",
  role: "assistant",
  content: "Done.",
  tool_calls: [toolCallJson],
  created_at: "2026-01-19T10:02:15.250Z"
}

/** What the fake agent answers: not as any encoder would write it, so that it shows when it is encoded again. */
export const replyBody =
  '{ "turn_id":"01935d3b-0000-7000-8000-000000000001","conversation_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7",' +
  '"message_id":"01935d3b-0000-7000-8000-000000000002","message":"D\\u006fne \\ud83d\\ude00.","tool_calls":[],' +
  '"usage":{"total_tokens":5,"prompt_tokens":3,"completion_tokens":2} }'

/** That turn, as it is stored. */
const storedTurn: StoredTurn = {
  userId: ada.id,
  conversationId: conversation.id,
  turnId,
  status: "completed",
  usage: { promptTokens: 3, completionTokens: 2 },
  calls: [call],
  attempt: 1,
  steps: [{ content: "", toldFrom: 0 }],
  toldFrom: 0,
  body: replyBody,
  failure: null,
  retryable: false
}

/** What to do otherwise than the fakes below. */
export interface Overrides {
  readonly auth?: Partial<Auth["Service"]>
  readonly chat?: Partial<Chat["Service"]>
  readonly feed?: {
    /** The turn's events, or why it cannot be followed at all. */
    readonly follow?: (
      ...args: Parameters<TurnFeed["Service"]["follow"]>
    ) => Stream.Stream<TurnEvent, FeedError> | Effect.Effect<never, FeedError>
    readonly stop?: TurnFeed["Service"]["stop"]
  }
  readonly repo?: Partial<ConversationRepo["Service"]>
  readonly tasks?: Partial<TaskTools["Service"]>
  readonly ready?: Effect.Effect<void, ShuttingDown>
}

/** The services behind the adapter, each with one thing in it, and a record of what they were asked. */
export const makeFakes = (overrides: Overrides = {}) => {
  const calls: Array<readonly [method: string, ...args: ReadonlyArray<unknown>]> = []
  const answer = <A, E>(
    method: string,
    args: ReadonlyArray<unknown>,
    result: Effect.Effect<A, E>
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      calls.push([method, ...args])
      return result
    })
  const has = (userId: UserId, id: ConversationId) => userId === ada.id && id === conversation.id
  const find = <A>(userId: UserId, id: ConversationId, result: A): Effect.Effect<A, ConversationNotFound> =>
    has(userId, id) ? Effect.succeed(result) : Effect.fail(new ConversationNotFound({ conversationId: id }))
  const isTurn = (userId: UserId, id: TurnId) => userId === ada.id && id === turnId
  const findTask = <A>(userId: UserId, id: TaskId, result: A): Effect.Effect<A, TaskNotFound> =>
    userId === ada.id && id === task.id ? Effect.succeed(result) : Effect.fail(new TaskNotFound({ taskId: id }))
  const layer = Layer.mergeAll(
    Layer.succeed(Auth, {
      authenticate: (token) => {
        const user = new Map([
          ["ada-token", ada],
          ["bob-token", bob]
        ]).get(Redacted.value(token))
        return user === undefined ? Effect.fail(new InvalidToken()) : Effect.succeed(user)
      },
      ...overrides.auth
    }),
    Layer.succeed(Chat, {
      send: (request) => answer("send", [request], Effect.succeed({ body: replyBody, replayed: false })),
      open: (request) => answer("open", [request], Effect.succeed({ turnId, replayed: false })),
      ...overrides.chat
    }),
    Layer.succeed(TurnFeed, {
      follow: (...args) =>
        Effect.suspend(() => {
          const followed = overrides.feed?.follow?.(...args)
          if (followed !== undefined) return Stream.isStream(followed) ? Effect.succeed(followed) : followed
          const found = Stream.make({ _tag: "Completed", attempt: 1, step: 1, position: 1, body: replyBody } as const)
          return answer(
            "follow",
            args,
            isTurn(args[0], args[1]) ? Effect.succeed(found) : Effect.fail(new TurnNotFound({ turnId: args[1] }))
          )
        }),
      stop: (...args) =>
        answer(
          "stop",
          args,
          isTurn(args[0], args[1]) ? Effect.succeed(storedTurn) : Effect.fail(new TurnNotFound({ turnId: args[1] }))
        ),
      ...(overrides.feed?.stop !== undefined && { stop: overrides.feed.stop })
    }),
    Layer.mock(ConversationRepo, {
      list: (...args) => answer("list", args, Effect.succeed({ items: [conversation], hasMore: false })),
      get: (...args) => answer("get", args, find(...args, conversation)),
      rename: (...args) => answer("rename", args, find(args[0], args[1], { ...conversation, title: args[2] })),
      remove: (...args) => answer("remove", args, Effect.asVoid(find(...args, undefined))),
      messages: (...args) => answer("messages", args, find(args[0], args[1], { items: [message], hasMore: false })),
      turn: (...args) =>
        answer(
          "turn",
          args,
          isTurn(args[0], args[1]) ? Effect.succeed(storedTurn) : Effect.fail(new TurnNotFound({ turnId: args[1] }))
        ),
      eraseUser: (...args) => answer("eraseUser", args, Effect.void),
      check: answer("check", [], Effect.void),
      ...overrides.repo
    }),
    Layer.mock(TaskTools, {
      add: (...args) => answer("add", args, Effect.succeed({ ...task, ...args[1] })),
      list: (...args) => answer("tasks", args, Effect.succeed({ items: [task], hasMore: false })),
      get: (...args) => answer("task", args, findTask(...args, task)),
      update: (...args) => answer("update", args, findTask(args[0], args[1], { ...task, ...args[2] })),
      remove: (...args) => answer("removeTask", args, findTask(...args, task)),
      ...overrides.tasks
    }),
    Layer.succeed(Readiness, overrides.ready ?? Effect.void)
  )
  return { calls, layer }
}

const decodeJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Unknown))

/** The id of requests whose problems are compared as a whole. */
export const requestId = "request-1"

/** A whole problem, as the answer to a request of that id has it. */
export const problemJson = (status: number, code: string, title: string, detail: string, more: object = {}) => ({
  type: `urn:turnkeeper:problem:${code}`,
  title,
  status,
  detail,
  request_id: requestId,
  error: { message: detail, code },
  ...more
})

/** The problem of a request in which these values do not fit. */
export const invalidJson = (...errors: ReadonlyArray<{ readonly path: string; readonly message: string }>) =>
  problemJson(
    400,
    "invalid_request",
    "The request is not valid",
    errors.map((error) => `${error.path}: ${error.message}`).join("; "),
    { errors }
  )

/** Serves the adapter over the fakes on a port of its own, for as long as the scope is open. */
export const serveFakes = Effect.fnUntraced(function* (overrides: Overrides = {}, options: Partial<ServeOptions> = {}) {
  const { calls, layer } = makeFakes(overrides)
  const logs: Array<ReturnType<typeof Logger.formatStructured.log>> = []
  const logger = Logger.map(Logger.formatStructured, (entry) => {
    logs.push(entry)
  })
  const context = yield* Layer.build(
    serve({ port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0, ...options }).pipe(
      Layer.provide([layer, Logger.layer([logger])])
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  if (address._tag === "UnixPathAddress") {
    return yield* Effect.die("a port was asked for")
  }
  const { port } = address
  return {
    calls,
    logs,
    port,
    farewell: Context.get(context, Farewell),
    /** A request of Ada's, unless its headers say otherwise. */
    fetch: (
      method: string,
      path: string,
      init: { readonly body?: RequestInit["body"]; readonly headers?: Record<string, string> } = {}
    ) =>
      Effect.promise((signal) =>
        fetch(`http://127.0.0.1:${port}${path}`, {
          method,
          redirect: "manual",
          signal,
          headers: {
            authorization: "Bearer ada-token",
            "x-request-id": requestId,
            ...(init.body === undefined ? {} : { "content-type": "application/json" }),
            ...init.headers
          },
          ...(init.body === undefined ? {} : { body: init.body, duplex: "half" })
        })
      ).pipe(
        Effect.flatMap((response) =>
          Effect.map(
            Effect.promise(() => response.text()),
            (text) => ({
              status: response.status,
              headers: Object.fromEntries(response.headers),
              text,
              json: () => decodeJson(text)
            })
          )
        )
      ),
    /** Sends text as it is, and more once an answer begins. Gives all that comes back until the server hangs up. */
    raw: (text: string, more = "") =>
      Effect.callback<string>((resume) => {
        const chunks: Array<Buffer> = []
        const socket = connect(port, "127.0.0.1", () => socket.write(text))
        socket.once("data", () => socket.write(more))
        socket.on("data", (chunk) => chunks.push(chunk))
        socket.on("error", () => undefined)
        socket.on("close", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
        return Effect.sync(() => socket.destroy())
      }),
    /** Sends text as it is, waits for an answer to begin, and keeps the connection for as long as the scope is open. */
    rawUntilAnswered: (text: string) =>
      Effect.flatMap(
        Effect.acquireRelease(
          Effect.sync(() => connect(port, "127.0.0.1").on("error", () => undefined)),
          (socket) => Effect.sync(() => socket.destroy())
        ),
        (socket) =>
          Effect.callback<string>((resume) => {
            socket.once("data", (chunk) => resume(Effect.succeed(chunk.toString())))
            socket.write(text)
          })
      )
  }
})
