import { Context, Effect, Layer, Option } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { type HttpApi, HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Chat } from "../../domain/Chat.ts"
import type { ConversationId } from "../../domain/model/Conversation.ts"
import type { ShuttingDown } from "../../domain/model/Errors.ts"
import type { IdempotencyKey } from "../../domain/model/Turn.ts"
import { Settings } from "../../domain/Settings.ts"
import { TurnFeed } from "../../domain/TurnFeed.ts"
import { ConversationRepo } from "../../ports/ConversationRepo.ts"
import { TaskTools } from "../../ports/TaskTools.ts"
import { type AgentGroups, Api, CurrentUser } from "./Api.ts"
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
import { chatRefusals, failFull, failNotFound, failShuttingDown } from "./Refusals.ts"
import { ui } from "./UiHandlers.ts"

/** Whether this instance takes requests, beside what its store says of itself. */
export const Readiness = Context.Reference<Effect.Effect<void, ShuttingDown>>("turnkeeper/adapters/http/Readiness", {
  defaultValue: () => Effect.void
})

const chat = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentChat",
    Effect.fnUntraced(function* (handlers) {
      const { open, send } = yield* Chat
      const { follow } = yield* TurnFeed
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
          const { replayed, turnId } = yield* Effect.catchTags(open(message), chatRefusals)
          return yield* answerWithEvents(user.id, follow(user.id, turnId, Option.none()), { replayed })
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

const conversations = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentConversations",
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

const turns = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentTurns",
    Effect.fnUntraced(function* (handlers) {
      const repo = yield* ConversationRepo
      const feed = yield* TurnFeed
      return handlers.handleAll({
        get: Effect.fnUntraced(function* ({ params }) {
          const { id } = yield* CurrentUser
          return turnResponse(yield* Effect.catchTags(repo.turn(id, params.turn_id), turnRefusals))
        }),
        events: Effect.fnUntraced(function* ({ headers, params }) {
          const { id } = yield* CurrentUser
          const after = Option.fromUndefinedOr(headers["last-event-id"])
          return yield* answerWithEvents(id, feed.follow(id, params.turn_id, after), { opens: true })
        }),
        stop: Effect.fnUntraced(function* ({ params }) {
          const { id } = yield* CurrentUser
          return turnResponse(yield* Effect.catchTags(feed.stop(id, params.turn_id), turnRefusals))
        })
      })
    })
  )

const tasks = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentTasks",
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
          // Below whatever prefix the application has put the API.
          const { originalUrl } = yield* HttpServerRequest.HttpServerRequest
          const { pathname } = new URL(originalUrl, "http://localhost")
          return HttpApiSchema.withHeaders({
            body: task,
            headers: { location: `${withoutSlash(pathname)}/${task.id}` }
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

const me = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(api, "agentMe", (handlers) => handlers.handleAll({ get: () => CurrentUser }))

const users = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentUsers",
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

/** What answers those who run the service. */
export const health = HttpApiBuilder.group(
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
        Effect.catchTags({ ShuttingDown: () => failShuttingDown, StorageUnavailable: failUnavailable })
      )
    })
  })
)

const healthy = { status: "ok" } as const

/** A router may take `/tasks/` for `/tasks`. */
const withoutSlash = (path: string): string => (path.endsWith("/") ? path.slice(0, -1) : path)

const defaultLimit = 50

const conversationRefusals = {
  ConversationNotFound: failNotFound.ConversationNotFound,
  StorageUnavailable: failUnavailable
}

const turnRefusals = { TurnNotFound: failNotFound.TurnNotFound, StorageUnavailable: failUnavailable }

const taskRefusals = { TaskNotFound: failNotFound.TaskNotFound, StorageUnavailable: failUnavailable }

/** What answers the endpoints of the agent, in an API that has its groups with `Authentication` around them. */
export const agent = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  Layer.mergeAll(chat(api), ui(api), turns(api), conversations(api), tasks(api), me(api), users(api))
