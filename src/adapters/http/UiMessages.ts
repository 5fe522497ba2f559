// @effect-diagnostics-next-line nodeBuiltinImport:off -- the digest is needed at once, without a promise
import { hash } from "node:crypto"
import { DateTime, Option, Schema } from "effect"
import { ConversationId, type ToolCall } from "../../domain/model/Conversation.ts"
import { IdempotencyKey } from "../../domain/model/Turn.ts"
import type { UserId } from "../../domain/model/User.ts"
import { toToolCall } from "../../domain/ToolCalls.ts"
import type { StoredMessage } from "../../ports/ConversationRepo.ts"
import type { UiMessage, UiPart } from "./UiBodies.ts"
import { toolErrorText } from "./UiChunks.ts"

const decodeConversationId = Schema.decodeOption(ConversationId)

/**
 * The conversation that a chat is, whose id a front end has chosen: a UUID is the conversation's own, and any other text
 * makes one of version 8 (RFC 9562, section 5.8), always the same for this user.
 */
export const conversationOfChat = (userId: UserId, chatId: string): ConversationId =>
  Option.getOrElse(decodeConversationId(chatId), () => {
    const digits = hash("sha256", `turnkeeper chat ${userId} ${chatId}`)
    const variant = ((Number.parseInt(digits.slice(16, 17), 16) & 0x3) | 0x8).toString(16)
    return ConversationId.make(
      [
        digits.slice(0, 8),
        digits.slice(8, 12),
        `8${digits.slice(13, 16)}`,
        `${variant}${digits.slice(17, 20)}`,
        digits.slice(20, 32)
      ].join("-")
    )
  })

const keyPrefix = (conversationId: ConversationId): string => `ui:${conversationId}:`
const fitsKey = /^[\x21-\x7e]{1,200}$/

/**
 * The key of the turn of a front end's message, by the id that the message has there, which is its own within its chat; none
 * of a message without an id.
 */
export const keyOfMessage = (conversationId: ConversationId, messageId = ""): Option.Option<IdempotencyKey> => {
  if (messageId === "") return Option.none()
  return Option.some(
    IdempotencyKey.make(
      fitsKey.test(messageId)
        ? `${keyPrefix(conversationId)}${messageId}`
        : `ui-sha256:${conversationId}:${hash("sha256", messageId)}`
    )
  )
}

/** The id by which a front end knows a message: the one that it has sent, so that what it sends again is the same turn. */
const idOf = (conversationId: ConversationId, { id, idempotencyKey }: StoredMessage): string => {
  const prefix = keyPrefix(conversationId)
  return idempotencyKey?.startsWith(prefix) === true ? idempotencyKey.slice(prefix.length) : id
}

const stepStart: UiPart = { type: "step-start" }

const toolPart = (call: ToolCall): UiPart => {
  const part = { type: `tool-${call.toolName}`, toolCallId: call.id } as const
  return call.status === "success"
    ? { ...part, state: "output-available", input: call.arguments, output: call.result }
    : { ...part, state: "output-error", input: call.arguments, errorText: toolErrorText(call) }
}

const textParts = (text: string): ReadonlyArray<UiPart> => (text === "" ? [] : [{ type: "text", text, state: "done" }])

const callParts = (userId: UserId, { calls }: StoredMessage): ReadonlyArray<UiPart> =>
  calls.flatMap((call, i) => {
    const part = toolPart(toToolCall(userId, call))
    return calls[i - 1]?.step === call.step ? [part] : [stepStart, part]
  })

/**
 * Stored messages in the form of the AI SDK, as it would have made them of the turns' chunks. The calls of a turn without a
 * reply, which hang on its user message, are a message of the assistant's as well, under the id that its reply would have.
 */
export const uiMessagesOf =
  (userId: UserId, conversationId: ConversationId) =>
  (message: StoredMessage): ReadonlyArray<UiMessage> => {
    const metadata = {
      conversation_id: conversationId,
      turn_id: message.turnId,
      turn_status: message.turnStatus,
      created_at: DateTime.formatIso(message.createdAt)
    }
    const reply = (parts: ReadonlyArray<UiPart>): UiMessage => ({
      id: message.turnId,
      role: "assistant",
      metadata,
      parts
    })
    const calls = callParts(userId, message)
    if (message.role === "assistant") {
      const text = textParts(message.content)
      return [reply([...calls, ...(text.length === 0 ? [] : [stepStart, ...text])])]
    }
    const asked: UiMessage = {
      id: idOf(conversationId, message),
      role: "user",
      metadata,
      parts: textParts(message.content)
    }
    return calls.length === 0 ? [asked] : [asked, reply(calls)]
  }
