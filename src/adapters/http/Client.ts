import { Effect, type Redacted } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api, Authentication } from "./Api.ts"

type Groups = HttpApiClient.ForApi<typeof Api>

/** A method for each endpoint of the `Api`, by group. */
export interface Client {
  readonly chat: Groups["agentChat"]
  readonly conversations: Groups["agentConversations"]
  readonly health: Groups["health"]
  readonly me: Groups["agentMe"]
  readonly tasks: Groups["agentTasks"]
  readonly turns: Groups["agentTurns"]
  readonly ui: Groups["agentUi"]
  readonly users: Groups["agentUsers"]
}

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
    Effect.map((client) => ({
      chat: client.agentChat,
      conversations: client.agentConversations,
      health: client.health,
      me: client.agentMe,
      tasks: client.agentTasks,
      turns: client.agentTurns,
      ui: client.agentUi,
      users: client.agentUsers
    })),
    Effect.provide([HttpApiMiddleware.layerClient(Authentication, withToken)])
  )
}
