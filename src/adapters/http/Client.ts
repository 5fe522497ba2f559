import { Effect, type Redacted } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api, Authentication, Authorization } from "./Api.ts"

/** A method for each endpoint of the `Api`, by group. */
export type Client = HttpApiClient.ForApi<typeof Api>

export interface Options {
  /** Where the service is, without `/api`. */
  readonly baseUrl: string | URL
  /** The bearer token of the user that the client is for. */
  readonly token: Redacted.Redacted
}

/**
 * A typed client of the `Api`, for one user, on the application's `HttpClient`. Its methods fail with the problems that their
 * endpoint declares, and with `HttpClientError` when there was no answer. Nothing is sent again by itself: whether that is
 * safe, the idempotency key decides.
 */
export const make = (options: Options): Effect.Effect<Client, never, HttpClient.HttpClient> => {
  const withToken: HttpApiMiddleware.HttpApiMiddlewareClient<never, never, never> = ({ next, request }) =>
    next(HttpClientRequest.bearerToken(request, options.token))
  return HttpApiClient.make(Api, { baseUrl: options.baseUrl }).pipe(
    Effect.provide([
      HttpApiMiddleware.layerClient(Authentication, withToken),
      HttpApiMiddleware.layerClient(Authorization, withToken)
    ])
  )
}
