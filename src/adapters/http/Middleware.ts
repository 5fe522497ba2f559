import { ByteSize, Cause, Effect, Layer, Predicate, Redacted, Schema, SchemaIssue } from "effect"
import { HttpIncomingMessage, HttpRouter, type HttpServerError, HttpServerRequest } from "effect/http"
import { HttpApiMiddleware, HttpApiSchema } from "effect/http-api"
import { type AuthUnavailable, type StorageUnavailable, TooMuchAtOnce } from "../../domain/model/Errors.ts"
import { UserId } from "../../domain/model/User.ts"
import * as Places from "../../domain/Places.ts"
import { Auth } from "../../ports/Auth.ts"
import { Authentication, ChatBody, CurrentUser, FairShare, Identified, JsonBody, OwnPath, ValidRequest } from "./Api.ts"
import {
  fail,
  failForNow,
  failInvalid,
  givenTwice,
  type InvalidProblem,
  type InvalidValue,
  type Problem,
  problem,
  RequestId,
  requestIdOf
} from "./Problems.ts"
import { chatKibibytes } from "./UiBodies.ts"

/** When it may be worth trying again after something was out of reach, in milliseconds. */
const unavailableMillis = 5000

/** Fails the request at hand because something that it needs is out of reach, which is the operator's to know. */
export const failUnavailable = Effect.fnUntraced(function* (error: AuthUnavailable | StorageUnavailable) {
  yield* Effect.logWarning("Out of reach", Cause.fail(error)).pipe(Effect.annotateLogs({ operation: error.operation }))
  return yield* failForNow("unavailable", unavailableWords[error._tag], unavailableMillis)
})

const unavailableWords = {
  AuthUnavailable: "Nobody can tell at the moment whose token this is.",
  StorageUnavailable: "The database is out of reach. What was asked may or may not have happened."
}

export const identified: Layer.Layer<Identified> = Layer.succeed(
  Identified,
  Effect.fnUntraced(function* (handle) {
    if ((yield* RequestId) !== undefined) {
      return yield* handle
    }
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const requestId = requestIdOf(headers["x-request-id"])
    return yield* handle.pipe(Effect.provideService(RequestId, requestId), Effect.annotateLogs({ requestId }))
  })
)

const isUserId = Schema.is(UserId)

/**
 * 401 comes before 403, and both before everything else: nothing of a request is looked at for a stranger. A user id
 * that is none cannot be a foreign one, so it is 400.
 */
export const ownPath: Layer.Layer<OwnPath> = Layer.succeed(
  OwnPath,
  Effect.fnUntraced(function* (handle) {
    const user = yield* CurrentUser
    const { params } = yield* HttpRouter.RouteContext
    const owner = params["user_id"]
    if (owner !== user.id) {
      return yield* isUserId(owner)
        ? fail("forbidden", "The path's user is not the token's user.")
        : failInvalid([{ path: "user_id", message: "Expected 1 to 128 characters of A-Z a-z 0-9 _ -" }])
    }
    return yield* handle
  })
)

export const authentication: Layer.Layer<Authentication, never, Auth> = Layer.effect(
  Authentication,
  Effect.map(Auth, (auth) =>
    Authentication.of({
      bearer: (handle, { credential }) =>
        Effect.flatMap(userOf(auth, credential), (user) => Effect.provideService(handle, CurrentUser, user))
    })
  )
)

const userOf = (auth: Auth["Service"], credential: Redacted.Redacted) =>
  Redacted.value(credential) === ""
    ? failUnauthorized("No bearer token was sent.", "Bearer")
    : auth.authenticate(credential).pipe(
        Effect.catchTags({
          InvalidToken: () =>
            failUnauthorized("The token is unknown, expired, revoked or malformed.", 'Bearer error="invalid_token"'),
          AuthUnavailable: failUnavailable
        })
      )

/** RFC 6750, section 3: a request without a token is told no error code. */
const failUnauthorized = (detail: string, challenge: string) =>
  Effect.flatMap(problem("unauthorized", detail), (body) =>
    Effect.fail(HttpApiSchema.withHeaders({ body, headers: { "www-authenticate": challenge } }))
  )

/** Works on a request when its user has a place for it. */
export const withinShare =
  ({ within }: Places.FairShare["Service"]) =>
  <A, E, R>(handle: Effect.Effect<A, E, R>) =>
    Effect.flatMap(CurrentUser, ({ id }) =>
      within(id, handle).pipe(Effect.catchIf(isTooMuchAtOnce, () => failForNow("unavailable", tooMuchWords, 1000)))
    )

export const fairShare: Layer.Layer<FairShare> = Layer.effect(
  FairShare,
  Effect.map(Places.FairShare, withinShare)
).pipe(Layer.provide(Places.fairShare))

const isTooMuchAtOnce = Schema.is(TooMuchAtOnce)
const tooMuchWords = "Too much is asked at once. Nothing of this request has happened."

const jsonType = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i
const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Reads a body of up to that size ahead of the endpoint, which then finds it read. */
const readJson = (maxBodySize: ByteSize.ByteSize, words: string) => {
  const maxBodyBytes = ByteSize.toNumberUnsafe(maxBodySize)
  const failTooLarge = fail("payload_too_large", words)
  return Effect.fnUntraced(function* <A, E, R>(handle: Effect.Effect<A, E, R>) {
    const request = yield* HttpServerRequest.HttpServerRequest
    // What says that it is of another type is refused even if there is nothing of it.
    if (hasBody(request) || request.headers["content-type"] !== undefined) {
      yield* checkType(request)
    }
    if (Number(request.headers["content-length"]) > maxBodyBytes) {
      return yield* failTooLarge
    }
    const bytes = yield* request.arrayBuffer.pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
      Effect.catch(
        (error): Effect.Effect<never, Problem<"payload_too_large"> | InvalidProblem> =>
          isTooLarge(error) ? failTooLarge : failUnread
      )
    )
    yield* Effect.try({
      try: () => utf8.decode(bytes),
      catch: () => undefined
    }).pipe(Effect.catch(() => failInvalid([{ path: "body", message: "Expected valid UTF-8" }])))
    return yield* handle
  })
}

export const jsonBody: Layer.Layer<JsonBody> = Layer.succeed(
  JsonBody,
  readJson(ByteSize.kibibytes(64), "The body is larger than 64 KiB.")
)

export const chatBody: Layer.Layer<ChatBody> = Layer.succeed(
  ChatBody,
  readJson(ByteSize.kibibytes(chatKibibytes), "The body is larger than 1 MiB.")
)

const isTooLarge = ({ reason }: HttpServerError.HttpServerError): boolean =>
  reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"

/** A body that ends too early or arrives garbled is mostly answered to nobody: the client is gone. */
const failUnread = failInvalid([{ path: "body", message: "Expected a whole body" }])

/** RFC 9112, section 6.3: a request has a body if one of these announces it. */
const hasBody = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.headers["transfer-encoding"] !== undefined || (request.headers["content-length"] ?? "0") !== "0"

const checkType = (request: HttpServerRequest.HttpServerRequest) => {
  if (!jsonType.test(request.headers["content-type"] ?? "")) {
    return fail("unsupported_media_type", "The body must be `application/json` in UTF-8, and be declared as that.")
  }
  return (request.headers["content-encoding"] ?? "identity") === "identity"
    ? Effect.void
    : fail("unsupported_media_type", "The body must not be compressed.")
}

/** The part of a request that an issue without a path is about. */
const slots = {
  Params: "path",
  Query: "query",
  Headers: "headers",
  Payload: "body"
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

export const validRequest: Layer.Layer<ValidRequest> = HttpApiMiddleware.layerSchemaErrorTransform(
  ValidRequest,
  (error) => {
    if (error.kind === "Body" || error.kind === "ResponseHeaders") {
      return Effect.fail(error)
    }
    const values = invalidValues(error.cause, slots[error.kind])
    return error.kind === "Query" ? Effect.flatMap(sayTwice(values), failInvalid) : failInvalid(values)
  }
)

/** A parameter that was given twice is a list to its schema, which knows of texts only. */
const sayTwice = (values: ReadonlyArray<InvalidValue>) =>
  Effect.map(HttpServerRequest.ParsedSearchParams, (query) =>
    values.map((value) => (Array.isArray(query[value.path]) ? { ...value, message: givenTwice } : value))
  )

/** One entry for each path: what is found last of a value is said of its final form. */
const invalidValues = (error: Schema.SchemaError, slot: string): ReadonlyArray<InvalidValue> => {
  const messages = new Map<string, string>()
  for (const { path = [], message } of formatIssue(error.issue).issues) {
    const keys = path.map((key) => String(Predicate.isObject(key) ? key.key : key))
    messages.set(keys.length === 0 ? slot : keys.join("."), message)
  }
  return Array.from(messages, ([path, message]) => ({ path, message }))
}
