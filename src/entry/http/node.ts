/**
 * The whole HTTP service on Node: the API, its document and the page.
 *
 * @module turnkeeper/http/node
 */
export * as Handlers from "../../adapters/http/Handlers.ts"
export * as Page from "../../adapters/http/Page.ts"
export * as Server from "../../adapters/http/Server.ts"
