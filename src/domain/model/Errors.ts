import { Schema } from "effect"
import { ConversationId, ToolCall, TurnId } from "./Conversation.ts"
import { TaskId } from "./Task.ts"
import { Failure, UsageSummary } from "./Turn.ts"

/** The token is unknown, expired, revoked or malformed. */
export class InvalidToken extends Schema.TaggedError<InvalidToken>()("InvalidToken", {}) {}

/** Whoever knows the tokens is out of reach: nothing is said about the token. */
export class AuthUnavailable extends Schema.TaggedError<AuthUnavailable>()("AuthUnavailable", {
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** The store is out of reach. What was asked may or may not have happened. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** This user has no such conversation; whether someone else has is not told. */
export class ConversationNotFound extends Schema.TaggedError<ConversationNotFound>()("ConversationNotFound", {
  conversationId: ConversationId
}) {}

/** This user has no such task; whether someone else has is not told. */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", { taskId: TaskId }) {}

/** This user has no such turn; whether someone else has is not told. */
export class TurnNotFound extends Schema.TaggedError<TurnNotFound>()("TurnNotFound", { turnId: TurnId }) {}

/** Another turn of this conversation is running. */
export class ConversationBusy extends Schema.TaggedError<ConversationBusy>()("ConversationBusy", {
  /** When it may be worth trying again, in milliseconds. */
  retryAfterMillis: Schema.Finite
}) {}

/** The turn under this idempotency key is still running. */
export class TurnInProgress extends Schema.TaggedError<TurnInProgress>()("TurnInProgress", {
  /** When it may be worth trying again, in milliseconds. */
  retryAfterMillis: Schema.Finite
}) {}

/** This idempotency key was used with another request. */
export class IdempotencyKeyReused extends Schema.TaggedError<IdempotencyKeyReused>()("IdempotencyKeyReused", {}) {}

/** The user has begun as many turns as may be in a minute. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  /** When the next turn is allowed, in milliseconds. */
  retryAfterMillis: Schema.Finite,
  /** How many are. */
  turnsPerMinute: Schema.Finite
}) {}

/** As many turns of the user are running as may at once. */
export class TooManyTurns extends Schema.TaggedError<TooManyTurns>()("TooManyTurns", {
  /** How many may. */
  turnsAtOnce: Schema.Finite
}) {}

/** The user has as many conversations as may be: the next one has room when one is deleted. */
export class TooManyConversations extends Schema.TaggedError<TooManyConversations>()("TooManyConversations", {
  /** How many may be. */
  limit: Schema.Finite
}) {}

/** The user has as many tasks as may be: the next one has room when one is deleted. */
export class TooManyTasks extends Schema.TaggedError<TooManyTasks>()("TooManyTasks", {
  /** How many may be. */
  limit: Schema.Finite
}) {}

/** As much of this user's is worked on as may be at once, and has been for long. Nothing of this request has happened. */
export class TooMuchAtOnce extends Schema.TaggedError<TooMuchAtOnce>()("TooMuchAtOnce", {}) {}

/** The user has made as many calls under keys as are remembered: there is room when the oldest is forgotten. */
export class TooManyKeys extends Schema.TaggedError<TooManyKeys>()("TooManyKeys", {
  /** How many may be. */
  limit: Schema.Finite
}) {}

/** This instance is shutting down; another one goes on with what it had begun. */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>()("ShuttingDown", {}) {}

/** The turn failed. What did happen until then is told, never hidden. */
export class TurnFailed extends Schema.TaggedError<TurnFailed>()("TurnFailed", {
  conversationId: ConversationId,
  turnId: TurnId,
  failure: Failure,
  /** Whether the same request under the same idempotency key goes on from where it stopped. */
  retryable: Schema.Boolean,
  toolCalls: Schema.Array(Schema.toType(ToolCall)),
  usage: Schema.toType(UsageSummary)
}) {}
