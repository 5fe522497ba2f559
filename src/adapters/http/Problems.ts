import { Context, Effect, Predicate, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { ProblemDetails } from "effect/http"
import { HttpApiSchema } from "effect/http-api"
import { StoredArray, StoredText } from "../../domain/model/Bounds.ts"
import { ConversationId, ToolCalls, TurnId } from "../../domain/model/Conversation.ts"
import type * as Errors from "../../domain/model/Errors.ts"
import { UsageSummary } from "../../domain/model/Turn.ts"

/** The id of the request at hand: its answer's `X-Request-Id`, the `request_id` of its problem, and what logs are found by. */
export const RequestId = Context.Reference<string | undefined>("turnkeeper/adapters/http/RequestId", {
  defaultValue: () => undefined
})

const acceptedRequestId = /^[A-Za-z0-9-]{1,64}$/

/** The id of a request that came with this `X-Request-Id`: that one if it is fit for logs, else a new one. */
export const requestIdOf = (given: unknown): string =>
  Predicate.isString(given) && acceptedRequestId.test(given) ? given : SecureRandom.uuidV4Unsafe()

/** What can go wrong, as clients see it: the code is for programs, the title for people. */
const problems = {
  invalid_request: { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "A valid token is needed" },
  forbidden: { status: 403, title: "This belongs to another user" },
  not_found: { status: 404, title: "There is no such thing" },
  method_not_allowed: { status: 405, title: "The method is not allowed here" },
  conversation_busy: { status: 409, title: "Another turn of this conversation is running" },
  turn_in_progress: { status: 409, title: "The turn under this key is still running" },
  payload_too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body is of another type" },
  idempotency_key_reused: { status: 422, title: "The key was used for another request" },
  limit_reached: { status: 422, title: "There is no room for more" },
  rate_limited: { status: 429, title: "Too many turns" },
  internal: { status: 500, title: "Something went wrong here" },
  model_failed: { status: 502, title: "The language model failed" },
  step_limit: { status: 502, title: "The agent did not come to an end" },
  abandoned: { status: 502, title: "The turn was given up" },
  unavailable: { status: 503, title: "Not available at the moment" }
} as const

export type Code = keyof typeof problems

/**
 * An RFC 9457 problem. `error` repeats its words where clients of OpenAI's API look for them.
 *
 * The names are those of the wire: a problem is made to be sent, and nothing here reads one.
 */
export interface Problem<C extends Code> {
  readonly type: `urn:turnkeeper:problem:${C}`
  readonly title: string
  readonly status: (typeof problems)[C]["status"]
  readonly detail: string
  readonly request_id: string
  readonly error: { readonly message: string; readonly code: C }
}

/** A problem of the request with this id. */
export const problemOf = <const C extends Code>(code: C, detail: string, requestId: string): Problem<C> => ({
  type: `urn:turnkeeper:problem:${code}`,
  title: problems[code].title,
  status: problems[code].status,
  detail,
  request_id: requestId,
  error: { message: detail, code }
})

/** A problem of the request at hand. */
export const problem = <const C extends Code>(code: C, detail: string): Effect.Effect<Problem<C>> =>
  Effect.map(RequestId, (requestId) => problemOf(code, detail, requestIdOf(requestId)))

/** Fails the request at hand with a problem. */
export const fail = <const C extends Code>(code: C, detail: string): Effect.Effect<never, Problem<C>> =>
  Effect.flatMap(problem(code, detail), Effect.fail)

/** Fails the request at hand, and tells after how many milliseconds it may be worth trying again. */
export const failForNow = <const C extends Code>(code: C, detail: string, retryAfterMillis: number) =>
  Effect.flatMap(problem(code, detail), (body) =>
    Effect.fail(HttpApiSchema.withHeaders({ body, headers: { "retry-after": retryAfterSeconds(retryAfterMillis) } }))
  )

const failLimited = (detail: string, headers: (typeof RateLimited.Type)["headers"]) =>
  Effect.flatMap(problem("rate_limited", detail), (body) => Effect.fail(HttpApiSchema.withHeaders({ body, headers })))

/**
 * Fails the request at hand because of the user's limit of turns, in the words of the IETF's draft on rate limits as well
 * (draft-ietf-httpapi-ratelimit-headers-10): the quota in a window of a minute, and that nothing is left of it.
 */
export const failRateLimited = ({ retryAfterMillis, turnsPerMinute }: Errors.RateLimited) => {
  const seconds = retryAfterSeconds(retryAfterMillis)
  return failLimited("Too many turns were begun within a minute.", {
    "retry-after": seconds,
    "ratelimit-policy": `"turns";q=${turnsPerMinute};w=60`,
    ratelimit: `"turns";r=0;t=${seconds}`
  })
}

/** The same because as many turns run as may at once; nobody knows when one of them ends, so a second is as good as any. */
export const failTooManyTurns = ({ turnsAtOnce }: Errors.TooManyTurns) =>
  failLimited("As many turns are running as may at once.", {
    "retry-after": "1",
    "ratelimit-policy": `"turns-at-once";q=${turnsAtOnce};qu="concurrent-requests"`,
    ratelimit: '"turns-at-once";r=0'
  })

/** RFC 9110, section 10.2.3: whole seconds; rounded up, and never "at once". */
const retryAfterSeconds = (millis: number): string => String(Math.max(1, Math.ceil(millis / 1000)))

export const shuttingDownWords = "This instance is shutting down; another one goes on with what it had begun."

/** Why a value does not fit that came more than once. */
export const givenTwice = "Expected to be given once"

/** What is said of a problem: of eight values that do not fit, and there are no requests with more. */
const ProblemText = StoredText({ minLength: 1, maxLength: 2600 })

/** One value of a request that does not fit: its name in the path, query, headers or body (`body` for all of it), and why. */
export const InvalidValue = Schema.Struct({
  path: StoredText({ minLength: 1, maxLength: 64 }),
  message: StoredText({ minLength: 1, maxLength: 256 })
})
export type InvalidValue = typeof InvalidValue.Type

export interface InvalidProblem extends Problem<"invalid_request"> {
  readonly errors: ReadonlyArray<InvalidValue>
}

/** Fails the request at hand because of these values. What was sent is not repeated. */
export const failInvalid = (errors: ReadonlyArray<InvalidValue>): Effect.Effect<never, InvalidProblem> =>
  Effect.flatMap(
    problem("invalid_request", errors.map((error) => `${error.path}: ${error.message}`).join("; ")),
    (body) => Effect.fail({ ...body, errors })
  )

const codeSchema = <const C extends Code, Fields extends Schema.Struct.Fields>(
  identifier: string,
  codes: readonly [C, ...ReadonlyArray<C>],
  description: string,
  fields: Fields
) => {
  const status: (typeof problems)[C]["status"] = problems[codes[0]].status
  return Schema.Struct({
    type: Schema.Literals(codes.map((code): `urn:turnkeeper:problem:${C}` => `urn:turnkeeper:problem:${code}`)),
    title: StoredText({ minLength: 1, maxLength: 64 }),
    status: Schema.Literal(status),
    detail: ProblemText,
    request_id: StoredText({ minLength: 1, maxLength: 64 }),
    error: Schema.Struct({ message: ProblemText, code: Schema.Literals(codes) }),
    ...fields
  }).pipe(
    Schema.annotateEncoded({ identifier }),
    Schema.annotate({ description }),
    HttpApiSchema.status(status),
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType })
  )
}

const RetryAfter = {
  "retry-after": StoredText({ minLength: 1, maxLength: 10 }).annotate({
    description: "After how many seconds it may be worth trying again",
    examples: ["5"]
  })
}

export const InvalidRequest = codeSchema(
  "InvalidRequest",
  ["invalid_request"],
  "The request does not fit its schema, or is not JSON",
  {
    errors: StoredArray(InvalidValue, { minItems: 1, maxItems: 8 })
  }
)

export const Unauthorized = HttpApiSchema.WithHeaders(
  codeSchema("Unauthorized", ["unauthorized"], "No token, or one that is unknown, expired, revoked or malformed", {}),
  {
    "www-authenticate": StoredText({ minLength: 6, maxLength: 64 }).annotate({
      description: "By what a client may authenticate, and what was wrong with its token",
      examples: ["Bearer", 'Bearer error="invalid_token"']
    })
  }
)

export const Forbidden = codeSchema("Forbidden", ["forbidden"], "The path's user is not the token's user", {})

export const NotFound = codeSchema("NotFound", ["not_found"], "This user has no such conversation, turn or task", {})

export const Conflict = HttpApiSchema.WithHeaders(
  codeSchema(
    "Conflict",
    ["conversation_busy", "turn_in_progress"],
    "Another turn of this conversation, or the turn under this key, is running",
    {}
  ),
  RetryAfter
)

export const LimitReached = codeSchema(
  "LimitReached",
  ["limit_reached"],
  "The user has as many conversations or tasks as may be; deleting one makes room",
  {}
)

export const PayloadTooLarge = codeSchema(
  "PayloadTooLarge",
  ["payload_too_large"],
  "The body is larger than it may be",
  {}
)

export const UnsupportedMediaType = codeSchema(
  "UnsupportedMediaType",
  ["unsupported_media_type"],
  "The body is not `application/json`",
  {}
)

export const IdempotencyKeyReused = codeSchema(
  "IdempotencyKeyReused",
  ["idempotency_key_reused"],
  "This `Idempotency-Key` was used with another body",
  {}
)

export const RateLimited = HttpApiSchema.WithHeaders(
  codeSchema(
    "RateLimited",
    ["rate_limited"],
    "The user has begun too many turns within a minute, or has too many of them running",
    {}
  ),
  {
    ...RetryAfter,
    "ratelimit-policy": StoredText({ minLength: 1, maxLength: 64 }).annotate({
      description: "How many turns (`q`) may be begun in how many seconds (`w`), or may run at once (`qu`)",
      examples: ['"turns";q=60;w=60', '"turns-at-once";q=10;qu="concurrent-requests"']
    }),
    ratelimit: StoredText({ minLength: 1, maxLength: 64 }).annotate({
      description:
        "How many of them are left (`r`), and after how many seconds there is one again (`t`), if that is known",
      examples: ['"turns";r=0;t=5', '"turns-at-once";r=0']
    })
  }
)

export const Internal = codeSchema("Internal", ["internal"], "A bug; nothing more is told", {})

export const TurnFailed = codeSchema(
  "TurnFailed",
  ["model_failed", "step_limit", "abandoned"],
  "The turn failed; the tool calls that did take effect are listed",
  {
    conversation_id: ConversationId,
    turn_id: TurnId,
    tool_calls: ToolCalls,
    usage: UsageSummary,
    retryable: Schema.Boolean.annotate({
      description: "Whether the same request under the same `Idempotency-Key` goes on where this one stopped"
    })
  }
)

export const Unavailable = HttpApiSchema.WithHeaders(
  codeSchema(
    "Unavailable",
    ["unavailable"],
    "The database or the key server is out of reach, or this instance is shutting down",
    {}
  ),
  RetryAfter
)
