import { Effect, Option, Redacted, Schema, Stream } from "effect"
import {
  answers,
  conversationId,
  turnId,
  uiMessageId,
  userId,
  type Wrong
} from "../../../../src/adapters/http/Examples.ts"
import { keyOfMessage } from "../../../../src/adapters/http/UiMessages.ts"
import { Conversation, Message, type ToolCall, TurnId } from "../../../../src/domain/model/Conversation.ts"
import {
  AuthUnavailable,
  ConversationBusy,
  ConversationNotFound,
  IdempotencyKeyReused,
  InvalidToken,
  RateLimited,
  StorageUnavailable,
  TaskNotFound,
  TooManyConversations,
  TooManyTasks,
  TooManyTurns,
  TurnFailed,
  TurnInProgress,
  TurnNotFound
} from "../../../../src/domain/model/Errors.ts"
import { Task, TaskId } from "../../../../src/domain/model/Task.ts"
import { type Failure, TurnReply } from "../../../../src/domain/model/Turn.ts"
import { UserId } from "../../../../src/domain/model/User.ts"
import type { StoredMessage, StoredTurn } from "../../../../src/ports/ConversationRepo.ts"
import type { Overrides } from "../../../support/http.ts"

/*
 * The morning that the document's examples tell of, for the fakes to play: what they give is made of the examples, and what
 * the service makes of that must be the examples again.
 */

const toConversation = Schema.decodeSync(Conversation)
const toTask = Schema.decodeSync(Task)
const toMessage = Schema.decodeSync(Message)
const toReply = Schema.decodeSync(TurnReply)
const encodeText = Schema.encodeSync(Schema.fromJsonString(Schema.Json))

const conversation = toConversation(answers.conversation.Conversation.value)
const reply = toReply(answers.reply.NewConversation.value)

const toStoredCalls = (calls: ReadonlyArray<ToolCall>) =>
  calls.map(({ arguments: { user_id: _, ...written }, result, ...call }, position) => ({
    ...call,
    seq: 1,
    step: 1,
    position,
    providerCallId: `call_${position}`,
    arguments: encodeText(written),
    result: encodeText(result)
  }))

/** That of the message when it comes from a front end made with the AI SDK. */
const idempotencyKey = Option.getOrNull(keyOfMessage(conversation.id, uiMessageId))

const toStored = (encoded: typeof Message.Encoded): StoredMessage => {
  const { toolCalls, ...message } = toMessage(encoded)
  return { ...message, idempotencyKey, calls: toStoredCalls(toolCalls) }
}

const storedTurn = (userId: UserId): StoredTurn => ({
  userId,
  conversationId: reply.conversationId,
  turnId: reply.turnId,
  status: "completed",
  usage: reply.usage,
  calls: toStoredCalls(reply.toolCalls),
  attempt: 1,
  steps: [{ content: "", toldFrom: 0 }],
  toldFrom: 0,
  body: encodeText(answers.reply.NewConversation.value),
  failure: null,
  retryable: false
})

const place = { attempt: 1, step: 1, position: 51 }
const { reply: stopped } = answers.stopped.Stopped.value

/** The header of the one user there is. */
export const authorization = "Bearer demo-token"

const auth: Overrides["auth"] = {
  authenticate: (sent) =>
    `Bearer ${Redacted.value(sent)}` === authorization
      ? Effect.succeed({ id: UserId.make(userId), name: "Demo" })
      : Effect.fail(new InvalidToken())
}

/** When all is well. */
export const asPlanned: Overrides = {
  auth,
  chat: {
    send: (request) =>
      Effect.succeed({
        body: encodeText(
          answers.reply[request.conversationId._tag === "None" ? "NewConversation" : "SameConversation"].value
        ),
        replayed: false
      })
  },
  feed: {
    follow: (userId) => Stream.succeed({ ...place, _tag: "Completed", body: storedTurn(userId).body ?? "" }),
    stop: (userId) =>
      Effect.succeed({
        ...storedTurn(userId),
        status: "stopped",
        usage: { promptTokens: 618, completionTokens: 12 },
        body: JSON.stringify(stopped)
      })
  },
  repo: {
    list: () =>
      Effect.succeed({
        items: answers.conversations.Conversations.value.data.map((entry) => toConversation(entry)),
        hasMore: false
      }),
    get: () => Effect.succeed(conversation),
    rename: (_user, _id, title) => Effect.succeed({ ...conversation, title }),
    remove: () => Effect.void,
    messages: (_user, _id, { order }) => {
      const items = answers.messages.Messages.value.data.map(toStored)
      return Effect.succeed({ items: order === "asc" ? items : items.toReversed(), hasMore: true })
    },
    turn: (user) => Effect.succeed(storedTurn(user)),
    eraseUser: () => Effect.void,
    check: Effect.void
  },
  tasks: {
    add: (_user, task) => Effect.succeed({ ...toTask(answers.newTask.Parcel.value), ...task }),
    list: () => Effect.succeed({ items: answers.tasks.Tasks.value.data.map((entry) => toTask(entry)), hasMore: false }),
    get: () => Effect.succeed(toTask(answers.task.Groceries.value)),
    update: (_user, _id, patch) =>
      Effect.succeed({
        ...toTask(answers.task.Groceries.value),
        ...patch,
        updatedAt: toTask(answers.described.Described.value).updatedAt
      }),
    remove: () => Effect.succeed(toTask(answers.task.Groceries.value))
  }
}

/** When nothing but this comes of anything. */
const nothingBut = (effect: Effect.Effect<never, StorageUnavailable>): Overrides => ({
  auth,
  chat: { send: () => effect, open: () => effect },
  feed: { follow: () => effect, stop: () => effect },
  repo: {
    list: () => effect,
    get: () => effect,
    rename: () => effect,
    remove: () => effect,
    messages: () => effect,
    turn: () => effect,
    eraseUser: () => effect,
    check: effect
  },
  tasks: { add: () => effect, list: () => effect, get: () => effect, update: () => effect, remove: () => effect }
})

const notSent = (error: Effect.Error<ReturnType<NonNullable<NonNullable<Overrides["chat"]>["send"]>>>): Overrides => ({
  auth,
  chat: { send: () => Effect.fail(error), open: () => Effect.fail(error) }
})

const turnFailed = (failure: Failure, retryable: boolean) =>
  notSent(
    new TurnFailed({
      conversationId: reply.conversationId,
      turnId: reply.turnId,
      failure,
      retryable,
      toolCalls: reply.toolCalls,
      usage: { promptTokens: 618, completionTokens: 12, totalTokens: 630 }
    })
  )

const noConversation = Effect.fail(new ConversationNotFound({ conversationId: conversation.id }))
const noTurn = Effect.fail(new TurnNotFound({ turnId: TurnId.make(turnId) }))
const noTask = Effect.fail(new TaskNotFound({ taskId: TaskId.make(1) }))

/** What is sent instead of what the document has as examples of a request, and what the fakes do. */
export interface Mishap {
  readonly fakes?: Overrides
  readonly parameters?: { readonly [name: string]: string }
  readonly headers?: { readonly [name: string]: string }
  readonly body?: string
}

/** How each thing that may go wrong comes about. A request without a Host is another matter: no client can send it. */
export const mishaps: { readonly [Name in Exclude<Wrong, "MissingHost">]: Mishap } = {
  InvalidUserId: { parameters: { user_id: "demo.user" } },
  InvalidConversationId: { parameters: { conversation_id: conversationId.slice(1) } },
  InvalidChatId: { parameters: { chat_id: "a".repeat(256) } },
  InvalidTurnId: { parameters: { turn_id: turnId.slice(1) } },
  InvalidEventId: { headers: { "last-event-id": "1.2" } },
  InvalidTaskId: { parameters: { task_id: "one" } },
  InvalidLimit: { parameters: { limit: "201" } },
  InvalidConversationLimit: { parameters: { limit: "101" } },
  InvalidMessage: { body: '{"message":" "}' },
  InvalidUiMessage: { body: '{"id":"chat","messages":[]}' },
  InvalidTitle: { body: '{"title":""}' },
  InvalidPatch: { body: "{}" },
  NoToken: { headers: { authorization: "" } },
  InvalidToken: { headers: { authorization: "Bearer old-token" } },
  Forbidden: { parameters: { user_id: "somebody-else" } },
  NoSuchConversation: {
    fakes: {
      auth,
      chat: { send: () => noConversation, open: () => noConversation },
      repo: {
        get: () => noConversation,
        rename: () => noConversation,
        remove: () => noConversation,
        messages: () => noConversation
      }
    }
  },
  NoSuchTask: { fakes: { auth, tasks: { get: () => noTask, update: () => noTask, remove: () => noTask } } },
  NoSuchTurn: {
    fakes: { auth, repo: { turn: () => noTurn }, feed: { follow: () => noTurn, stop: () => noTurn } }
  },
  ConversationBusy: { fakes: notSent(new ConversationBusy({ retryAfterMillis: 5000 })) },
  TurnInProgress: { fakes: notSent(new TurnInProgress({ retryAfterMillis: 5000 })) },
  PayloadTooLarge: { body: `{"message":"${"a".repeat(64 * 1024)}"}` },
  ChatTooLarge: { body: `{"id":"${"a".repeat(1024 * 1024)}"}` },
  UnsupportedMediaType: { headers: { "content-type": "text/plain" } },
  IdempotencyKeyReused: { fakes: notSent(new IdempotencyKeyReused()) },
  TooManyConversations: { fakes: notSent(new TooManyConversations({ limit: 10_000 })) },
  TooManyTasks: { fakes: { auth, tasks: { add: () => Effect.fail(new TooManyTasks({ limit: 10_000 })) } } },
  RateLimited: { fakes: notSent(new RateLimited({ retryAfterMillis: 5000, turnsPerMinute: 60 })) },
  TooManyTurns: { fakes: notSent(new TooManyTurns({ turnsAtOnce: 10 })) },
  Internal: { fakes: nothingBut(Effect.die("a bug")) },
  ModelFailed: { fakes: turnFailed({ code: "model_failed", reason: "timed_out" }, true) },
  StepLimit: { fakes: turnFailed({ code: "step_limit" }, false) },
  Abandoned: { fakes: turnFailed({ code: "abandoned" }, false) },
  StorageUnavailable: { fakes: nothingBut(Effect.fail(new StorageUnavailable({ operation: "test" }))) },
  AuthUnavailable: {
    fakes: { auth: { authenticate: () => Effect.fail(new AuthUnavailable({ operation: "test" })) } }
  },
  ShuttingDown: { fakes: nothingBut(Effect.interrupt) }
}
