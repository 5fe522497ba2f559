/**
 * The contract of the HTTP API and a client of it, for browsers as well: nothing of Node is in it.
 *
 * @module turnkeeper/http/client
 */
export * as Api from "../../adapters/http/Api.ts"
export * as Client from "../../adapters/http/Client.ts"
export * as Problems from "../../adapters/http/Problems.ts"
