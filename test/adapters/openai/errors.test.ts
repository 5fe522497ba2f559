import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { APIError } from "openai"
import { asModelFailed, ProviderFailure } from "../../../src/adapters/openai/errors.ts"
import type { OpenAiOptions } from "../../../src/adapters/openai/OpenAiModel.ts"
import { ModelFailureReason } from "../../../src/domain/model/Turn.ts"
import { faults, ModelServer, type Reply, replies } from "../../support/model-server.ts"
import { askAt, assertHarmless, canary, failure, providerText } from "./support.ts"

const headerText = /^[\x20-\x7e]{0,12}$/

const toText = (value: unknown): string => JSON.stringify(value)

const cause = (error: { readonly cause?: unknown }): ProviderFailure => {
  assert.instanceOf(error.cause, ProviderFailure)
  return error.cause
}

/** Compatible servers' errors, and their statuses, codes and words. */
const rows: ReadonlyArray<readonly [name: string, reply: Reply, reason: ModelFailureReason]> = [
  ["400", faults.badRequest, "misconfigured"],
  ["401", faults.unauthorized, "misconfigured"],
  [
    "402, as DeepSeek says that there is no money",
    faults.error(402, { message: "Insufficient Balance" }),
    "misconfigured"
  ],
  ["403", faults.forbidden, "misconfigured"],
  ["403 of OpenRouter's moderation", faults.error(403, { message: "Your input was flagged" }), "refused"],
  ["404", faults.modelNotFound, "misconfigured"],
  ["404 of a wrong address", replies.http(404, "<h1>Not Found</h1>", { "content-type": "text/html" }), "misconfigured"],
  ["405", faults.error(405), "misconfigured"],
  ["408", faults.error(408), "timed_out"],
  ["409", faults.error(409), "overloaded"],
  ["413", faults.payloadTooLarge, "context_too_long"],
  ["422", faults.error(422, { message: "Input should be a valid string" }), "misconfigured"],
  ["429", faults.rateLimited(), "rate_limited"],
  ["429 without quota", faults.insufficientQuota, "misconfigured"],
  ["429 that says so by its type", faults.error(429, { type: "insufficient_quota" }), "misconfigured"],
  [
    "429 of a request above a whole minute's tokens",
    faults.error(429, { message: "Request too large for gpt-4 on tokens per min (TPM): Limit 10000", type: "tokens" }),
    "context_too_long"
  ],
  ["500", faults.serverError, "overloaded"],
  ["502", faults.badGateway, "overloaded"],
  ["503", faults.overloaded(), "overloaded"],
  ["504", faults.gatewayTimeout, "timed_out"],
  ["524 of a proxy", faults.error(524), "timed_out"],
  ["529", faults.error(529), "overloaded"],
  ["a redirect to nowhere", replies.http(302, ""), "misconfigured"],
  ["context too long", faults.contextTooLong, "context_too_long"],
  ...[
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "the request exceeds the available context size. try increasing the context size",
    "Please reduce the length of the messages or completion.",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "prompt is too long: 208310 tokens > 200000 maximum",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input is too long for requested model.",
    "Your input exceeds the context window of this model. (the context window)"
  ].map((message) => [`400: ${message}`, faults.error(400, { message }), "context_too_long"] as const),
  [
    "llama.cpp's type",
    faults.error(400, { message: "no", type: "exceed_context_size_error", code: 400 }),
    "context_too_long"
  ],
  [
    "max_tokens above what the model has",
    faults.error(400, {
      message: "max_tokens is too large: 100000. This model supports at most 4096 completion tokens"
    }),
    "misconfigured"
  ],
  ["content policy", faults.contentPolicy, "refused"],
  [
    "Azure's content filter",
    faults.error(400, {
      message: "The response was filtered due to Azure's content management policy.",
      code: "content_filter"
    }),
    "refused"
  ],
  ["a flagged prompt", faults.error(400, { message: "no", code: "invalid_prompt" }), "refused"],
  [
    "400 with an error that is a string",
    replies.http(400, '{"error":"no"}', { "content-type": "application/json" }),
    "misconfigured"
  ],
  [
    "400 with FastAPI's body",
    replies.http(400, '{"detail":[{"msg":"no"}]}', { "content-type": "application/json" }),
    "misconfigured"
  ],
  ["500 with JSON that is no object", replies.http(500, "null", { "content-type": "application/json" }), "overloaded"],
  ["500 without a body", replies.http(500, ""), "overloaded"],
  ["cut before the headers", faults.cutBeforeHeaders, "unreachable"],
  ["a reset", faults.reset, "unreachable"],
  ["cut within the body", faults.cutWithinBody, "unreachable"]
]

describe("errors of the provider", () => {
  for (const [name, reply, reason] of rows) {
    it.effect(`${name}: ${reason}`, () =>
      Effect.gen(function* () {
        const error = yield* failure(reply)
        assert.strictEqual(error.reason, reason)
        assert.notProperty(error, "retryAfterMillis")
        assert.notProperty(error, "usage")
        if (reply.type === "http") assert.strictEqual(cause(error).status, reply.status)
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  it.effect("the cause says which error it was, for those who read the logs", () =>
    Effect.gen(function* () {
      const { code, message, requestId, status, type } = cause(yield* failure(faults.insufficientQuota))
      assert.strictEqual(message, "HTTP 429 insufficient_quota insufficient_quota")
      assert.deepStrictEqual([status, code, type], [429, "insufficient_quota", "insufficient_quota"])
      assert.include(requestId, "req_")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("a code that is a number is told as well", () =>
    Effect.gen(function* () {
      assert.strictEqual(cause(yield* failure(faults.error(400, { code: 1301 }))).code, "1301")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  for (const status of [400, 401, 429, 500]) {
    it.effect(`${status} that repeats the key, the prompt and more wherever it can gives nothing of it away`, () =>
      Effect.gen(function* () {
        const error = yield* failure((request) =>
          Effect.succeed(
            faults.error(status, {
              message: `${providerText}: ${request.headers.authorization} ${toText(request.body)}`,
              code: canary,
              type: canary,
              param: canary,
              headers: { "x-request-id": canary, "set-cookie": `session=${canary}`, "x-key": canary }
            })
          )
        )
        assert.strictEqual(cause(error).message, `HTTP ${status}`)
        assert.deepStrictEqual({ ...cause(error) }, { _tag: "ProviderFailure", status })
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }
})

describe("redirects", () => {
  /** A `fetch` of one's own, which would follow as the platform's does. */
  const own: NonNullable<OpenAiOptions["fetch"]> = (input, init) => fetch(input, init)

  for (const status of [301, 302, 303, 307, 308]) {
    for (const [name, options] of [
      ["the platform's fetch", {}],
      ["another fetch", { fetch: own }]
    ] as const) {
      it.effect(`${status} is not followed by ${name}: misconfigured`, () =>
        Effect.gen(function* () {
          const { otherwise } = yield* ModelServer
          yield* otherwise(replies.text("the redirect's answer"))
          const error = yield* failure(replies.http(status, "", { location: "/elsewhere" }), options)
          assert.strictEqual(error.reason, "misconfigured")
          assert.strictEqual(cause(error).status, status)
        }).pipe(Effect.provide(ModelServer.layer))
      )
    }
  }
})

describe("how long to wait", () => {
  const inThirtySeconds = "Thu, 01 Jan 1970 00:00:30 GMT"
  const waits: ReadonlyArray<readonly [headers: Readonly<Record<string, string>>, millis: number | undefined]> = [
    [{ "retry-after": "20" }, 20_000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "0.5" }, 500],
    [{ "retry-after": inThirtySeconds }, 30_000],
    [{ "retry-after": "Wed, 31 Dec 1969 23:59:00 GMT" }, 0],
    [{ "retry-after-ms": "1234" }, 1234],
    [{ "retry-after-ms": "1234.2", "retry-after": "7" }, 1235],
    [{ "retry-after-ms": "soon", "retry-after": "7" }, 7000],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after": "1e3" }, undefined],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "2" }, 2000],
    [{ "retry-after": "9".repeat(400) }, undefined],
    [{ "retry-after": "9".repeat(307) }, undefined],
    [{ "retry-after": "Xyz, 99 Foo 2099 00:00:00 GMT" }, undefined]
  ]
  for (const [headers, millis] of waits) {
    for (const [name, reply] of [
      ["429", faults.rateLimited(headers)],
      ["503", faults.overloaded(headers)]
    ] as const) {
      it.effect(`${name} with ${JSON.stringify(headers).slice(0, 80)}: ${millis}`, () =>
        Effect.gen(function* () {
          assert.strictEqual((yield* failure(reply)).retryAfterMillis, millis)
        }).pipe(Effect.provide(ModelServer.layer))
      )
    }
  }

  it.effect("a date is counted from now", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(10_000)
      assert.strictEqual(
        (yield* failure(faults.rateLimited({ "retry-after": inThirtySeconds }))).retryAfterMillis,
        20_000
      )
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("an error that waiting does not mend has no time to wait", () =>
    Effect.gen(function* () {
      const error = yield* failure(faults.error(400, { headers: { "retry-after": "20" } }))
      assert.notProperty(error, "retryAfterMillis")
    }).pipe(Effect.provide(ModelServer.layer))
  )
})

describe("connections", () => {
  it.effect("refused", () =>
    Effect.gen(function* () {
      // A port below 1024 that nothing is registered for, and that `fetch` does not block.
      const error = yield* Effect.flip(askAt("http://127.0.0.1:2/v1"))
      assert.strictEqual(error.reason, "unreachable")
      assert.strictEqual(cause(error).code, "ECONNREFUSED")
      assertHarmless(error)
    })
  )

  /** As undici's `fetch` fails: a `TypeError` whose cause has the system's code. */
  const fetchFailed = (code: string, message = code) =>
    Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(message), { code }) })

  const broken: ReadonlyArray<readonly [name: string, thrown: unknown, reason: ModelFailureReason]> = [
    ["no such host", fetchFailed("ENOTFOUND"), "unreachable"],
    ["a certificate that has expired", fetchFailed("CERT_HAS_EXPIRED"), "unreachable"],
    ["no connection in time", fetchFailed("UND_ERR_CONNECT_TIMEOUT", "Connect Timeout Error"), "timed_out"],
    ["no headers in time", fetchFailed("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error"), "timed_out"],
    ["the system's own timeout", fetchFailed("ETIMEDOUT"), "timed_out"],
    ["something that is no Error", "no", "unreachable"],
    ["a code that is the key", fetchFailed(canary), "unreachable"]
  ]
  for (const [name, thrown, reason] of broken) {
    it.effect(`${name}: ${reason}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(askAt("http://127.0.0.1:2/v1", { fetch: () => Promise.reject(thrown) }))
        assert.strictEqual(error.reason, reason)
        assertHarmless(error)
      })
    )
  }

  it.effect("a body that comes too slowly", () =>
    Effect.gen(function* () {
      const body = new ReadableStream({ start: (controller) => controller.error(fetchFailed("UND_ERR_BODY_TIMEOUT")) })
      const error = yield* Effect.flip(
        askAt("http://127.0.0.1:2/v1", { fetch: () => Promise.resolve(new Response(body)) })
      )
      assert.strictEqual(error.reason, "timed_out")
      assertHarmless(error)
    })
  )

  const unusable: ReadonlyArray<readonly [name: string, baseUrl: string, apiKey: string]> = [
    ["an empty key", "http://127.0.0.1:2/v1", ""],
    ["a key that fits no header", "http://127.0.0.1:2/v1", `${canary}\nX-Other: 1`],
    ["a key that is no Latin-1", "http://127.0.0.1:2/v1", `${canary}→`],
    ["an address that is no URL", `not a url ${canary}`, canary]
  ]
  for (const [name, baseUrl, apiKey] of unusable) {
    it.effect(`${name}: misconfigured, and no request`, () =>
      Effect.gen(function* () {
        let requests = 0
        const fetch = () => {
          requests++
          return Promise.reject(new Error("no"))
        }
        const error = yield* Effect.flip(askAt(baseUrl, { apiKey: Redacted.make(apiKey), fetch }))
        assert.strictEqual(error.reason, "misconfigured")
        assert.strictEqual(requests, 0)
        assertHarmless(error)
      })
    )
  }
})

describe("interruption ends the request", () => {
  it.effect("while there is no answer", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(faults.neverAnswers)
      const asked = yield* Effect.forkChild(askAt(server.baseUrl))
      const request = yield* server.next
      assert.isFalse(request.isAborted())
      yield* Fiber.interrupt(asked)
      yield* request.aborted
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("while the answer's body is on its way", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(faults.stallsWithinBody)
      const headers = yield* Deferred.make<void>()
      const asked = yield* Effect.forkChild(
        askAt(server.baseUrl, {
          fetch: (input, init) =>
            fetch(input, init).then((response) => {
              Deferred.doneUnsafe(headers, Effect.void)
              return response
            })
        })
      )
      const request = yield* server.next
      yield* Deferred.await(headers)
      assert.isFalse(request.isAborted())
      yield* Fiber.interrupt(asked)
      yield* request.aborted
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("at a deadline, which is the caller's", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(faults.neverAnswers)
      const asked = yield* askAt(server.baseUrl).pipe(Effect.timeout("60 seconds"), Effect.flip, Effect.forkChild)
      const request = yield* server.next
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* Fiber.join(asked))._tag, "TimeoutError")
      yield* request.aborted
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("an answer that is read whole is not aborted", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(replies.text("Hello"))
      yield* askAt(server.baseUrl)
      assert.isFalse((yield* server.next).isAborted())
    }).pipe(Effect.provide(ModelServer.layer))
  )
})

describe("any error at all", () => {
  const Word = Schema.NullOr(Schema.Union([Schema.String, Schema.Int]))
  const Body = Schema.Union([
    Schema.Struct({ error: Schema.Struct({ message: Word, code: Word, type: Word }) }),
    Schema.Struct({ error: Schema.Json }),
    Schema.Struct({ detail: Schema.Json })
  ])
  const isReason = Schema.is(ModelFailureReason)

  it.effect.prop(
    "becomes a ModelFailed whose time to wait is finite and not negative",
    {
      status: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 100, maximum: 599 }))),
      body: Body,
      retryAfter: Schema.String.pipe(Schema.check(Schema.isPattern(headerText))),
      nowMillis: Schema.Int
    },
    ({ body, nowMillis, retryAfter, status }) =>
      Effect.sync(() => {
        const headers = new Headers({ "retry-after": retryAfter, "retry-after-ms": retryAfter })
        const error = asModelFailed(APIError.generate(status, body, undefined, headers), { nowMillis, secret: canary })
        assert.isTrue(isReason(error.reason))
        assert.isTrue(error.retryAfterMillis === undefined || Number.isFinite(error.retryAfterMillis))
        assert.isAtLeast(error.retryAfterMillis ?? 0, 0)
      })
  )

  it.effect.prop("whatever was thrown", { thrown: Schema.Json }, ({ thrown }) =>
    Effect.sync(() => {
      assert.strictEqual(asModelFailed(thrown, { nowMillis: 0, secret: canary }).reason, "misconfigured")
    })
  )
})
