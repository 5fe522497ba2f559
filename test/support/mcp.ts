import { assert } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { type CallToolResult, CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Context, Data, Effect, Layer, Predicate, Redacted, References, Schema, type Scope } from "effect"
import { HttpServer } from "effect/http"
import { Readiness } from "../../src/adapters/http/Handlers.ts"
import { serve } from "../../src/adapters/http/Server.ts"
import * as Mcp from "../../src/adapters/mcp/Mcp.ts"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as OfflineModel from "../../src/adapters/offline/OfflineModel.ts"
import { InvalidToken } from "../../src/domain/model/Errors.ts"
import { Task } from "../../src/domain/model/Task.ts"
import { UserId } from "../../src/domain/model/User.ts"
import * as Tools from "../../src/domain/Tools.ts"
import * as Turnkeeper from "../../src/domain/Turnkeeper.ts"
import { Auth } from "../../src/ports/Auth.ts"
import type { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import type { DirectCallRepo } from "../../src/ports/DirectCallRepo.ts"
import type { TaskTools } from "../../src/ports/TaskTools.ts"
import { postgres, repositories } from "./database.ts"

export type Store = ConversationRepo | DirectCallRepo | TaskTools

/** The stores that the same is tried on. */
export const stores = [
  ["memory", Memory.layer],
  ["PostgreSQL", Layer.orDie(repositories.pipe(Layer.provide(postgres())))]
] as const

/** Whoever has a token `<user>-token` is that user. */
export const auth = Layer.succeed(Auth, {
  authenticate: (token) => {
    const [, id] = /^([a-z0-9-]+)-token$/.exec(Redacted.value(token)) ?? []
    return id === undefined ? Effect.fail(new InvalidToken()) : Effect.succeed({ id: UserId.make(id), name: id })
  }
})

export interface Service {
  readonly tools?: Layer.Layer<Tools.Tools, Tools.ToolsInvalid, ConversationRepo | TaskTools>
  readonly auth?: Layer.Layer<Auth>
  readonly mcp?: Mcp.Options
  /** Another endpoint beside it, with tools of its own. */
  readonly other?: { readonly path: `/${string}`; readonly tools: NonNullable<Service["tools"]> }
  readonly corsOrigins?: ReadonlyArray<string>
}

/** The routes of a service on the given store, on a port of their own, until the scope is closed; answers where MCP is. */
export const serveMcp = ({
  mcp,
  tools = Tools.layer,
  ...more
}: Service = {}): Effect.Effect<string, never, Scope.Scope | Store> =>
  Effect.gen(function* () {
    const store = yield* Effect.context<Store>()
    const domain = Turnkeeper.layerWithoutTools.pipe(
      Layer.provideMerge(Layer.orDie(tools)),
      Layer.provide(OfflineModel.layer)
    )
    const { corsOrigins = [] } = more
    const options = { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0, corsOrigins }
    const endpoint = Mcp.layer({ allowedOrigins: corsOrigins, ...mcp })
    const { other } = more
    const endpoints =
      other === undefined
        ? endpoint
        : Layer.merge(endpoint, Mcp.layer({ path: other.path }).pipe(Layer.provide(Layer.orDie(other.tools))))
    const context = yield* serve(options, endpoints).pipe(
      Layer.provide([domain, more.auth ?? auth, Layer.succeed(Readiness, Effect.void)]),
      Layer.provide(Layer.succeedContext(store)),
      // What is asked here in vain is meant to be.
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "None")),
      Layer.orDie,
      Layer.build
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    return address._tag === "UnixPathAddress"
      ? assert.fail("a port was asked for")
      : `http://127.0.0.1:${address.port}/mcp`
  })

export interface Connection {
  readonly client: Client
  readonly sessionId: () => string
  /** Calls a tool. Fails with what the client throws. */
  readonly call: (
    name: string,
    args?: Record<string, unknown>,
    key?: unknown
  ) => Effect.Effect<CallToolResult, ClientFailed>
}

/** What the official client throws. */
export class ClientFailed extends Data.TaggedError("ClientFailed")<{
  /** Of a JSON-RPC error, or of HTTP. */
  readonly code: unknown
  readonly message: string
  readonly data: unknown
}> {}

/** The official client, connected as the user of the token, until the scope is closed. */
export const connect = (
  url: string,
  token: string,
  /** A session to go on with; without one, a session is begun. */
  sessionId?: string
): Effect.Effect<Connection, ClientFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { authorization: `Bearer ${token}` } },
      ...(sessionId !== undefined && { sessionId })
    })
    const client = new Client({ name: "test", version: "1.0.0" })
    const connecting = asking(() => client.connect(transport))
    yield* Effect.acquireRelease(connecting, () => Effect.promise(() => client.close()))
    return {
      client,
      sessionId: () => transport.sessionId ?? assert.fail("there is no session"),
      call: (name, args, key) =>
        asking((signal) =>
          client.callTool(
            { name, arguments: args ?? {}, ...(key !== undefined && { _meta: { "turnkeeper/idempotency-key": key } }) },
            CallToolResultSchema,
            { signal }
          )
        ).pipe(Effect.map((result) => CallToolResultSchema.parse(result)))
    }
  })

/** What a promise of the client's comes to. */
export const asking = <A>(ask: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, ClientFailed> =>
  Effect.tryPromise({ try: ask, catch: (error) => new ClientFailed(decodeThrown(error)) })

const Thrown = Schema.Struct({ message: Schema.String })
const decodeThrown = (error: unknown) => ({
  ...Schema.decodeUnknownSync(Thrown)(error),
  code: Predicate.hasProperty(error, "code") ? error.code : undefined,
  data: Predicate.hasProperty(error, "data") ? error.data : undefined
})

/** A message as it goes over the wire. */
export const send = (
  url: string,
  token: string | undefined,
  message: unknown,
  headers: Record<string, string> = {},
  method = "POST"
) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers
      },
      ...(message !== undefined && { body: typeof message === "string" ? message : JSON.stringify(message) })
    })
    const text = await response.text()
    return { status: response.status, headers: Object.fromEntries(response.headers), text, json: parse(text) }
  })

/** JSON, or the events of a stream that hold such. */
const parse = (text: string) => {
  if (text === "") return undefined
  if (!text.startsWith("data:")) return JSON.parse(text)
  return text
    .split("\n")
    .filter((line) => /^data: ./.test(line))
    .map((line) => JSON.parse(line.slice(5)))
}

/** An `initialize` as it goes over the wire. */
export const initialize = (protocolVersion = "2025-11-25") => ({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion, capabilities: {}, clientInfo: { name: "raw", version: "1" } }
})

const decodeList = Schema.decodeUnknownSync(Schema.Struct({ tasks: Schema.Array(Task), count: Schema.Int }))

/** The tasks of a user's list. */
export const tasksOf = (connection: Connection) =>
  Effect.map(connection.call("list_tasks"), ({ structuredContent }) => decodeList(structuredContent).tasks)

export const titlesOf = (connection: Connection) =>
  Effect.map(tasksOf(connection), (tasks) => tasks.map((task) => task.title))
