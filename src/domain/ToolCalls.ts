import { Predicate } from "effect"
import type { StoredCall } from "../ports/ConversationRepo.ts"
import type { JsonObject, ToolCall } from "./model/Conversation.ts"
import type { UserId } from "./model/User.ts"

const isJsonObject = (value: unknown): value is JsonObject => Predicate.isObject(value)

/** What is stored is an object, and whatever is parsed is JSON: a schema would take six times as long, fifty times a page. */
const parseObject = (text: string): JsonObject => {
  const value: unknown = JSON.parse(text)
  if (isJsonObject(value)) return value
  throw new TypeError("A stored call is no JSON object")
}

/**
 * A stored call as its user sees it: with the user's id among the arguments, whatever the model wrote there.
 */
export const toToolCall = (userId: UserId, call: StoredCall): ToolCall => {
  const { user_id: _, ...written } = parseObject(call.arguments)
  return {
    id: call.id,
    toolName: call.toolName,
    status: call.status,
    arguments: { user_id: userId, ...written },
    result: parseObject(call.result)
  }
}

/** The same in the form in which it is sent and stored: that of the schema, without its work. */
export const encodeToolCall = (userId: UserId, stored: StoredCall): typeof ToolCall.Encoded => {
  const call = toToolCall(userId, stored)
  return {
    id: call.id,
    tool_name: call.toolName,
    status: call.status,
    arguments: call.arguments,
    result: call.result
  }
}
