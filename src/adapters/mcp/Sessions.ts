import { type Cause, Effect, RcMap, Schema, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { Headers, HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { UserId } from "../../domain/model/User.ts"

const sessionHeader = "mcp-session-id"
const versionHeader = "mcp-protocol-version"

/** What answers the protocol's messages, as Effect has it: its sessions are known to this instance alone, and for ever. */
export type Protocol = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  never,
  HttpServerRequest.HttpServerRequest | Scope.Scope
>

/**
 * Sessions of the revisions of the protocol that have any. Nothing is in them but which revision was agreed upon, so a
 * session's id tells that, and whose it is: any instance can go on with it, now and after a restart, none has to remember
 * it, and nobody can use it with another user's token.
 */
export interface Sessions {
  /**
   * The headers under which the protocol knows the session that these name, as long as the scope is open; as they are where
   * they name none, and nothing where there is no such session of this user's. Fails where the user has used too many of them in
   * the last minute: an id that is made up is as good as one that was given.
   */
  readonly enter: (
    userId: UserId,
    headers: Headers.Headers
  ) => Effect.Effect<Headers.Headers | undefined, Cause.ExceededCapacityError, Scope.Scope>
  /** Answers a message under such headers. */
  readonly answer: (
    userId: UserId,
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}

const sessionId = /^(\d{4}-\d{2}-\d{2})\.[0-9a-f-]{36}\.([A-Za-z0-9_-]+)$/

const nameSession = (version: string, userId: UserId): string => `${version}.${SecureRandom.uuidV4Unsafe()}.${userId}`

/** How long the protocol's own session is kept after its last message, so that the next one finds it. */
const idle = "1 minute"
/** How many sessions the protocol keeps of one user. */
const mostOfUser = 100

export const make = Effect.fnUntraced(function* (
  protocol: Protocol,
  versions: ReadonlyArray<string>
): Effect.fn.Return<Sessions, never, Scope.Scope> {
  /** A request of its own inside of another: what the protocol does to its answer stays with it. */
  const ask = (request: HttpServerRequest.HttpServerRequest) =>
    Effect.suspend(() => {
      let answered = HttpServerResponse.empty({ status: 500 })
      return HttpEffect.toHandled(protocol, (_, response) =>
        Effect.sync(() => {
          answered = HttpEffect.scopeTransferToStream(response)
        })
      ).pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, request),
        Effect.map(() => answered)
      )
    })

  const open = (version: string) =>
    Effect.map(ask(initialize(version)), (response) => response.headers[sessionHeader] ?? "")
  const close = (id: string) => ask(terminate(id))

  // A user's are used no longer ago than the last of them, so none is closed before its time.
  const users = yield* RcMap.make({
    lookup: (_: UserId) =>
      RcMap.make({
        lookup: (id: string) => Effect.acquireRelease(open(id.slice(0, 10)), close),
        idleTimeToLive: idle,
        capacity: mostOfUser
      }),
    idleTimeToLive: idle
  })

  return {
    enter: Effect.fnUntraced(function* (userId, headers) {
      const id = headers[sessionHeader]
      if (id === undefined) return headers
      const [, version = "", owner] = sessionId.exec(id) ?? []
      if (owner !== userId || !versions.includes(version)) return undefined
      const own = yield* RcMap.get(users, userId)
      return Headers.set(headers, sessionHeader, yield* RcMap.get(own, id))
    }),
    answer: Effect.fnUntraced(function* (userId, request) {
      const response = yield* ask(request)
      const opened = response.headers[sessionHeader]
      if (opened === undefined) return response
      // It has told what it is for. Whoever comes with the id that is given instead gets another.
      yield* close(opened)
      const version = response.headers[versionHeader] ?? ""
      return HttpServerResponse.setHeader(response, sessionHeader, nameSession(version, userId))
    })
  }
})

const encodeInitialize = Schema.encodeSync(Schema.fromJsonString(Schema.Unknown))

const from = (method: "DELETE" | "POST", headers: Readonly<Record<string, string>>, body?: string) =>
  HttpServerRequest.fromWeb(new Request("http://localhost/", { method, headers, ...(body !== undefined && { body }) }))

const terminate = (id: string) => from("DELETE", { [sessionHeader]: id })

const initialize = (protocolVersion: string) =>
  from(
    "POST",
    { accept: "application/json, text/event-stream", "content-type": "application/json" },
    encodeInitialize({
      jsonrpc: "2.0",
      id: 0,
      method: "initialize",
      params: { protocolVersion, capabilities: {}, clientInfo: { name: "turnkeeper", version: "0" } }
    })
  )
