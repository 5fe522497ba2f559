import { Array as Arr, Effect, Option, Predicate, Schema, SchemaGetter, SchemaIssue } from "effect"
import { StoredArray, StoredText } from "../../domain/model/Bounds.ts"
import { ConversationId, JsonObject, MessageText, TurnId, TurnStatus } from "../../domain/model/Conversation.ts"

/** How large the body of a chat may be, in KiB: front ends send what was said before with each message. */
export const chatKibibytes = 1024
const bodyLength = chatKibibytes * 1024

const Asked = Schema.Struct({ id: Schema.optionalKey(Schema.String), text: MessageText })

const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })
const isTextPart = Schema.is(TextPart)
const Sent = Schema.Struct({ id: Schema.optionalKey(Schema.String), parts: Schema.Array(Schema.Unknown) })
const decodeSent = Schema.decodeUnknownOption(Sent)

const isOfUser = (message: unknown): boolean => Predicate.hasProperty(message, "role") && message.role === "user"

/** The text of a message, and its id. */
const askedOf = ({ id, parts }: typeof Sent.Type): typeof Asked.Encoded => ({
  ...(id !== undefined && { id }),
  text: parts.flatMap((part) => (isTextPart(part) ? [part.text] : [])).join("\n")
})

const maxMessages = 10_000

/** A message as it is sent, in JSON Schema: nothing in it is longer than the whole body. */
export const sentMessage = {
  type: "object",
  properties: {
    id: { type: "string", maxLength: bodyLength, description: "Sent again under this id, it is the same turn" },
    role: { type: "string", enum: ["system", "user", "assistant"] },
    parts: {
      type: "array",
      maxItems: bodyLength,
      items: {
        type: "object",
        properties: {
          type: { type: "string", maxLength: bodyLength },
          text: { type: "string", maxLength: bodyLength }
        },
        required: ["type"]
      }
    }
  },
  required: ["role", "parts"]
} as const

/**
 * What was said in a chat, of which only the user's last message counts: what came before is stored already. Nothing else of
 * it is looked at, however much there is.
 */
export const LastMessage = Schema.Array(Schema.Unknown)
  .check(
    Schema.makeFilter((messages) => messages.length <= maxMessages, {
      expected: `at most ${maxMessages} messages`,
      toJsonSchema: () => ({ maxItems: maxMessages })
    })
  )
  .annotate({
    description: "Messages of the AI SDK (`UIMessage`). The text of the user's last one is what the agent is told."
  })
  .pipe(
    Schema.decodeTo(Asked, {
      decode: SchemaGetter.transformEffect((messages, options) =>
        Effect.mapError(
          Effect.fromOption(Option.map(Option.flatMap(Arr.findLast(messages, isOfUser), decodeSent), askedOf)),
          () => new SchemaIssue.InvalidValue({ expected: "a message of the user's, with its parts" }, messages, options)
        )
      ),
      encode: SchemaGetter.transform(({ id, text }) => [{ id, role: "user", parts: [{ type: "text", text }] }])
    })
  )

const ToolPart = Schema.Struct({
  type: StoredText({ minLength: 5, maxLength: 261 }).annotate({ description: "`tool-` and the tool's name" }),
  toolCallId: StoredText({ minLength: 36, maxLength: 36 }),
  input: JsonObject
})

/** A part of a message as the AI SDK has it: those of its `UIMessagePart` that a turn comes to. */
const UiPart = Schema.Union([
  Schema.Struct({ type: Schema.Literal("step-start") }),
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String, state: Schema.Literal("done") }),
  Schema.Struct({ ...ToolPart.fields, state: Schema.Literal("output-available"), output: JsonObject }),
  Schema.Struct({ ...ToolPart.fields, state: Schema.Literal("output-error"), errorText: Schema.String })
])
export type UiPart = typeof UiPart.Encoded

/** A message as the AI SDK has it (`UIMessage`). */
export const UiMessage = Schema.Struct({
  id: StoredText({ minLength: 1, maxLength: 200 }).annotate({
    description: "The id that the front end gave a message of the user's, or that the stream gave a reply"
  }),
  role: Schema.Literals(["user", "assistant"]),
  metadata: Schema.Struct({
    conversation_id: ConversationId,
    turn_id: TurnId,
    turn_status: TurnStatus,
    created_at: Schema.String
  }),
  // The steps of a turn and what is in them: eleven answers of the model, and the calls that they asked for.
  parts: StoredArray(UiPart, { maxItems: 1292 })
})
export type UiMessage = typeof UiMessage.Encoded

/** How many messages a page of a chat may have, and has if nothing is said of that. */
export const uiMessageLimits = { maximum: 200, default: 200 }
