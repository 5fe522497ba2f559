import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, type Duration, Effect, Layer, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiSwagger, OpenApi } from "effect/http-api"
import { docsPath, documentPath, everyAnswer } from "./Answers.ts"
import { Api } from "./Api.ts"
import { AllowedOrigins, contentPolicy } from "./Headers.ts"
import { makeNodeServer } from "./NodeServer.ts"
import { page } from "./Page.ts"
import * as Routes from "./Routes.ts"

/** What the documentation page may load: itself. */
const docsPolicy = [
  contentPolicy,
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'"
].join("; ")

/** The reference is two megabytes of script, which are read when somebody asks for it. */
const reference = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const scope = yield* Effect.scope
    const answer = yield* Effect.cached(
      Effect.provideService(HttpRouter.toHttpEffect(HttpApiSwagger.layer(Api, { path: docsPath })), Scope.Scope, scope)
    )
    yield* router.add("GET", docsPath, Effect.flatten(answer))
  })
)

const documentation = Layer.mergeAll(
  HttpRouter.add("GET", documentPath, HttpServerResponse.jsonUnsafe(OpenApi.fromApi(Api))),
  reference
).pipe(
  Layer.provide(
    HttpRouter.middleware((answer) =>
      Effect.map(
        answer,
        HttpServerResponse.setHeaders({ "cache-control": "public, max-age=300", "content-security-policy": docsPolicy })
      )
    ).layer
  )
)

/** Everything that is answered over HTTP. */
export const routes = Layer.mergeAll(Routes.layer, documentation, page, everyAnswer)

export interface ServeOptions {
  readonly port: number
  readonly host?: string
  /** How long requests that are under way may take when the server is shut down. */
  readonly gracefulShutdownTimeout?: Duration.Input
  /** How long a request may take to arrive, its body included. */
  readonly requestTimeout?: Duration.Input
  /** How long an answer waits for a client that reads nothing of it. */
  readonly stallTimeout?: Duration.Input
  /** The origins whose pages may call, such as `https://app.example.com`; by default none may. */
  readonly corsOrigins?: ReadonlyArray<string>
}

/** How the server takes leave of its clients before it is closed. */
export class Farewell extends Context.Service<
  Farewell,
  {
    /** From now on each answer says that it is the last of its connection. */
    readonly announce: Effect.Effect<void>
    /**
     * Waits until the clients have gone, a second at most: who sends a request on a connection that is being closed could
     * not know whether it arrived.
     */
    readonly awaitGone: Effect.Effect<void>
  }
>()("turnkeeper/adapters/http/Server/Farewell") {}

/**
 * Serves the `routes`, and others beside them, until the layer is closed. Gives the `HttpServer`, which knows its address.
 */
export const serve = <E = never, R = never>(
  options: ServeOptions,
  others: Layer.Layer<never, E, R | HttpRouter.HttpRouter> = Layer.empty
) =>
  Layer.unwrap(
    Effect.sync(() => {
      const node = makeNodeServer(options.requestTimeout ?? "30 seconds", options.stallTimeout ?? "2 minutes")
      return HttpRouter.serve(Layer.merge(routes, others), {
        routerConfig: Routes.routerConfig,
        disableLogger: true,
        disableListenLog: true
      }).pipe(
        Layer.provide(Layer.succeed(AllowedOrigins, options.corsOrigins ?? [])),
        Layer.provideMerge(
          NodeHttpServer.layer(() => node.server, {
            port: options.port,
            host: options.host,
            // A crowd that comes at once waits in the kernel, which bounds this itself; Node's 511 would send it away.
            backlog: 4096,
            gracefulShutdownTimeout: options.gracefulShutdownTimeout
          })
        ),
        Layer.merge(
          Layer.succeed(Farewell, {
            announce: Effect.sync(node.announceClose),
            awaitGone: Effect.callback<void>((resume) => node.noConnections(() => resume(Effect.void))).pipe(
              Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.void })
            )
          })
        )
      )
    })
  )
