/**
 * The HTTP API: its contract, a client of it, and what answers it on a router of the application.
 *
 * @module turnkeeper/http
 */
export * as Api from "../adapters/http/Api.ts"
export * as Client from "../adapters/http/Client.ts"
export * as Handlers from "../adapters/http/Handlers.ts"
export * as Problems from "../adapters/http/Problems.ts"
export * as Routes from "../adapters/http/Routes.ts"
