import { NodeHttpServer } from "@effect/platform-node"
import { type Duration, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSwagger, OpenApi } from "effect/http-api"
import { docsPath, documentPath, everyAnswer, routerConfig } from "./Answers.ts"
import { Api } from "./Api.ts"
import { handlers } from "./Handlers.ts"
import { authorization, jsonBody, validRequest } from "./Middleware.ts"
import { makeNodeServer } from "./NodeServer.ts"

/** What the documentation page may load: itself. */
const docsPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const documentation = Layer.mergeAll(
  HttpRouter.add("GET", documentPath, HttpServerResponse.jsonUnsafe(OpenApi.fromApi(Api))),
  HttpApiSwagger.layer(Api, { path: docsPath })
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
export const routes = Layer.mergeAll(HttpApiBuilder.layer(Api), documentation, everyAnswer).pipe(
  Layer.provide(handlers),
  Layer.provide([authorization, jsonBody, validRequest])
)

export interface ServeOptions {
  readonly port: number
  readonly host?: string
  /** How long requests that are under way may take when the server is shut down. */
  readonly gracefulShutdownTimeout?: Duration.Input
  /** How long a request may take to arrive, its body included. */
  readonly requestTimeout?: Duration.Input
}

/** Serves the `routes` until the layer is closed. Gives the `HttpServer`, which knows its address. */
export const serve = (options: ServeOptions) =>
  HttpRouter.serve(routes, { routerConfig, disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(
      NodeHttpServer.layer(() => makeNodeServer(options.requestTimeout ?? "30 seconds"), {
        port: options.port,
        host: options.host,
        gracefulShutdownTimeout: options.gracefulShutdownTimeout
      })
    )
  )
