import { Effect, Option, Schema } from "effect"
import { noUsage, type Usage } from "../../domain/model/Turn.ts"
import { type Completion, ModelFailed, type RequestedCall } from "../../ports/LLM.ts"
import { ProviderFailure } from "./errors.ts"

/**
 * What the body of an answer with status 200 says. Takes what compatible servers do as well: no usage (counted as
 * zero), `stop` although there are tool calls, calls without an id or without arguments (empty strings, for the domain
 * to mend). Fails as `bad_answer`, or `refused` by the provider's filter, with the usage if it is told.
 */
export const readAnswer = Effect.fnUntraced(function* (body: string): Effect.fn.Return<Completion, ModelFailed> {
  const envelope = decodeEnvelope(body)
  if (Option.isNone(envelope)) return yield* badAnswer("not a JSON object")
  const usage = Option.map(decodeUsage(envelope.value.usage), toUsage)

  const choices = decodeChoices(envelope.value.choices)
  if (Option.isNone(choices)) return yield* badAnswer("choices that do not fit the schema", usage)
  const choice = choices.value[0]
  if (choice === undefined) return yield* badAnswer("no choice", usage)

  const { finish_reason: finished, message } = choice
  if (finished === "content_filter" || isText(message.refusal)) {
    return yield* failed("refused", "the model or a filter refused", usage)
  }
  if (message.function_call !== undefined && message.function_call !== null) {
    return yield* badAnswer("a function call of the old form", usage)
  }

  const text = message.content ?? ""
  const toolCalls = (message.tool_calls ?? []).map(toRequestedCall)
  if (toolCalls.length === 0 && text.trim() === "") return yield* badAnswer("neither text nor tool calls", usage)
  const finishReason = toFinishReason(finished, toolCalls)
  if (finishReason === undefined) return yield* badAnswer("a finish reason that does not fit", usage)
  return { text, toolCalls, finishReason, usage: Option.getOrElse(usage, () => noUsage) }
})

const Envelope = Schema.Struct({
  choices: Schema.optionalKey(Schema.Unknown),
  usage: Schema.optionalKey(Schema.Unknown)
})

const Count = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))
const UsageCounts = Schema.Struct({
  prompt_tokens: Schema.optionalKey(Schema.NullOr(Count)),
  completion_tokens: Schema.optionalKey(Schema.NullOr(Count))
})

const Call = Schema.Struct({
  id: Schema.optionalKey(Schema.NullOr(Schema.String)),
  function: Schema.Struct({
    name: Schema.String,
    arguments: Schema.optionalKey(Schema.NullOr(Schema.String))
  })
})

const Choice = Schema.Struct({
  finish_reason: Schema.optionalKey(Schema.NullOr(Schema.String)),
  message: Schema.Struct({
    content: Schema.optionalKey(Schema.NullOr(Schema.String)),
    refusal: Schema.optionalKey(Schema.NullOr(Schema.String)),
    tool_calls: Schema.optionalKey(Schema.NullOr(Schema.Array(Call))),
    function_call: Schema.optionalKey(Schema.Unknown)
  })
})

// In three steps, so that the usage of an answer that does not fit is known.
const decodeEnvelope = Schema.decodeUnknownOption(Schema.fromJsonString(Envelope))
const decodeUsage = Schema.decodeUnknownOption(UsageCounts)
const decodeChoices = Schema.decodeUnknownOption(Schema.Array(Choice))

const toUsage = (counts: typeof UsageCounts.Type): Usage => ({
  promptTokens: counts.prompt_tokens ?? 0,
  completionTokens: counts.completion_tokens ?? 0
})

const toRequestedCall = (call: typeof Call.Type): RequestedCall => ({
  id: call.id ?? "",
  name: call.function.name,
  arguments: call.function.arguments ?? ""
})

/** `tool_calls` without a call is no answer either: the call was lost on the way. */
const toFinishReason = (
  finished: string | null | undefined,
  toolCalls: ReadonlyArray<RequestedCall>
): Completion["finishReason"] | undefined => {
  if (finished === "length") return "length"
  if (toolCalls.length > 0) return finished === "tool_calls" || finished === "stop" ? "tool_calls" : undefined
  return finished === "stop" ? "stop" : undefined
}

const isText = (value: string | null | undefined): boolean => value !== undefined && value !== null && value !== ""

const failed = (reason: "bad_answer" | "refused", what: string, usage: Option.Option<Usage>): ModelFailed =>
  new ModelFailed({
    reason,
    ...(Option.isSome(usage) ? { usage: usage.value } : {}),
    cause: new ProviderFailure({ message: what })
  })

const badAnswer = (what: string, usage: Option.Option<Usage> = Option.none()): ModelFailed =>
  failed("bad_answer", what, usage)
