// @effect-diagnostics-next-line nodeBuiltinImport:off
import { createServer, type Server, type ServerResponse } from "node:http"
// @effect-diagnostics-next-line nodeBuiltinImport:off
import type { Duplex } from "node:stream"
import { Duration } from "effect"
import { ProblemDetails } from "effect/http"
import { requestIdOf } from "./Problems.ts"

/** What Node refuses before anyone sees a request: no types of our own, so `about:blank` and the phrases of RFC 9110. */
const refusals = {
  400: { title: "Bad Request", detail: "The request is not HTTP/1.1." },
  408: { title: "Request Timeout", detail: "The request did not arrive in time." },
  413: { title: "Content Too Large", detail: "The chunk extensions are too large." },
  417: { title: "Expectation Failed", detail: "Nothing but 100-continue can be expected." },
  431: { title: "Request Header Fields Too Large", detail: "The header fields are larger than 16 KiB." }
}

type Refusal = keyof typeof refusals

const statusByCode = new Map<string | undefined, Refusal>([
  ["HPE_HEADER_OVERFLOW", 431],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", 413],
  ["ERR_HTTP_REQUEST_TIMEOUT", 408]
])

const refuse = (status: Refusal, givenRequestId?: unknown) => {
  const { title, detail } = refusals[status]
  const requestId = requestIdOf(givenRequestId)
  const code = status === 413 ? "payload_too_large" : "invalid_request"
  const body = JSON.stringify({
    type: ProblemDetails.blankType,
    title,
    status,
    detail,
    request_id: requestId,
    error: { message: detail, code }
  })
  const headers = {
    "cache-control": "no-store",
    connection: "close",
    "content-length": String(Buffer.byteLength(body)),
    "content-type": ProblemDetails.contentType,
    "x-content-type-options": "nosniff",
    "x-request-id": requestId
  }
  return { status, title, headers, body }
}

/** Node's HTTP server, in which refusals are problems as well. */
export const makeNodeServer = (requestTimeout: Duration.Input): Server => {
  const millis = Duration.toMillis(requestTimeout)
  const server = createServer({
    requestTimeout: millis,
    headersTimeout: Math.min(millis, 10_000),
    connectionsCheckingInterval: Math.min(millis, 5000),
    // Longer than what load balancers keep connections for, so that it is they who close them.
    keepAliveTimeout: 75_000,
    // The routes refuse it, with a problem.
    requireHostHeader: false,
    // Nothing here can be upgraded to, and clients that offer it are content with HTTP/1.1.
    shouldUpgradeCallback: () => false
  })
  const answers = new WeakMap<Duplex, ServerResponse>()
  server.on("request", (request, response) => {
    answers.set(request.socket, response)
    // A server that is closing closes the connections that are idle at that moment, and would wait for the others to
    // be given up by their clients.
    response.once("close", () => {
      if (!server.listening) {
        server.closeIdleConnections()
      }
    })
  })
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket)
    // In the middle of an answer there is no place for another.
    if (!socket.writable || (answer?.headersSent === true && !answer.writableFinished)) {
      socket.destroy(error)
      return
    }
    const { status, title, headers, body } = refuse(statusByCode.get(error.code) ?? 400)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join("")}\r\n${body}`, () => socket.destroy())
  })
  server.on("checkExpectation", (request, response) => {
    const { status, headers, body } = refuse(417, request.headers["x-request-id"])
    response.writeHead(status, headers).end(body)
  })
  return server
}
