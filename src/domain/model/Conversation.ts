import { Schema, SchemaTransformation } from "effect"
import { StoredArray, StoredText } from "./Bounds.ts"
import { TrimmedText } from "./Text.ts"

/** A UUID in its canonical form: a UUID in capitals is made lower case. */
const Uuid = Schema.String.pipe(
  Schema.decode(SchemaTransformation.toLowerCase()),
  Schema.check(
    Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
      expected: "a UUID",
      format: "uuid"
    })
  )
)

export const ConversationId = Uuid.pipe(Schema.brand("turnkeeper/ConversationId"))
export type ConversationId = typeof ConversationId.Type

export const TurnId = Uuid.pipe(Schema.brand("turnkeeper/TurnId"))
export type TurnId = typeof TurnId.Type

export const MessageId = Uuid.pipe(Schema.brand("turnkeeper/MessageId"))
export type MessageId = typeof MessageId.Type

export const ToolCallId = Uuid.pipe(Schema.brand("turnkeeper/ToolCallId"))
export type ToolCallId = typeof ToolCallId.Type

/** A conversation's title: 1 to 255 code points after trimming. */
export const ConversationTitle = TrimmedText(1, 255)

/** A talk between one user and the agent. */
export const Conversation = Schema.Struct({
  id: ConversationId,
  title: StoredText({ minLength: 1, maxLength: 255 }),
  createdAt: Schema.DateTimeUtcFromString,
  updatedAt: Schema.DateTimeUtcFromString
}).pipe(Schema.encodeKeys({ createdAt: "created_at", updatedAt: "updated_at" }))
export type Conversation = typeof Conversation.Type

/** What a person may say in one message: 1 to 2,000 code points after trimming. */
export const MessageText = TrimmedText(1, 2000)

/** The life of a turn, as far as others see it. */
export const TurnStatus = Schema.Literals(["running", "completed", "failed", "stopped"])
export type TurnStatus = typeof TurnStatus.Type

/** A JSON object. Its properties are data: nothing is looked up through its prototype. */
export const JsonObject = Schema.Record(Schema.String, Schema.Json)
export type JsonObject = typeof JsonObject.Type

/**
 * A tool call that took place, with its one result; the same shape in answers, messages and failures.
 * `arguments` are the model's, with the user's id added on the way out.
 */
export const ToolCall = Schema.Struct({
  id: ToolCallId,
  toolName: StoredText({ maxLength: 256 }),
  status: Schema.Literals(["success", "error"]),
  arguments: JsonObject,
  result: JsonObject
}).pipe(Schema.encodeKeys({ toolName: "tool_name" }))
export type ToolCall = typeof ToolCall.Type

/** The tool calls of a turn: the agent asks the model ten times at most, and looks at 128 calls of an answer. */
export const ToolCalls = StoredArray(ToolCall, { maxItems: 1280 })

/** One thing that was said: by the user, or by the agent in reply. `seq` counts up without gaps and is the order. */
export const Message = Schema.Struct({
  id: MessageId,
  seq: Schema.Int,
  turnId: TurnId,
  turnStatus: TurnStatus,
  role: Schema.Literals(["user", "assistant"]),
  content: Schema.String,
  toolCalls: ToolCalls,
  createdAt: Schema.DateTimeUtcFromString
}).pipe(
  Schema.encodeKeys({
    turnId: "turn_id",
    turnStatus: "turn_status",
    toolCalls: "tool_calls",
    createdAt: "created_at"
  })
)
export type Message = typeof Message.Type
