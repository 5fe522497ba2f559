import { Effect } from "effect"
import type { ConversationBusy, TooManyConversations, TurnFailed, TurnInProgress } from "../../domain/model/Errors.ts"
import type { ModelFailureReason } from "../../domain/model/Turn.ts"
import { failUnavailable } from "./Middleware.ts"
import { fail, failForNow, failRateLimited, failTooManyTurns, problem, shuttingDownWords } from "./Problems.ts"

/** What is not this user's, or nobody's. */
export const failNotFound = {
  ConversationNotFound: () => fail("not_found", "There is no such conversation."),
  TaskNotFound: () => fail("not_found", "There is no such task."),
  TurnNotFound: () => fail("not_found", "There is no such turn.")
}

/** There is no room for more. */
export const failFull = (limit: number, what: "conversations" | "tasks") =>
  fail("limit_reached", `The limit of ${limit} ${what} is reached: delete one first.`)

/** Another instance is to be asked. */
export const failShuttingDown = failForNow("unavailable", shuttingDownWords, 1000)

/** What a message may be answered instead of a reply. */
export const chatRefusals = {
  ConversationNotFound: failNotFound.ConversationNotFound,
  ConversationBusy: (error: ConversationBusy) =>
    failForNow("conversation_busy", "Another turn of this conversation is running.", error.retryAfterMillis),
  TurnInProgress: (error: TurnInProgress) =>
    failForNow("turn_in_progress", "The turn under this key is still running.", error.retryAfterMillis),
  IdempotencyKeyReused: () => fail("idempotency_key_reused", "This Idempotency-Key was used with another request."),
  RateLimited: failRateLimited,
  TooManyTurns: failTooManyTurns,
  TooManyConversations: ({ limit }: TooManyConversations) => failFull(limit, "conversations"),
  TurnFailed: (error: TurnFailed) => failTurn(error),
  ShuttingDown: () => failShuttingDown,
  StorageUnavailable: failUnavailable
}

/** What became of a turn whose model failed, in our words: the provider's may hold what nobody should read. */
const modelWords: { readonly [Reason in ModelFailureReason]: string } = {
  rate_limited: "The language model takes no more requests at the moment.",
  overloaded: "The language model is overloaded.",
  timed_out: "The language model did not answer in time.",
  unreachable: "The language model is out of reach.",
  unavailable: "The language model is out of order; it is tried again in a moment.",
  bad_answer: "The language model gave no usable answer.",
  refused: "The language model's provider refused the message.",
  context_too_long: "The conversation is too long for the language model.",
  misconfigured: "The language model is not set up as it should be; this is for the operator to mend."
}

/** Why a turn failed, for people to read. */
export const failureWords = ({ failure: { code, reason } }: Pick<TurnFailed, "failure">): string => {
  switch (code) {
    case "step_limit":
      return "The agent did not come to an end within its limit of steps."
    case "abandoned":
      return "The turn was attempted too often without coming to an end."
    case "model_failed":
      return reason === undefined ? "The language model failed." : modelWords[reason]
  }
}

/** The problem that a failed turn is. */
export const turnProblem = Effect.fnUntraced(function* (error: TurnFailed) {
  const advice = error.retryable
    ? "Send the request again under the same Idempotency-Key to go on from here."
    : "It will not be tried again under this Idempotency-Key."
  const body = yield* problem(error.failure.code, `${failureWords(error)} ${advice}`)
  return {
    ...body,
    conversation_id: error.conversationId,
    turn_id: error.turnId,
    tool_calls: error.toolCalls,
    usage: error.usage,
    retryable: error.retryable
  }
})

const failTurn = (error: TurnFailed) => Effect.flatMap(turnProblem(error), Effect.fail)

/** Why a turn can be followed no longer. */
export const feedRefusals = {
  TurnNotFound: failNotFound.TurnNotFound,
  StorageUnavailable: failUnavailable,
  ShuttingDown: () => failShuttingDown
}
