import { Predicate, Schema } from "effect"
import type { ConversationId, ToolCall, TurnId } from "../../domain/model/Conversation.ts"
import { summarizeUsage, TurnReply, UsageSummary } from "../../domain/model/Turn.ts"
import type { UserId } from "../../domain/model/User.ts"
import { toToolCall } from "../../domain/ToolCalls.ts"
import type { TurnEvent } from "../../domain/TurnEvents.ts"
import type { FailedTurn } from "../../ports/ConversationRepo.ts"
import { failureWords } from "./Refusals.ts"

/** What a front end is told of a turn beside its parts: it is merged as it comes, and names are those of the wire. */
export interface UiMetadata {
  readonly conversation_id?: string
  readonly turn_id?: string
  readonly turn_status: "running" | "completed" | "failed" | "stopped"
  readonly message_id?: string
  readonly usage?: typeof UsageSummary.Encoded
  readonly failure?: { readonly code: string; readonly reason: string | null; readonly retryable: boolean }
}

/**
 * A chunk of the AI SDK's UI message stream, protocol v1 (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol): those of its
 * `UIMessageChunk` that a turn comes to.
 */
export type UiChunk =
  | { readonly type: "start"; readonly messageId: string; readonly messageMetadata: UiMetadata }
  | { readonly type: "start-step" | "finish-step" | "reset-step" }
  | { readonly type: "text-start" | "text-end"; readonly id: string }
  | { readonly type: "text-delta"; readonly id: string; readonly delta: string }
  | {
      readonly type: "tool-input-available"
      readonly toolCallId: string
      readonly toolName: string
      readonly input: ToolCall["arguments"]
    }
  | { readonly type: "tool-output-available"; readonly toolCallId: string; readonly output: ToolCall["result"] }
  | { readonly type: "tool-output-error"; readonly toolCallId: string; readonly errorText: string }
  | { readonly type: "message-metadata"; readonly messageMetadata: UiMetadata }
  | { readonly type: "abort"; readonly reason: string }
  | { readonly type: "error"; readonly errorText: string }
  | { readonly type: "finish"; readonly finishReason: "stop" | "interrupted"; readonly messageMetadata: UiMetadata }

const decodeReply = Schema.decodeUnknownSync(Schema.fromJsonString(TurnReply))
const encodeUsage = Schema.encodeSync(UsageSummary)

const unfinished = { seq: 0, step: 0, position: 0, providerCallId: "", status: "success", result: "{}" } as const

/** What a tool says that could not do what it was asked for. */
export const toolErrorText = ({ result }: ToolCall): string => {
  const { error } = result
  return Predicate.isString(error) ? error : JSON.stringify(result)
}

const outputOf = (call: ToolCall): UiChunk =>
  call.status === "success"
    ? { type: "tool-output-available", toolCallId: call.id, output: call.result }
    : { type: "tool-output-error", toolCallId: call.id, errorText: toolErrorText(call) }

/** Why a turn failed, and what a person can do about it in a chat. */
const failedWords = (turn: FailedTurn): string =>
  `${failureWords(turn)} ${turn.retryable ? "Try again to go on from here." : "It will not be tried again."}`

/**
 * Makes the chunks of one message of the events of one turn, which come in their order from its beginning to its end.
 *
 * What is committed stays: when a turn is told from its beginning once more, since another instance goes on with it, what
 * was told of committed steps is not told again. What was told since then, and holds no longer, is taken back
 * (`reset-step`). At its end the message has what the turn has, whatever of it was not told on the way.
 */
export const makeUiChunks = (userId: UserId): ((event: TurnEvent) => ReadonlyArray<UiChunk>) => {
  let chunks: Array<UiChunk> = []
  let begun = false
  /** How many steps were told to their end. */
  let committed = 0
  let stepOpen = false
  let textOpen = false
  let texts = 0
  /** What is told of the open step. */
  let shown = ""
  const asked = new Set<string>()
  /** The calls that were told with their results. */
  const done = new Set<string>()

  const openStep = (): void => {
    if (!stepOpen) chunks.push({ type: "start-step" })
    stepOpen = true
  }
  const closeText = (): void => {
    if (textOpen) chunks.push({ type: "text-end", id: `text-${texts}` })
    textOpen = false
  }
  const forget = (): void => {
    textOpen = false
    shown = ""
    asked.clear()
  }
  const closeStep = (): void => {
    closeText()
    if (stepOpen) chunks.push({ type: "finish-step" })
    stepOpen = false
    forget()
  }
  /** Takes back what was told of the open step. Without one the chunk would take a committed step back. */
  const resetStep = (): void => {
    if (stepOpen) chunks.push({ type: "reset-step" })
    for (const id of asked) done.delete(id)
    forget()
  }
  const say = (text: string): void => {
    if (text === "") return
    openStep()
    if (!textOpen) chunks.push({ type: "text-start", id: `text-${++texts}` })
    textOpen = true
    shown += text
    chunks.push({ type: "text-delta", id: `text-${texts}`, delta: text })
  }
  const beginCall = ({ arguments: input, id, toolName }: ToolCall): void => {
    if (asked.has(id)) return
    closeText()
    openStep()
    asked.add(id)
    chunks.push({ type: "tool-input-available", toolCallId: id, toolName, input })
  }
  const endCall = (call: ToolCall): void => {
    beginCall(call)
    done.add(call.id)
    chunks.push(outputOf(call))
  }
  /** The calls that took effect and were not told, in a step of their own before what is said. */
  const tellMissing = (calls: ReadonlyArray<ToolCall>): void => {
    if (calls.every((call) => done.has(call.id))) return
    resetStep()
    for (const call of calls) if (!done.has(call.id)) endCall(call)
    closeStep()
  }
  const endWithReply = (body: string, turn_status: "completed" | "stopped"): void => {
    const { message, messageId, toolCalls, usage } = decodeReply(body)
    tellMissing(toolCalls)
    // A call that was stopped has taken no effect.
    if (!message.startsWith(shown) || [...asked].some((id) => !done.has(id))) resetStep()
    say(message.slice(shown.length))
    closeStep()
    const messageMetadata = { turn_status, message_id: messageId, usage: encodeUsage(usage) }
    if (turn_status === "stopped") chunks.push({ type: "abort", reason: "The turn was stopped." })
    chunks.push({ type: "finish", finishReason: turn_status === "stopped" ? "interrupted" : "stop", messageMetadata })
  }
  const endWithFailure = (turn: FailedTurn): void => {
    const { calls, failure, retryable, usage } = turn
    // What is not committed is no part of a failed turn.
    resetStep()
    tellMissing(calls.map((call) => toToolCall(userId, call)))
    closeStep()
    chunks.push({
      type: "message-metadata",
      messageMetadata: {
        turn_status: "failed",
        usage: encodeUsage(summarizeUsage(usage)),
        failure: { code: failure.code, reason: failure.reason ?? null, retryable }
      }
    })
    chunks.push({ type: "error", errorText: failedWords(turn) })
  }

  const tellStep = (event: TurnEvent): void => {
    if (event._tag === "Text") say(event.text)
    else if (event._tag === "Restarted") resetStep()
    else if (event._tag === "ToolCallBegun") beginCall(toToolCall(userId, { ...event.call, ...unfinished }))
    else if (event._tag === "ToolCallDone") endCall(toToolCall(userId, event.call))
    else if (event._tag === "StepDone") {
      committed = event.step
      closeStep()
    }
  }

  const begin = (conversation_id: ConversationId, turn_id: TurnId): void => {
    if (begun) resetStep()
    else
      chunks.push({
        type: "start",
        messageId: turn_id,
        messageMetadata: { conversation_id, turn_id, turn_status: "running" }
      })
    begun = true
  }

  const tell = (event: TurnEvent): void => {
    if (event._tag === "Begun") begin(event.conversationId, event.turnId)
    else if (event._tag === "Completed") endWithReply(event.body, "completed")
    else if (event._tag === "Stopped") endWithReply(event.body, "stopped")
    else if (event._tag === "Failed") endWithFailure(event.turn)
    // The end of a step has the place behind it.
    else if (event.step > committed || (event.step === committed && event._tag !== "StepDone")) tellStep(event)
  }

  return (event) => {
    chunks = []
    tell(event)
    return chunks
  }
}
