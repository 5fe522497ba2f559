import { Predicate, Schema } from "effect"
import type { StoredCall } from "../ports/ConversationRepo.ts"
import type { JsonObject, ToolCall } from "./model/Conversation.ts"
import type { UserId } from "./model/User.ts"

// What is stored is an object, and whatever is parsed is JSON: to look at each value again would take as long as all else.
const decodeObject = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.declare((value): value is JsonObject => Predicate.isObject(value)))
)

/**
 * A stored call as its user sees it: with the user's id among the arguments, whatever the model wrote there.
 */
export const toToolCall = (userId: UserId, call: StoredCall): ToolCall => {
  const { user_id: _, ...written } = decodeObject(call.arguments)
  return {
    id: call.id,
    toolName: call.toolName,
    status: call.status,
    arguments: { user_id: userId, ...written },
    result: decodeObject(call.result)
  }
}
