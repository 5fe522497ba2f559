import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import { Cause, Context, Deferred, Effect, FiberSet, Layer, Option, Queue, Schema, type Scope } from "effect"
import { invalidRequest, isMembers } from "../../src/testing/InvalidRequest.ts"

/** A request that the stand-in got. */
export interface ModelRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** The body, parsed; `undefined` where it was no JSON. */
  readonly body: unknown
  /** Why it was answered with 400, if it was. */
  readonly invalid: string | undefined
  /** Completes once the client has hung up before the answer was sent whole. */
  readonly aborted: Effect.Effect<void>
  /** Whether that has happened by now. */
  readonly isAborted: () => boolean
}

/** A tool call for the stand-in to ask for. */
export interface ScriptedCall {
  readonly name: string
  /** JSON text as it is, anything else as its JSON; `null` leaves the member out. By default `{}`. */
  readonly arguments?: unknown
  /** By default one as OpenAI makes them, not used before; `null` leaves the member out. */
  readonly id?: string | null
}

/** What OpenAI counts. */
export interface ScriptedUsage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** An answer of the model. */
export interface CompletionReply {
  readonly type: "completion"
  readonly content: string | null
  readonly calls: ReadonlyArray<ScriptedCall>
  readonly finishReason: string | null
  readonly refusal: string | null
  /** `null` leaves the member out. */
  readonly usage: ScriptedUsage | null
}

/** What to do with one request. */
export type Reply =
  | CompletionReply
  | {
      readonly type: "http"
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }
  /** Ends the connection: before any answer, by a reset, or in the middle of an answer's body. */
  | { readonly type: "cut"; readonly where: "before_headers" | "reset" | "within_body" }
  /** Says nothing for as long as the client waits: at all, or after the first half of an answer. */
  | { readonly type: "endless"; readonly body: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: "stall"; readonly where: "before_headers" | "within_body" }
  /** Says the first half, if it is asked for piece by piece, and the rest when the effect is done. */
  | { readonly type: "held"; readonly until: Effect.Effect<unknown>; readonly reply: CompletionReply }

/** A reply, or what makes it: as late as it likes, so a latch or a deferred holds an answer back. */
export type Scripted = Reply | ((request: ModelRequest) => Effect.Effect<Reply>)

/** A stand-in for the OpenAI API on 127.0.0.1, which answers what a test has scripted. */
export class ModelServer extends Context.Service<
  ModelServer,
  {
    /** What to give as the API's address: `http://127.0.0.1:<port>/v1`. */
    readonly baseUrl: string
    /** Every request there was, in the order of their arrival; grows. */
    readonly requests: ReadonlyArray<ModelRequest>
    /** Waits for the next request, and takes each one once. */
    readonly next: Effect.Effect<ModelRequest>
    /** Adds to the replies that are given one by one. A request that gets 400, 401 or 404 by its own fault takes none. */
    readonly script: (...replies: ReadonlyArray<Scripted>) => Effect.Effect<void>
    /** What is replied when the script is at its end; at first 501. */
    readonly otherwise: (reply: Scripted) => Effect.Effect<void>
  }
>()("turnkeeper/test/support/model-server/ModelServer") {
  /** A server of its own for each scope, gone with all its connections when the scope closes. */
  static readonly make: Effect.Effect<ModelServer["Service"], never, Scope.Scope> = Effect.suspend(() =>
    ModelServer.start(true)
  )
  /** One for long runs: it remembers no request. */
  static readonly makeForgetful: Effect.Effect<ModelServer["Service"], never, Scope.Scope> = Effect.suspend(() =>
    ModelServer.start(false)
  )

  private static readonly start = Effect.fnUntraced(function* (
    remember: boolean
  ): Effect.fn.Return<ModelServer["Service"], never, Scope.Scope> {
    const script: Array<Scripted> = []
    const requests: Array<ModelRequest> = []
    const arrivals = yield* Queue.unbounded<ModelRequest>()
    const run = yield* FiberSet.makeRuntime<never, void, never>()
    const state: { otherwise: Scripted } = { otherwise: nothingScripted }

    const serve = Effect.fnUntraced(function* (incoming: IncomingMessage, outgoing: ServerResponse, text: string) {
      const request = toRequest(incoming, outgoing, text)
      if (remember) {
        requests.push(request)
        yield* Queue.offer(arrivals, request)
      }
      const scripted = faultOf(request) ?? script.shift() ?? state.otherwise
      const reply = typeof scripted === "function" ? yield* scripted(request) : scripted
      yield* answer(outgoing, reply, request.body)
    })

    const server = createServer((incoming, outgoing) => {
      const chunks: Array<Buffer> = []
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8")
        run(
          serve(incoming, outgoing, text).pipe(
            Effect.catchCause((cause) =>
              answer(outgoing, faults.error(501, { message: Cause.pretty(cause) }), undefined)
            )
          )
        )
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.on("error", (error) => resume(Effect.die(error)))
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.die("the server has no port")

    return ModelServer.of({
      baseUrl: `http://127.0.0.1:${address.port}/v1`,
      requests,
      next: Queue.take(arrivals),
      script: (...replies) => Effect.sync(() => void script.push(...replies)),
      otherwise: (reply) =>
        Effect.sync(() => {
          state.otherwise = reply
        })
    })
  })

  static readonly layer: Layer.Layer<ModelServer> = Layer.effect(ModelServer, ModelServer.make)
}

const defaultUsage: ScriptedUsage = { promptTokens: 580, completionTokens: 45 }

const completion = (parts: Partial<CompletionReply>): CompletionReply => ({
  type: "completion",
  content: null,
  calls: [],
  finishReason: "stop",
  refusal: null,
  usage: defaultUsage,
  ...parts
})

const http = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply => ({
  type: "http",
  status,
  headers,
  body
})

/** Answers that are as they should be. */
export const replies = {
  /** An answer with any of its parts changed: by default an empty one that stopped. */
  completion,
  /** The model says something. */
  text: (content: string, usage: ScriptedUsage | null = defaultUsage): Reply => completion({ content, usage }),
  /** The model asks for tools, all in one answer. */
  calls: (calls: ReadonlyArray<ScriptedCall>, usage: ScriptedUsage | null = defaultUsage): Reply =>
    completion({ calls, finishReason: "tool_calls", usage }),
  /** Any JSON with status 200. */
  json: (body: unknown): Reply => http(200, toJson(body), { "content-type": "application/json" }),
  /** Anything at all. */
  http,
  /** The beginning of an answer, of which no more comes and which does not end. */
  endless: (body: string, headers: Readonly<Record<string, string>>): Reply => ({ type: "endless", body, headers }),
  /** Some words and, once the effect is done, the others. */
  held: (until: Effect.Effect<unknown>, content: string): Reply => ({
    type: "held",
    until,
    reply: completion({ content })
  }),
  /** A reply, held back until the effect (a latch, a deferred) is done. */
  after:
    (release: Effect.Effect<unknown>, reply: Reply): Scripted =>
    () =>
      Effect.as(release, reply)
}

/** An error as OpenAI words it. */
interface ErrorParts {
  readonly message?: string
  readonly type?: string
  readonly param?: string | null
  readonly code?: string | number | null
  readonly headers?: Readonly<Record<string, string>>
}

const errorReply = (status: number, parts: ErrorParts = {}): Reply =>
  http(
    status,
    toJson({
      error: {
        message: parts.message ?? "The server had an error while processing your request. Sorry about that!",
        type: parts.type ?? (status >= 500 ? "server_error" : "invalid_request_error"),
        param: parts.param ?? null,
        code: parts.code ?? null
      }
    }),
    { "content-type": "application/json", ...parts.headers }
  )

/** Everything that goes wrong, as OpenAI and the proxies before it do it. */
export const faults = {
  /** Any status with an error in OpenAI's shape. */
  error: errorReply,
  badRequest: errorReply(400, { message: "Unrecognized request argument supplied: foo" }),
  unauthorized: errorReply(401, {
    message: "Incorrect API key provided: sk-abc***xyz. You can find your API key at https://platform.openai.com.",
    code: "invalid_api_key"
  }),
  forbidden: errorReply(403, {
    message: "Country, region, or territory not supported",
    type: "request_forbidden",
    code: "unsupported_country_region_territory"
  }),
  modelNotFound: errorReply(404, {
    message: "The model `gpt-none` does not exist or you do not have access to it.",
    code: "model_not_found"
  }),
  contextTooLong: errorReply(400, {
    message:
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.",
    param: "messages",
    code: "context_length_exceeded"
  }),
  payloadTooLarge: http(413, "<html><head><title>413 Request Entity Too Large</title></head></html>", {
    "content-type": "text/html"
  }),
  contentPolicy: errorReply(400, {
    message: "Your request was rejected as a result of our safety system.",
    code: "content_policy_violation"
  }),
  /** 429, with what headers the test wants (`retry-after`, `retry-after-ms`). */
  rateLimited: (headers: Readonly<Record<string, string>> = {}): Reply =>
    errorReply(429, {
      message:
        "Rate limit reached for gpt-4 in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1.",
      type: "requests",
      code: "rate_limit_exceeded",
      headers
    }),
  insufficientQuota: errorReply(429, {
    message: "You exceeded your current quota, please check your plan and billing details.",
    type: "insufficient_quota",
    code: "insufficient_quota"
  }),
  serverError: errorReply(500),
  badGateway: http(502, "<html><head><title>502 Bad Gateway</title></head></html>", { "content-type": "text/html" }),
  overloaded: (headers: Readonly<Record<string, string>> = {}): Reply =>
    errorReply(503, { message: "The engine is currently overloaded, please try again later", headers }),
  gatewayTimeout: http(504, "<html><head><title>504 Gateway Time-out</title></head></html>", {
    "content-type": "text/html"
  }),
  html: http(200, "<!doctype html><html><body>Sign in to the hotel's network</body></html>", {
    "content-type": "text/html"
  }),
  badJson: http(200, '{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,', {
    "content-type": "application/json"
  }),
  cutBeforeHeaders: { type: "cut", where: "before_headers" },
  reset: { type: "cut", where: "reset" },
  cutWithinBody: { type: "cut", where: "within_body" },
  neverAnswers: { type: "stall", where: "before_headers" },
  stallsWithinBody: { type: "stall", where: "within_body" },
  noChoices: http(
    200,
    '{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}',
    { "content-type": "application/json" }
  ),
  emptyChoice: completion({ content: "" }),
  cutByLength: completion({ content: "Here are your ta", finishReason: "length" }),
  contentFilter: completion({ finishReason: "content_filter" }),
  refusal: completion({ refusal: "I'm sorry, I can't assist with that." }),
  badArguments: completion({ calls: [{ name: "add_task", arguments: '{"title": "Buy' }], finishReason: "tool_calls" }),
  unknownTool: completion({ calls: [{ name: "launch_rocket" }], finishReason: "tool_calls" })
} satisfies Record<string, Reply | ((...args: Array<never>) => Reply)>

const nothingScripted: Reply = errorReply(501, { message: "The test has scripted no reply for this request." })

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

// A declaration, since the faults are made of it above.
function toJson(value: unknown): string {
  return JSON.stringify(value) ?? "undefined"
}

const toRequest = (incoming: IncomingMessage, outgoing: ServerResponse, text: string): ModelRequest => {
  const body = Option.getOrUndefined(decodeJson(text))
  const aborted = Deferred.makeUnsafe<void>()
  outgoing.on("close", () => {
    if (!outgoing.writableFinished && !cutByUs.has(outgoing)) Deferred.doneUnsafe(aborted, Effect.void)
  })
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: incoming.headers,
    body,
    invalid: invalidRequest(body),
    aborted: Deferred.await(aborted),
    isAborted: () => Deferred.isDoneUnsafe(aborted)
  }
}

/** What is wrong with a request by itself, in the order in which OpenAI looks. */
const faultOf = (request: ModelRequest): Reply | undefined => {
  if (request.method !== "POST" || request.path !== "/v1/chat/completions") {
    return errorReply(404, { message: `Invalid URL (${request.method} ${request.path})` })
  }
  if (!bearer.test(request.headers.authorization ?? "")) {
    return errorReply(401, { message: "You didn't provide an API key." })
  }
  return request.invalid === undefined ? undefined : errorReply(400, { message: request.invalid })
}

const bearer = /^Bearer \S+$/

/** Answers that end because the script says so, which no client has aborted. */
const cutByUs = new WeakSet<ServerResponse>()

const streamHeaders = () => ({ ...openAiHeaders(), "content-type": "text/event-stream; charset=utf-8" })

const answer = (outgoing: ServerResponse, reply: Reply, body: unknown): Effect.Effect<void> =>
  reply.type === "held" ? sendHeld(outgoing, reply, body) : Effect.sync(() => send(outgoing, reply, body))

const sendHeld = Effect.fnUntraced(function* (
  outgoing: ServerResponse,
  { reply, until }: Extract<Reply, { readonly type: "held" }>,
  body: unknown
) {
  if (!isMembers(body) || body["stream"] !== true) {
    yield* until
    return send(outgoing, reply, body)
  }
  const pieces = toPieces(toCompletion(reply, body["model"]))
  const half = Math.ceil(pieces.length / 2)
  outgoing.writeHead(200, streamHeaders())
  for (const data of pieces.slice(0, half)) outgoing.write(`data: ${data}\n\n`)
  yield* until
  for (const data of pieces.slice(half)) outgoing.write(`data: ${data}\n\n`)
  outgoing.end("data: [DONE]\n\n")
})

const send = (outgoing: ServerResponse, reply: Exclude<Reply, { readonly type: "held" }>, body: unknown): void => {
  switch (reply.type) {
    case "stall":
      if (reply.where === "within_body") writeHalf(outgoing)
      return
    case "cut":
      cut(outgoing, reply.where)
      return
    case "endless":
      outgoing.writeHead(200, { ...openAiHeaders(), ...reply.headers })
      outgoing.write(reply.body)
      return
    case "http":
      outgoing.writeHead(reply.status, { ...openAiHeaders(), ...reply.headers })
      outgoing.end(reply.body)
      return
    case "completion":
      if (isMembers(body) && body["stream"] === true) {
        outgoing.writeHead(200, streamHeaders())
        for (const data of toPieces(toCompletion(reply, body["model"]))) outgoing.write(`data: ${data}\n\n`)
        outgoing.end("data: [DONE]\n\n")
        return
      }
      outgoing.writeHead(200, { ...openAiHeaders(), "content-type": "application/json" })
      outgoing.end(toJson(toCompletion(reply, isMembers(body) ? body["model"] : undefined)))
  }
}

/** An answer as OpenAI streams it: the role, then a few characters at a time, the reason of its end, and its usage. */
const toPieces = (completion: ReturnType<typeof toCompletion>): ReadonlyArray<string> => {
  const [choice] = completion.choices
  const { message } = choice ?? {}
  const inPieces = (text: string | null | undefined): ReadonlyArray<string> => text?.match(/.{1,5}/gsu) ?? []
  const deltas = [
    { role: "assistant", content: message?.content === null ? null : "" },
    ...inPieces(message?.content).map((content) => ({ content })),
    ...inPieces(message?.refusal).map((refusal) => ({ refusal })),
    ...(message?.tool_calls ?? []).flatMap(({ function: { arguments: args, name }, ...call }, index) => [
      { tool_calls: [{ index, ...call, function: { name, arguments: "" } }] },
      ...inPieces(args).map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] }))
    ])
  ]
  const chunk = (choices: ReadonlyArray<object>, more: object = {}) => {
    const { choices: _, usage: __, ...head } = completion
    return toJson({ ...head, object: "chat.completion.chunk", choices, ...more })
  }
  return [
    ...deltas.map((delta) => chunk([{ index: 0, delta, logprobs: null, finish_reason: null }])),
    chunk([{ index: 0, delta: {}, logprobs: null, finish_reason: choice?.finish_reason }]),
    ...("usage" in completion ? [chunk([], { usage: completion.usage })] : [])
  ]
}

const cut = (outgoing: ServerResponse, where: "before_headers" | "reset" | "within_body"): void => {
  cutByUs.add(outgoing)
  switch (where) {
    case "before_headers":
      outgoing.socket?.destroy()
      return
    case "reset":
      outgoing.socket?.resetAndDestroy()
      return
    case "within_body":
      writeHalf(outgoing, () => outgoing.socket?.destroy())
  }
}

/** Sends the head and the beginning of an answer; `then` runs when it is on its way. */
const writeHalf = (outgoing: ServerResponse, then: () => void = () => undefined): void => {
  outgoing.writeHead(200, { ...openAiHeaders(), "content-type": "application/json", "content-length": "4096" })
  outgoing.write('{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":', then)
}

/** Counts over all servers of the process: ids that OpenAI makes are unique everywhere. */
let made = 0
const madeId = (prefix: string, length: number): string => `${prefix}${(++made).toString(36).padStart(length, "0")}`

const openAiHeaders = () => ({
  "openai-processing-ms": "12",
  "openai-version": "2020-10-01",
  "x-request-id": madeId("req_", 32)
})

const toCompletion = (reply: CompletionReply, model: unknown) => ({
  id: madeId("chatcmpl-", 29),
  object: "chat.completion",
  created: 1_754_000_000,
  model,
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        content: reply.content,
        refusal: reply.refusal,
        annotations: [],
        ...(reply.calls.length === 0 ? {} : { tool_calls: reply.calls.map(toCall) })
      },
      logprobs: null,
      finish_reason: reply.finishReason
    }
  ],
  ...(reply.usage === null ? {} : { usage: toUsage(reply.usage) }),
  service_tier: "default",
  system_fingerprint: null
})

const toCall = (call: ScriptedCall) => ({
  ...(call.id === null ? {} : { id: call.id ?? madeId("call_", 24) }),
  type: "function",
  function: {
    name: call.name,
    ...(call.arguments === null
      ? {}
      : { arguments: typeof call.arguments === "string" ? call.arguments : toJson(call.arguments ?? {}) })
  }
})

const toUsage = (usage: ScriptedUsage) => ({
  prompt_tokens: usage.promptTokens,
  completion_tokens: usage.completionTokens,
  total_tokens: usage.promptTokens + usage.completionTokens,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0
  }
})
