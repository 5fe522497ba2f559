import { Context, Effect, Layer, Option } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Chat } from "../../domain/Chat.ts"
import type { ConversationId } from "../../domain/model/Conversation.ts"
import type {
  ConversationBusy,
  ShuttingDown,
  TooManyConversations,
  TurnFailed,
  TurnInProgress
} from "../../domain/model/Errors.ts"
import type { IdempotencyKey, ModelFailureReason } from "../../domain/model/Turn.ts"
import { Settings } from "../../domain/Settings.ts"
import { ConversationRepo } from "../../ports/ConversationRepo.ts"
import { TaskTools } from "../../ports/TaskTools.ts"
import { Api, CurrentUser } from "./Api.ts"
import {
  conversationCursor,
  conversationEntry,
  messageCursor,
  messageEntry,
  pageResponse,
  taskCursor,
  taskEntry,
  turnResponse
} from "./Bodies.ts"
import { answerWithEvents, wantsEvents } from "./EventStream.ts"
import { failUnavailable } from "./Middleware.ts"
import { fail, failForNow, failRateLimited, failTooManyTurns, problem, shuttingDownWords } from "./Problems.ts"

/** Whether this instance takes requests, beside what its store says of itself. */
export const Readiness = Context.Reference<Effect.Effect<void, ShuttingDown>>("turnkeeper/adapters/http/Readiness", {
  defaultValue: () => Effect.void
})

const failNotFound = {
  ConversationNotFound: () => fail("not_found", "There is no such conversation."),
  TaskNotFound: () => fail("not_found", "There is no such task."),
  TurnNotFound: () => fail("not_found", "There is no such turn.")
}

const failFull = (limit: number, what: "conversations" | "tasks") =>
  fail("limit_reached", `The limit of ${limit} ${what} is reached: delete one first.`)

const failShuttingDown = () => failForNow("unavailable", shuttingDownWords, 1000)

const chat = HttpApiBuilder.group(
  Api,
  "chat",
  Effect.fnUntraced(function* (handlers) {
    const { send } = yield* Chat
    const handle = Effect.fnUntraced(function* (request: {
      readonly headers: { readonly "idempotency-key"?: IdempotencyKey }
      readonly payload: { readonly message: string; readonly conversation_id?: ConversationId | null }
    }) {
      const user = yield* CurrentUser
      const message = {
        user,
        conversationId: Option.fromNullishOr(request.payload.conversation_id),
        message: request.payload.message,
        idempotencyKey: Option.fromUndefinedOr(request.headers["idempotency-key"])
      }
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (wantsEvents(headers["accept"])) {
        return yield* answerWithEvents(user.id, (watch) => Effect.catchTags(send({ ...message, watch }), chatRefusals))
      }
      const answer = yield* Effect.catchTags(send(message), chatRefusals)
      // As it is stored: an answer that is encoded again would no longer be the same bytes.
      return HttpServerResponse.text(answer.body, {
        contentType: "application/json",
        headers: answer.replayed ? { "idempotency-replayed": "true" } : {}
      })
    })
    return handlers.handleAll({ send: handle, sendAlias: handle })
  })
)

const chatRefusals = {
  ConversationNotFound: failNotFound.ConversationNotFound,
  ConversationBusy: (error: ConversationBusy) =>
    failForNow("conversation_busy", "Another turn of this conversation is running.", error.retryAfterMillis),
  TurnInProgress: (error: TurnInProgress) =>
    failForNow("turn_in_progress", "The turn under this key is still running.", error.retryAfterMillis),
  IdempotencyKeyReused: () => fail("idempotency_key_reused", "This Idempotency-Key was used with another request."),
  RateLimited: failRateLimited,
  TooManyTurns: failTooManyTurns,
  TooManyConversations: ({ limit }: TooManyConversations) => failFull(limit, "conversations"),
  TurnFailed: (error: TurnFailed) => failTurn(error),
  ShuttingDown: failShuttingDown,
  StorageUnavailable: failUnavailable
}

/** What became of a turn whose model failed, in our words: the provider's may hold what nobody should read. */
const modelWords: { readonly [Reason in ModelFailureReason]: string } = {
  rate_limited: "The language model takes no more requests at the moment.",
  overloaded: "The language model is overloaded.",
  timed_out: "The language model did not answer in time.",
  unreachable: "The language model is out of reach.",
  unavailable: "The language model is out of order; it is tried again in a moment.",
  bad_answer: "The language model gave no usable answer.",
  refused: "The language model's provider refused the message.",
  context_too_long: "The conversation is too long for the language model.",
  misconfigured: "The language model is not set up as it should be; this is for the operator to mend."
}

const failureWords = ({ failure: { code, reason } }: TurnFailed): string => {
  switch (code) {
    case "step_limit":
      return "The agent did not come to an end within its limit of steps."
    case "abandoned":
      return "The turn was attempted too often without coming to an end."
    case "model_failed":
      return reason === undefined ? "The language model failed." : modelWords[reason]
  }
}

const failTurn = Effect.fnUntraced(function* (error: TurnFailed) {
  const advice = error.retryable
    ? "Send the request again under the same Idempotency-Key to go on from here."
    : "It will not be tried again under this Idempotency-Key."
  const body = yield* problem(error.failure.code, `${failureWords(error)} ${advice}`)
  return yield* Effect.fail({
    ...body,
    conversation_id: error.conversationId,
    turn_id: error.turnId,
    tool_calls: error.toolCalls,
    usage: error.usage,
    retryable: error.retryable
  })
})

const conversations = HttpApiBuilder.group(
  Api,
  "conversations",
  Effect.fnUntraced(function* (handlers) {
    const repo = yield* ConversationRepo
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ query }) {
        const { id } = yield* CurrentUser
        const page = yield* repo
          .list(id, { limit: query.limit ?? defaultLimit, after: Option.fromUndefinedOr(query.after) })
          .pipe(Effect.catchTag("StorageUnavailable", failUnavailable))
        return pageResponse(page, conversationEntry, ({ id, updatedAt }) => conversationCursor({ id, updatedAt }))
      }),
      get: Effect.fnUntraced(function* ({ params }) {
        const { id } = yield* CurrentUser
        return yield* repo.get(id, params.conversation_id).pipe(Effect.catchTags(conversationRefusals))
      }),
      rename: Effect.fnUntraced(function* ({ params, payload }) {
        const { id } = yield* CurrentUser
        return yield* repo
          .rename(id, params.conversation_id, payload.title)
          .pipe(Effect.catchTags(conversationRefusals))
      }),
      remove: Effect.fnUntraced(function* ({ params }) {
        const { id } = yield* CurrentUser
        yield* repo.remove(id, params.conversation_id).pipe(Effect.catchTags(conversationRefusals))
      }),
      messages: Effect.fnUntraced(function* ({ params, query }) {
        const { id } = yield* CurrentUser
        const page = yield* repo
          .messages(id, params.conversation_id, {
            limit: query.limit ?? defaultLimit,
            order: query.order ?? "asc",
            after: Option.map(Option.fromUndefinedOr(query.after), ({ seq }) => seq)
          })
          .pipe(Effect.catchTags(conversationRefusals))
        return pageResponse(page, messageEntry(id), ({ seq }) => messageCursor({ seq }))
      })
    })
  })
)

const turns = HttpApiBuilder.group(
  Api,
  "turns",
  Effect.fnUntraced(function* (handlers) {
    const repo = yield* ConversationRepo
    return handlers.handleAll({
      get: Effect.fnUntraced(function* ({ params }) {
        const { id } = yield* CurrentUser
        const turn = yield* repo
          .turn(id, params.turn_id)
          .pipe(Effect.catchTags({ TurnNotFound: failNotFound.TurnNotFound, StorageUnavailable: failUnavailable }))
        return turnResponse(turn)
      })
    })
  })
)

const tasks = HttpApiBuilder.group(
  Api,
  "tasks",
  Effect.fnUntraced(function* (handlers) {
    const tools = yield* TaskTools
    const { maxTasks } = yield* Settings
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ query }) {
        const { id } = yield* CurrentUser
        const page = yield* tools
          .list(id, {
            status: query.status ?? "all",
            limit: query.limit ?? defaultLimit,
            after: Option.map(Option.fromUndefinedOr(query.after), (position) => position.id)
          })
          .pipe(Effect.catchTag("StorageUnavailable", failUnavailable))
        return pageResponse(page, taskEntry, (task) => taskCursor({ id: task.id }))
      }),
      create: Effect.fnUntraced(function* ({ payload }) {
        const { id } = yield* CurrentUser
        const task = yield* tools
          .add(id, { title: payload.title, description: payload.description ?? null }, maxTasks)
          .pipe(
            Effect.catchTags({
              TooManyTasks: ({ limit }) => failFull(limit, "tasks"),
              StorageUnavailable: failUnavailable
            })
          )
        return HttpApiSchema.withHeaders({
          body: task,
          headers: { location: `/api/v1/users/${id}/tasks/${task.id}` }
        })
      }),
      get: Effect.fnUntraced(function* ({ params }) {
        const { id } = yield* CurrentUser
        return yield* tools.get(id, params.task_id).pipe(Effect.catchTags(taskRefusals))
      }),
      update: Effect.fnUntraced(function* ({ params, payload }) {
        const { id } = yield* CurrentUser
        return yield* tools.update(id, params.task_id, payload).pipe(Effect.catchTags(taskRefusals))
      }),
      remove: Effect.fnUntraced(function* ({ params }) {
        const { id } = yield* CurrentUser
        yield* tools.remove(id, params.task_id).pipe(Effect.catchTags(taskRefusals))
      })
    })
  })
)

const users = HttpApiBuilder.group(
  Api,
  "users",
  Effect.fnUntraced(function* (handlers) {
    const repo = yield* ConversationRepo
    return handlers.handleAll({
      erase: Effect.fnUntraced(function* () {
        const { id } = yield* CurrentUser
        yield* repo.eraseUser(id).pipe(Effect.catchTag("StorageUnavailable", failUnavailable))
      })
    })
  })
)

const health = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const repo = yield* ConversationRepo
    const ready = yield* Readiness
    return handlers.handleAll({
      live: () => Effect.succeed(healthy),
      ready: Effect.fnUntraced(
        function* () {
          yield* ready
          yield* repo.check
          return healthy
        },
        Effect.catchTags({ ShuttingDown: failShuttingDown, StorageUnavailable: failUnavailable })
      )
    })
  })
)

const healthy = { status: "ok" } as const

const defaultLimit = 50

const conversationRefusals = {
  ConversationNotFound: failNotFound.ConversationNotFound,
  StorageUnavailable: failUnavailable
}

const taskRefusals = { TaskNotFound: failNotFound.TaskNotFound, StorageUnavailable: failUnavailable }

/** What answers the endpoints of the `Api`. */
export const handlers = Layer.mergeAll(chat, turns, conversations, tasks, users, health)
