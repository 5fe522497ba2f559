import { Cause, Effect, Predicate, Result } from "effect"
import {
  FindMyWay,
  HttpBody,
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  HttpServerResponse,
  ProblemDetails
} from "effect/http"
import { HttpApi } from "effect/http-api"
import { legible } from "../../domain/model/Text.ts"
import { Api } from "./Api.ts"
import { AllowedOrigins, crossOrigin, guardHeaders } from "./Headers.ts"
import { givenTwice, type InvalidValue, problemOf, RequestId, requestIdOf, shuttingDownWords } from "./Problems.ts"
import { routerConfig } from "./Routes.ts"

export const documentPath = "/openapi.json"
export const docsPath = "/docs"
export const pagePath = "/"
/** Where the files of the page are, and what the router calls that. */
export const assetsPath = "/assets/"
export const assetPath = `${assetsPath}:name` as const

/** Goes around everything, so that every answer has a request id and every error is a problem. */
export const everyAnswer = HttpRouter.middleware(
  Effect.map(AllowedOrigins, (origins) => {
    const shared = crossOrigin(origins)
    return (answer) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (received) => {
        const url = legibleUrl(received.url)
        const request = url === received.url ? received : received.modify({ url })
        const requestId = requestIdOf(request.headers["x-request-id"])
        return shared(withinRules(request, requestId, answer)).pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.catchCause((cause) => answerCause(cause, request, requestId)),
          Effect.provideService(RequestId, requestId),
          Effect.annotateLogs({ requestId }),
          Effect.map((response) =>
            withoutControls(
              HttpServerResponse.setHeaders(response, {
                ...guardHeaders,
                ...response.headers,
                "x-request-id": requestId
              })
            )
          )
        )
      })
  }),
  { global: true }
)

/** No answer has a character that a terminal would obey. */
const withoutControls = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const { body } = response
  if (body._tag !== "Uint8Array" || body.text === undefined || !body.contentType.endsWith("json")) {
    return response
  }
  const text = legible(body.text)
  return text === body.text ? response : HttpServerResponse.setBody(response, HttpBody.text(text, body.contentType))
}

/** Which methods a path knows. */
const methodTable = () => {
  const table = FindMyWay.make<true>(routerConfig)
  const methods = new Set(["GET"])
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      methods.add(endpoint.method)
      table.on(endpoint.method, `/${endpoint.path.slice(1)}`, true)
    }
  })
  for (const path of [documentPath, docsPath, pagePath, assetPath] as const) table.on("GET", path, true)
  return (url: string): ReadonlyArray<string> =>
    [...methods]
      .filter((method) => table.find(method, url) !== undefined)
      .flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]))
}

const methodsOf = methodTable()

const nothingHere = (request: HttpServerRequest.HttpServerRequest, requestId: string) => {
  const methods = methodsOf(request.url)
  return methods.length === 0
    ? notFound(requestId)
    : HttpServerResponse.setHeader(
        ProblemDetails.toResponse({
          ...problemOf("method_not_allowed", `Only ${methods.join(", ")} can be used here.`, requestId)
        }),
        "allow",
        methods.join(", ")
      )
}

const isRouteNotFound = (error: unknown): boolean =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"

/** Answers what no endpoint has answered. */
const answerCause = <E>(
  cause: Cause.Cause<E>,
  request: HttpServerRequest.HttpServerRequest,
  requestId: string
): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => {
  if (Cause.hasInterruptsOnly(cause)) {
    return isClientAbort(cause)
      ? Effect.failCause(cause)
      : Effect.succeed(
          HttpServerResponse.setHeader(
            ProblemDetails.toResponse({
              ...problemOf("unavailable", shuttingDownWords, requestId)
            }),
            "retry-after",
            "1"
          )
        )
  }
  if (isRouteNotFound(Cause.squash(cause))) {
    return Effect.succeed(nothingHere(request, requestId))
  }
  return Effect.logError("A request failed", cause).pipe(
    Effect.annotateLogs({ method: request.method, path: request.url.split("?", 1)[0] }),
    Effect.as(
      ProblemDetails.toResponse({
        ...problemOf("internal", "The cause is in the log, under this request id.", requestId)
      })
    )
  )
}

const isClientAbort = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason.annotations.has(HttpServerError.ClientAbort.key))

/**
 * RFC 9112, section 3.2: HTTP/1.1 has a Host, and nothing has two, of which Node would take the first. Node would refuse
 * its absence itself, without a body.
 */
const wrongHost = ({ source }: HttpServerRequest.HttpServerRequest): InvalidValue | undefined => {
  if (!Predicate.hasProperty(source, "rawHeaders") || !Array.isArray(source.rawHeaders)) {
    return
  }
  let hosts = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    if (isHost.test(source.rawHeaders[index])) {
      hosts++
    }
  }
  if (hosts === 0) {
    return Predicate.hasProperty(source, "httpVersion") && source.httpVersion === "1.1"
      ? { path: "host", message: "Missing key" }
      : undefined
  }
  return hosts > 1 ? { path: "host", message: givenTwice } : undefined
}

const isHost = /^host$/i

/** Node's parser takes any number for a version, and would answer in the words of HTTP/1.1 who speaks another. */
const wrongVersion = ({ source }: HttpServerRequest.HttpServerRequest): InvalidValue | undefined =>
  !Predicate.hasProperty(source, "httpVersion") || source.httpVersion === "1.1" || source.httpVersion === "1.0"
    ? undefined
    : { path: "version", message: "Expected HTTP/1.1" }

/**
 * The router knows how to tell `/tasks/` from `/tasks`, but takes it for a task without a number then; and it has no
 * objection to `//`. Neither is a path here.
 */
const emptySegment = /^[^?]*(?:\/\/|[^?]\/(?:\?|$))/

/** RFC 9112, section 3.2.4: the whole server, which is no path, and which the router would take for the first one. */
const wholeServer = "*"

/** What the router reads otherwise than it is meant, or not at all, up to the query. */
const misread = /[;#%]/
const delimiters = /[;#]/g

/**
 * A URL in which each segment of the path stands for itself: the router ends the path at a `;` or `#` as well, and knows
 * no route at all for a percent sign that encodes nothing.
 */
const legibleUrl = (url: string): string => {
  if (!misread.test(url)) {
    return url
  }
  const end = url.indexOf("?")
  const path = end < 0 ? url : url.slice(0, end)
  const segments = path.split("/").map((segment) => {
    const encoded = segment.replaceAll(delimiters, encodeURIComponent)
    return isDecodable(encoded) ? encoded : encoded.replaceAll("%", "%25")
  })
  return segments.join("/") + url.slice(path.length)
}

const isDecodable = (segment: string): boolean => Result.isSuccess(Result.try(() => decodeURIComponent(segment)))

/** Refuses what the router would let through. */
const withinRules = <E, R>(
  request: HttpServerRequest.HttpServerRequest,
  requestId: string,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) => {
  const error = wrongVersion(request) ?? wrongHost(request)
  if (error !== undefined) {
    return Effect.succeed(
      ProblemDetails.toResponse({
        ...problemOf("invalid_request", `${error.path}: ${error.message}`, requestId),
        errors: [error]
      })
    )
  }
  return request.url === wholeServer || emptySegment.test(request.url) ? Effect.succeed(notFound(requestId)) : answer
}

const notFound = (requestId: string) =>
  ProblemDetails.toResponse({ ...problemOf("not_found", "There is nothing at this path.", requestId) })
