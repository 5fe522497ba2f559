import { DateTime, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import type { Conversation, Message } from "../../domain/model/Conversation.ts"
import type { Task } from "../../domain/model/Task.ts"
import { summarizeUsage, type Turn } from "../../domain/model/Turn.ts"
import type { User } from "../../domain/model/User.ts"
import { encodeToolCall } from "../../domain/ToolCalls.ts"
import type { StoredMessage, StoredTurn } from "../../ports/ConversationRepo.ts"
import { ConversationCursor, MessageCursor, TaskCursor } from "./Parameters.ts"

/*
 * Pages in the form in which they are sent. The types are those of the schemas, so neither can go its own way; but a page
 * that is encoded by its schema takes half as much CPU again for its request.
 */

export const conversationEntry = (conversation: Conversation): typeof Conversation.Encoded => ({
  id: conversation.id,
  title: conversation.title,
  created_at: DateTime.formatIso(conversation.createdAt),
  updated_at: DateTime.formatIso(conversation.updatedAt)
})

export const taskEntry = (task: Task): typeof Task.Encoded => ({
  id: task.id,
  title: task.title,
  description: task.description,
  completed: task.completed,
  created_at: DateTime.formatIso(task.createdAt),
  updated_at: DateTime.formatIso(task.updatedAt)
})

export const messageEntry =
  (userId: User["id"]) =>
  (message: StoredMessage): typeof Message.Encoded => ({
    id: message.id,
    seq: message.seq,
    turn_id: message.turnId,
    turn_status: message.turnStatus,
    role: message.role,
    content: message.content,
    tool_calls: message.calls.map((call) => encodeToolCall(userId, call)),
    created_at: DateTime.formatIso(message.createdAt)
  })

/** A turn as it stands: with its answer, which is the stored one, or with why it failed. */
export const turnResponse = (turn: StoredTurn): HttpServerResponse.HttpServerResponse => {
  const usage = summarizeUsage(turn.usage)
  const body: Omit<typeof Turn.Encoded, "reply"> = {
    id: turn.turnId,
    conversation_id: turn.conversationId,
    status: turn.status,
    tool_calls: turn.calls.map((call) => encodeToolCall(turn.userId, call)),
    usage: {
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_tokens: usage.totalTokens
    },
    failure:
      turn.failure === null
        ? null
        : { code: turn.failure.code, reason: turn.failure.reason ?? null, retryable: turn.retryable }
  }
  // The reply as it is stored: encoded again it would no longer be the same bytes.
  return HttpServerResponse.text(`${JSON.stringify(body).slice(0, -1)},"reply":${turn.body ?? "null"}}`, {
    contentType: "application/json"
  })
}

export const conversationCursor = Schema.encodeSync(ConversationCursor)
export const messageCursor = Schema.encodeSync(MessageCursor)
export const taskCursor = Schema.encodeSync(TaskCursor)

/** A page as it is sent, with the cursor behind its last entry if there are more. */
export const pageResponse = <A, Entry>(
  page: { readonly items: ReadonlyArray<A>; readonly hasMore: boolean },
  toEntry: (item: A) => Entry,
  toCursor: (item: A) => string
): HttpServerResponse.HttpServerResponse => {
  const last = page.items.at(-1)
  return HttpServerResponse.jsonUnsafe({
    data: page.items.map(toEntry),
    has_more: page.hasMore,
    next_cursor: page.hasMore && last !== undefined ? toCursor(last) : null
  })
}
