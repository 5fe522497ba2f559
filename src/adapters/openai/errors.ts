import { Data, DateTime, Option } from "effect"
import { APIConnectionError, APIConnectionTimeoutError, APIError } from "openai"
import { ModelFailed } from "../../ports/LLM.ts"

type Reason = ModelFailed["reason"]

/**
 * What went wrong between us and the provider, without a word of its text: the SDK's errors hold that, and with it
 * pieces of the key, of the prompt, and the headers of the answer.
 */
export class ProviderFailure extends Data.TaggedError("ProviderFailure")<{
  readonly message: string
  /** The status of the HTTP answer. */
  readonly status?: number
  /** The provider's code for it, or the system's for a broken connection. */
  readonly code?: string
  readonly type?: string
  /** The provider's name for the request, which its support asks for. */
  readonly requestId?: string
}> {}

/** What is needed to judge an error of the SDK. */
interface Circumstances {
  /** Now, in milliseconds since 1970: a `Retry-After` may be a date. */
  readonly nowMillis: number
  /** The API key, to make sure that it gets nowhere. */
  readonly secret: string
}

/**
 * Whatever the SDK failed with, as the port's error. What is no error of an answer or a connection was thrown before
 * there was a request: a key that fits no header, an address that is no URL.
 */
export const asModelFailed = (error: unknown, circumstances: Circumstances): ModelFailed => {
  if (error instanceof APIConnectionError) return connectionFailed(error, circumstances)
  if (error instanceof APIError && typeof error.status === "number") {
    return statusFailed(error, error.status, circumstances)
  }
  if (error instanceof APIError) return new ModelFailed({ reason: "unreachable" })
  return new ModelFailed({
    reason: "misconfigured",
    cause: new ProviderFailure({ message: "the request could not be made: is the key or the address malformed?" })
  })
}

const connectionFailed = (error: APIConnectionError, { secret }: Circumstances): ModelFailed => {
  const codes = systemCodes(error)
  const code = harmless(codes.at(-1), secret)
  const timedOut = error instanceof APIConnectionTimeoutError || codes.some((each) => timeoutCode.test(each))
  return new ModelFailed({
    reason: timedOut ? "timed_out" : "unreachable",
    cause: new ProviderFailure({
      message: words(timedOut ? "no answer in time" : "connection failed", code),
      ...(code === undefined ? {} : { code })
    })
  })
}

const statusFailed = (error: APIError, status: number, { nowMillis, secret }: Circumstances): ModelFailed => {
  const reason = reasonOf(error, status)
  const wait = patient.has(reason) ? retryAfterMillis(error.headers, nowMillis) : undefined
  const code = harmless(error.code, secret)
  const type = harmless(error.type, secret)
  const requestId = error.requestID
  return new ModelFailed({
    reason,
    ...(wait === undefined ? {} : { retryAfterMillis: wait }),
    cause: new ProviderFailure({
      message: words(`HTTP ${status}`, code, type),
      status,
      ...(code === undefined ? {} : { code }),
      ...(type === undefined ? {} : { type }),
      ...(typeof requestId === "string" && isRequestId.test(requestId) && !requestId.includes(secret)
        ? { requestId }
        : {})
    })
  })
}

/** The reasons for which a time to wait makes sense. */
const patient: ReadonlySet<Reason> = new Set(["rate_limited", "overloaded", "timed_out"])

const reasonOf = (error: APIError, status: number): Reason => {
  if (status === 401) return "misconfigured"
  if (status === 429) return reasonOf429(error)
  if (timeoutStatuses.has(status)) return "timed_out"
  if (status >= 500 || status === 409 || status === 425) return "overloaded"
  if (!promptStatuses.has(status)) return "misconfigured"
  if (says(error, policyCodes, policyWords)) return "refused"
  if (status === 413 || says(error, contextCodes, contextWords)) return "context_too_long"
  return "misconfigured"
}

const reasonOf429 = (error: APIError): Reason => {
  // No wait fills an account: without this a user would be told to try again for ever.
  if (says(error, quotaCodes)) return "misconfigured"
  // One request above what a whole minute allows: it never fits, a shorter one may.
  return says(error, noCodes, tooLargeForMinute) ? "context_too_long" : "rate_limited"
}

/** Statuses of the provider (408, 504) and of a proxy before it (522, 524). */
const timeoutStatuses: ReadonlySet<number> = new Set([408, 504, 522, 524])

/** Statuses that may be about what the prompt says, or how long it is. 403 is how some gateways refuse a prompt. */
const promptStatuses: ReadonlySet<number> = new Set([400, 403, 413, 422])

const noCodes: ReadonlySet<string> = new Set()

const quotaCodes: ReadonlySet<string> = new Set([
  "insufficient_quota",
  "billing_not_active",
  "billing_hard_limit_reached",
  "exceeded_current_quota_error"
])

const policyCodes: ReadonlySet<string> = new Set([
  "content_filter",
  "content_policy_violation",
  // OpenAI's reasoning models.
  "invalid_prompt",
  "moderation_blocked",
  "ResponsibleAIPolicyViolation",
  // Alibaba.
  "data_inspection_failed",
  "DataInspectionFailed"
])

const policyWords =
  /content[ _-](?:management )?(?:policy|filter)|usage polic(?:y|ies)|(?:was|were|been) flagged|requires moderation/i

const contextCodes: ReadonlySet<string> = new Set([
  "context_length_exceeded",
  // llama.cpp.
  "exceed_context_size_error"
])

/** vLLM, SGLang, llama.cpp, Groq, Mistral, xAI, Anthropic, Google and Bedrock, in this order or nearly. */
const contextWords = new RegExp(
  [
    "(?:maximum|model's|available|the) context (?:length|size|window)",
    "context[ _-]?(?:length|size|window|limit) (?:of|exceeded|overflow)",
    "maximum (?:model|prompt) length",
    "reduce the length of the (?:messages|prompt|input)",
    "too large for model with",
    "(?:prompt|input) is too long",
    "input token count .{0,40}exceeds",
    "too many (?:input |prompt )?tokens"
  ].join("|"),
  "i"
)

const tooLargeForMinute = /request too large/i

/** Whether the provider's code or type is one of these, or the head of its message has such words. */
const says = (error: APIError, codes: ReadonlySet<string>, wording?: RegExp): boolean =>
  (typeof error.code === "string" && codes.has(error.code)) ||
  (typeof error.type === "string" && codes.has(error.type)) ||
  // The head alone: some servers repeat the prompt after it.
  (wording?.test(error.message.slice(0, 600)) ?? false)

/**
 * How long the answer asks to wait, in milliseconds: `retry-after-ms` (OpenAI), or `Retry-After` in seconds or as an
 * HTTP date (RFC 9110, 10.2.3). A date gone by is 0; what is neither is as if it were not there.
 */
const retryAfterMillis = (headers: Headers | undefined, nowMillis: number): number | undefined => {
  const millis = decimal(headers?.get("retry-after-ms"))
  if (millis !== undefined) return Math.ceil(millis)
  const after = headers?.get("retry-after")
  const seconds = decimal(after)
  if (seconds !== undefined) return finiteOrNone(seconds * 1000)
  if (after === undefined || after === null || !httpDate.test(after)) return undefined
  const date = Option.getOrUndefined(DateTime.make(after))
  return date === undefined ? undefined : Math.max(0, DateTime.toEpochMillis(date) - nowMillis)
}

const httpDate = /^[A-Z][a-z]+, .* GMT$/
const decimalDigits = /^\s*\d+(?:\.\d+)?\s*$/

const decimal = (text: string | null | undefined): number | undefined =>
  text !== undefined && text !== null && decimalDigits.test(text) ? finiteOrNone(Number(text)) : undefined

const finiteOrNone = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined)

const timeoutCode = /TIMEDOUT|TIMEOUT/

/** The codes in a chain of causes, outermost first: `ECONNREFUSED`, `UND_ERR_SOCKET`. */
const systemCodes = (error: Error): ReadonlyArray<string> => {
  const codes: Array<string> = []
  let current: unknown = error
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    if ("code" in current && typeof current.code === "string") codes.push(current.code)
    current = current.cause
  }
  return codes
}

const isRequestId = /^[A-Za-z0-9_-]{1,64}$/
const isCode = /^(?:[A-Za-z][A-Za-z0-9_]{0,63}|\d{1,6})$/

/** A provider's or a system's word for an error, if it is one word and not the key that somebody sent back. */
const harmless = (word: unknown, secret: string): string | undefined => {
  const text = typeof word === "number" ? String(word) : word
  return typeof text === "string" && isCode.test(text) && !text.includes(secret) ? text : undefined
}

const words = (...parts: ReadonlyArray<string | undefined>): string =>
  parts.filter((part) => part !== undefined).join(" ")
