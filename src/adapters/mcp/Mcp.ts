import { ByteSize, Effect, Layer, Option, Redacted, Result, Schema, type Scope } from "effect"
import { McpProtocol, McpServer } from "effect/ai"
import { Headers, HttpIncomingMessage, HttpRouter, type HttpServerRequest, type HttpServerResponse } from "effect/http"
import * as DirectCalls from "../../domain/DirectCalls.ts"
import type { AuthUnavailable } from "../../domain/model/Errors.ts"
import { nesting } from "../../domain/model/Text.ts"
import type { User } from "../../domain/model/User.ts"
import { fairShare } from "../../domain/Places.ts"
import type { Tools } from "../../domain/Tools.ts"
import { Auth } from "../../ports/Auth.ts"
import type { DirectCallRepo } from "../../ports/DirectCallRepo.ts"
import { presentable, refuse, rpcCode } from "./Answers.ts"
import { McpUser, refusalsAreErrors, registrations } from "./registrations.ts"
import * as Sessions from "./Sessions.ts"

export interface Options {
  /** Where clients find it; by default `/mcp`. */
  readonly path?: `/${string}`
  /** What clients are told it is; by default `turnkeeper`. */
  readonly name?: string
  readonly version?: string
  /** What a client's model is told of it. */
  readonly instructions?: string
  /**
   * The origins whose pages may send messages, such as `https://app.example.com`; by default none may but those of this very
   * machine, to a server that is asked for by a name of this machine.
   */
  readonly allowedOrigins?: ReadonlyArray<string>
  /**
   * Where the OAuth 2.0 Protected Resource Metadata (RFC 9728) is, if the application publishes such: who has no good token is
   * sent there to get one.
   */
  readonly resourceMetadata?: URL
}

/** The revisions of the protocol that are spoken. Who asks for another is offered the first of those that have sessions. */
const protocols = [
  McpProtocol.v2026_07_28,
  McpProtocol.v2025_11_25,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26
] as const
const withSessions = protocols.slice(1).map(({ protocolVersion }) => protocolVersion)

/**
 * The agent's tools, for clients of the Model Context Protocol, by its Streamable HTTP transport on the application's
 * `HttpRouter`. Each message has a bearer token of `Auth`, and works on that user's list.
 *
 * A call may have an idempotency key, as `turnkeeper/idempotency-key` in its `_meta`: 1 to 255 visible ASCII characters.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, Auth | DirectCallRepo | HttpRouter.HttpRouter | Tools> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { allowedOrigins = [], path = "/mcp" } = options
      const router = yield* HttpRouter.HttpRouter
      // @effect-diagnostics-next-line anyUnknownInErrorContext:off -- a router does not know what its routes fail with
      const sessions = yield* Sessions.make(Effect.orDie((yield* protocol(options)).asHttpEffect()), withSessions)
      const userOf = authentication(yield* Auth, options.resourceMetadata)

      /** Answers who may be answered: first whose page it is, then whose token. */
      const guarded = (
        answer: (
          request: HttpServerRequest.HttpServerRequest,
          user: User
        ) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, Scope.Scope>
      ) =>
        Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
          if (!isOriginAllowed(request.headers, allowedOrigins)) {
            return refuse("forbidden", "Pages of this origin may not send messages.")
          }
          const user = yield* Effect.result(userOf(request))
          return Result.isFailure(user) ? user.failure : yield* answer(request, user.success)
        })

      yield* router.add(
        "POST",
        path,
        guarded(
          Effect.fnUntraced(function* (received, user) {
            const entered = yield* Effect.result(sessions.enter(user.id, Headers.remove(received.headers, "origin")))
            if (Result.isFailure(entered)) return tooManySessions
            const headers = entered.success
            if (headers === undefined) return unknownSession
            const request = received.modify({ url: "/", headers })
            const refused = yield* read(request)
            if (refused !== undefined) return refused
            return yield* sessions
              .answer(user.id, request)
              .pipe(Effect.map(presentable), Effect.provideService(McpUser, user))
          })
        )
      )
      const onlyPost = guarded(() =>
        Effect.succeed(refuse("method_not_allowed", "Only POST can be used here.", { allow: "POST" }))
      )
      for (const method of ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] as const) {
        yield* router.add(method, path, onlyPost)
      }
    })
  ).pipe(
    // An endpoint's own, since another one may have other tools; but a user's share is that of the whole service.
    Layer.provide(Layer.fresh(DirectCalls.layerWithoutShare)),
    Layer.provide(fairShare)
  )

/** What answers the messages of the protocol, on a router of its own: nobody else's server is registered with by mistake. */
const protocol = Effect.fnUntraced(function* ({ instructions, name = "turnkeeper", version = "1" }: Options) {
  const router = yield* HttpRouter.make
  const server = McpServer.layerHttp({
    name,
    version,
    path: "/",
    protocols,
    ...(instructions !== undefined && { instructions }),
    allowSessionTermination: true,
    // The tools stay as they are.
    allowSubscriptions: false,
    registrations: Layer.merge(registrations, refusalsAreErrors)
  })
  yield* Layer.build(Layer.fresh(server).pipe(Layer.provide(Layer.succeed(HttpRouter.HttpRouter, router))))
  return router
}, Effect.orDie)

const localOrigin = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/

/**
 * Whether the page that sends a message, if one does, may: a page whose name was made to lead to this machine (DNS
 * rebinding) has an origin of another name.
 */
const isOriginAllowed = ({ host, origin }: Headers.Headers, allowed: ReadonlyArray<string>): boolean =>
  origin === undefined || allowed.includes(origin) || (localOrigin.test(origin) && localOrigin.test(`http://${host}`))

/** As the transport has it, a client starts a new one then. Whether it is somebody else's is not told. */
const unknownSession = refuse("not_found", "There is no such session: initialize starts a new one.")

const tooManySessions = refuse(
  "rate_limited",
  "Too many sessions were used in the last minute.",
  { "retry-after": "60" },
  rpcCode.internalError
)

const bearer = /^bearer +(\S+)$/i

/** The user of a message, or how it is refused (RFC 6750, section 3: who sends no token is told no error code). */
const authentication = (auth: Auth["Service"], metadata: URL | undefined) => {
  const challenge = (error?: string) => {
    const parameters = [
      ...(error === undefined ? [] : [`error="${error}"`]),
      ...(metadata === undefined ? [] : [`resource_metadata="${metadata.href}"`])
    ]
    return { "www-authenticate": `Bearer ${parameters.join(", ")}`.trimEnd() }
  }
  const missing = refuse("unauthorized", "No bearer token was sent.", challenge())
  const wrong = refuse(
    "unauthorized",
    "The token is unknown, expired, revoked or malformed.",
    challenge("invalid_token")
  )
  return ({ headers }: HttpServerRequest.HttpServerRequest) => {
    const [, token] = bearer.exec(headers["authorization"] ?? "") ?? []
    if (token === undefined) return Effect.fail(missing)
    return auth.authenticate(Redacted.make(token)).pipe(
      Effect.catchTags({
        InvalidToken: () => Effect.fail(wrong),
        AuthUnavailable: (error: AuthUnavailable) =>
          Effect.logWarning("Out of reach", error).pipe(
            Effect.annotateLogs({ operation: error.operation }),
            Effect.andThen(Effect.fail(nobodyKnows))
          )
      })
    )
  }
}

const nobodyKnows = refuse("unavailable", "Nobody can tell at the moment whose token this is.", { "retry-after": "5" })

/** More than the largest arguments that a tool looks at. */
const maxBody = ByteSize.kibibytes(128)
/** Deeper than any arguments that a tool looks at. */
const maxNesting = 64
const utf8 = new TextDecoder("utf-8", { fatal: true })
const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Reads a message, which the protocol then finds read; tells how it is refused if it is none. */
const read = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  const bytes = yield* Effect.result(
    Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, maxBody)
  )
  if (Result.isFailure(bytes)) {
    const { reason } = bytes.failure
    return reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
      ? refuse("payload_too_large", "The body is larger than 128 KiB.")
      : refuse("invalid_request", "The body did not arrive whole.")
  }
  const text = Result.try({ try: () => utf8.decode(bytes.success), catch: () => undefined })
  if (Result.isFailure(text) || nesting(text.success) > maxNesting || Option.isNone(decodeJson(text.success))) {
    return refuse("invalid_request", "The body is no JSON, or is nested too deeply.", {}, rpcCode.parseError)
  }
  return undefined
})
