import { Schema } from "effect"
import { ConversationId, MessageId, type ToolCallId, ToolCalls, TurnId, TurnStatus } from "./Conversation.ts"

/** The name that a client gives a request so that it can repeat it safely: 1 to 255 visible ASCII characters. */
export const IdempotencyKey = Schema.String.pipe(
  Schema.check(Schema.isPattern(/^[\x21-\x7e]{1,255}$/, { expected: "1 to 255 visible ASCII characters" })),
  Schema.brand("turnkeeper/IdempotencyKey")
)
export type IdempotencyKey = typeof IdempotencyKey.Type

/** Tokens that a model used, as it counted them. */
export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** Adds two usages up. */
export const addUsage = (a: Usage, b: Usage): Usage => ({
  promptTokens: a.promptTokens + b.promptTokens,
  completionTokens: a.completionTokens + b.completionTokens
})

export const noUsage: Usage = { promptTokens: 0, completionTokens: 0 }

/** The sum over every answer of the model that is known, as clients see it. */
export const UsageSummary = Schema.Struct({
  promptTokens: Schema.Int,
  completionTokens: Schema.Int,
  totalTokens: Schema.Int
}).pipe(
  Schema.encodeKeys({
    promptTokens: "prompt_tokens",
    completionTokens: "completion_tokens",
    totalTokens: "total_tokens"
  })
)
export type UsageSummary = typeof UsageSummary.Type

export const summarizeUsage = (usage: Usage): UsageSummary => ({
  ...usage,
  totalTokens: usage.promptTokens + usage.completionTokens
})

/**
 * What a completed turn answers. It is stored as the text of its encoded form and repeated byte for byte, so its
 * encoding belongs to the model and not to one way of delivering it.
 */
export const TurnReply = Schema.Struct({
  conversationId: ConversationId,
  turnId: TurnId,
  messageId: MessageId,
  message: Schema.String,
  toolCalls: ToolCalls,
  usage: UsageSummary,
  /** Its user has stopped the turn: the message is as far as the agent had come. */
  stopped: Schema.optionalKey(Schema.Literal(true))
}).pipe(
  Schema.encodeKeys({
    conversationId: "conversation_id",
    turnId: "turn_id",
    messageId: "message_id",
    toolCalls: "tool_calls"
  })
)
export type TurnReply = typeof TurnReply.Type

/** What the model has said since the last committed step of a turn, and which tools it then asked for. */
export interface Told {
  /** The position in the telling of the step (`TurnEvents`) at which it begins: what was told before that holds no longer. */
  readonly from: number
  readonly text: string
  readonly calls: ReadonlyArray<BegunCall>
}

/** A tool call that the model has asked for. */
export interface BegunCall {
  readonly id: ToolCallId
  readonly toolName: string
  /** A JSON object, as text. */
  readonly arguments: string
}

/** Why a turn failed, for those who decide what to do about it. */
const FailureCode = Schema.Literals(["model_failed", "step_limit", "abandoned"])

/** What was wrong with the model when it failed. */
export const ModelFailureReason = Schema.Literals([
  "rate_limited",
  "overloaded",
  "timed_out",
  "unreachable",
  "unavailable",
  "bad_answer",
  "refused",
  "context_too_long",
  "misconfigured"
])
export type ModelFailureReason = typeof ModelFailureReason.Type

/** The stored account of a failure: no text of a user, a model or a provider is in it. */
export const Failure = Schema.Struct({ code: FailureCode, reason: Schema.optionalKey(ModelFailureReason) })
export type Failure = typeof Failure.Type

/** Whether a failed model may be tried again for the same turn. */
export const isRetryableReason = (reason: ModelFailureReason): boolean =>
  reason !== "refused" && reason !== "context_too_long" && reason !== "misconfigured"

/** A turn as it stands, as its user sees it. */
export const Turn = Schema.Struct({
  id: TurnId,
  conversationId: ConversationId,
  status: TurnStatus,
  /** The calls that have taken effect. */
  toolCalls: ToolCalls,
  /** What its committed part used. */
  usage: UsageSummary,
  failure: Schema.NullOr(
    Schema.Struct({
      code: FailureCode,
      reason: Schema.NullOr(ModelFailureReason),
      /** Whether the same request under the same key goes on where this one stopped. */
      retryable: Schema.Boolean
    })
  ),
  reply: Schema.NullOr(TurnReply)
}).pipe(Schema.encodeKeys({ conversationId: "conversation_id", toolCalls: "tool_calls" }))
