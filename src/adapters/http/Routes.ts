import { Layer } from "effect"
import type { FindMyWay } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "./Api.ts"
import { handlers } from "./Handlers.ts"
import { authentication, authorization, chatBody, fairShare, jsonBody, validRequest } from "./Middleware.ts"

/** How the router must be set up: paths are matched as they are written. */
export const routerConfig: Partial<FindMyWay.RouterConfig> = {
  caseSensitive: true,
  // Node bounds the whole path, and the schemas tell what is too long for an id.
  maxParamLength: Number.POSITIVE_INFINITY
}

/**
 * The endpoints of the `Api` on the application's `HttpRouter`, beside whatever else it has: without the page, the document
 * and what makes a problem of every answer that is none of theirs.
 */
export const layer = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(handlers),
  Layer.provide([authentication, authorization, chatBody, fairShare, jsonBody, validRequest])
)
