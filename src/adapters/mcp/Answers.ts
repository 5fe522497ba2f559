import { Stream } from "effect"
import { HttpBody, HttpServerResponse } from "effect/http"
import { legible } from "../../domain/model/Text.ts"

/** Why a message is not taken, in the words that the HTTP API has for it. */
export type RefusalCode =
  | "forbidden"
  | "invalid_request"
  | "method_not_allowed"
  | "not_acceptable"
  | "not_found"
  | "payload_too_large"
  | "rate_limited"
  | "unauthorized"
  | "unavailable"
  | "unsupported_media_type"

const statuses: Readonly<Record<RefusalCode, number>> = {
  invalid_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  payload_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  unavailable: 503
}

/** JSON-RPC 2.0, section 5.1. */
export const rpcCode = { parseError: -32700, invalidRequest: -32600, invalidParams: -32602, internalError: -32603 }

/** Refuses a message before it is known which it is: a JSON-RPC error without an id, as the transport has it. */
export const refuse = (
  code: RefusalCode,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  rpc = code === "unavailable" ? rpcCode.internalError : rpcCode.invalidRequest
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { jsonrpc: "2.0", id: null, error: { code: rpc, message, data: { code } } },
    { status: statuses[code], headers }
  )

const silent = new Map<number, readonly [RefusalCode, string]>([
  [400, ["invalid_request", "The request is none of the Model Context Protocol."]],
  [406, ["not_acceptable", "The client must accept application/json and text/event-stream."]],
  [415, ["unsupported_media_type", "The body must be application/json."]]
])

/** Says why, where an answer has but its status. */
const explained = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const reason = silent.get(response.status)
  return reason !== undefined && response.body._tag === "Empty" ? refuse(...reason) : response
}

/** An answer as it is sent: it is kept nowhere, says what is wrong, and has no character that a terminal would obey. */
export const presentable = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const kept = HttpServerResponse.setHeader(explained(response), "cache-control", "no-store")
  const { body } = kept
  if (body._tag === "Uint8Array") {
    return HttpServerResponse.setBody(kept, HttpBody.text(legible(utf8.decode(body.body)), body.contentType))
  }
  if (body._tag !== "Stream") return kept
  const legibly = body.stream.pipe(Stream.decodeText(), Stream.map(legible), Stream.encodeText)
  return HttpServerResponse.setBody(kept, HttpBody.stream(legibly, body.contentType))
}

const utf8 = new TextDecoder()
