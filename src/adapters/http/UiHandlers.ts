import { Effect, Option } from "effect"
import { HttpServerResponse } from "effect/http"
import { type HttpApi, HttpApiBuilder } from "effect/http-api"
import { Chat } from "../../domain/Chat.ts"
import type { ConversationId } from "../../domain/model/Conversation.ts"
import type { UserId } from "../../domain/model/User.ts"
import { TurnFeed } from "../../domain/TurnFeed.ts"
import { ConversationRepo } from "../../ports/ConversationRepo.ts"
import { type AgentGroups, CurrentUser } from "./Api.ts"
import { messageCursor } from "./Bodies.ts"
import { failUnavailable } from "./Middleware.ts"
import type { Problem } from "./Problems.ts"
import { chatRefusals } from "./Refusals.ts"
import { uiMessageLimits } from "./UiBodies.ts"
import { conversationOfChat, keyOfMessage, uiMessagesOf } from "./UiMessages.ts"
import { answerWithChunks } from "./UiStream.ts"

/** What answers front ends made with the AI SDK. */
export const ui = <Id extends string>(api: HttpApi.HttpApi<Id, AgentGroups>) =>
  HttpApiBuilder.group(
    api,
    "agentUi",
    Effect.fnUntraced(function* (handlers) {
      const { open } = yield* Chat
      const { follow } = yield* TurnFeed
      const repo = yield* ConversationRepo
      /** What was said in a chat, the newest first; nothing where there is no such conversation. */
      const said = (
        userId: UserId,
        conversationId: ConversationId,
        query: { readonly limit: number; readonly after: Option.Option<number> }
      ) =>
        repo.messages(userId, conversationId, { ...query, order: "desc" }).pipe(
          Effect.catchTags({
            ConversationNotFound: () => Effect.succeed({ items: [], hasMore: false }),
            StorageUnavailable: failUnavailable
          })
        )
      return handlers.handleAll({
        send: Effect.fnUntraced(function* ({ headers, payload }) {
          const user = yield* CurrentUser
          const conversationId = conversationOfChat(user.id, payload.id)
          const { id, text } = payload.messages
          const { turnId } = yield* open({
            user,
            conversationId: Option.some(conversationId),
            startIfAbsent: true,
            message: text,
            idempotencyKey: Option.orElse(Option.fromUndefinedOr(headers["idempotency-key"]), () =>
              keyOfMessage(conversationId, id)
            )
          }).pipe(Effect.catchTags(chatRefusals))
          return yield* answerWithChunks(user.id, follow(user.id, turnId, Option.none()))
        }),
        resume: Effect.fnUntraced(function* ({ params }) {
          const { id } = yield* CurrentUser
          // A running turn is the last of its conversation, and has its message there.
          const { items } = yield* said(id, conversationOfChat(id, params.chat_id), { limit: 1, after: Option.none() })
          const [last] = items
          if (last?.turnStatus !== "running") return nothingRuns
          return yield* answerWithChunks(id, follow(id, last.turnId, Option.none())).pipe(
            // Its conversation was deleted just now.
            Effect.catchIf(isNotFound, () => Effect.succeed(nothingRuns))
          )
        }),
        messages: Effect.fnUntraced(function* ({ params, query }) {
          const { id } = yield* CurrentUser
          const conversationId = conversationOfChat(id, params.chat_id)
          const { hasMore, items } = yield* said(id, conversationId, {
            limit: query.limit ?? uiMessageLimits.default,
            after: Option.map(Option.fromUndefinedOr(query.after), ({ seq }) => seq)
          })
          const oldest = items.at(-1)
          return HttpServerResponse.jsonUnsafe({
            data: items.toReversed().flatMap(uiMessagesOf(id, conversationId)),
            has_more: hasMore,
            next_cursor: hasMore && oldest !== undefined ? messageCursor({ seq: oldest.seq }) : null
          })
        })
      })
    })
  )

const nothingRuns = HttpServerResponse.empty({ status: 204 })

const isNotFound = (error: object): error is Problem<"not_found"> => "status" in error && error.status === 404
