// @effect-diagnostics-next-line nodeBuiltinImport:off
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
// @effect-diagnostics-next-line nodeBuiltinImport:off
import type { Duplex } from "node:stream"
import { Duration } from "effect"
import { ProblemDetails } from "effect/http"
import { guardHeaders } from "./Headers.ts"
import { requestIdOf } from "./Problems.ts"

/** What Node refuses before anyone sees a request: no types of our own, so `about:blank` and the phrases of RFC 9110. */
const refusals = {
  400: { title: "Bad Request", code: "invalid_request", detail: "The request cannot be read as HTTP/1.1." },
  405: { title: "Method Not Allowed", code: "method_not_allowed", detail: "This is no proxy: it knows no CONNECT." },
  408: { title: "Request Timeout", code: "invalid_request", detail: "The request did not arrive in time." },
  413: { title: "Content Too Large", code: "payload_too_large", detail: "The chunk extensions are too large." },
  417: { title: "Expectation Failed", code: "invalid_request", detail: "Nothing but 100-continue can be expected." },
  431: {
    title: "Request Header Fields Too Large",
    code: "invalid_request",
    detail: "The header fields are larger than 16 KiB."
  }
}

type Refusal = keyof typeof refusals

const statusByCode = new Map<string | undefined, Refusal>([
  ["HPE_HEADER_OVERFLOW", 431],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", 413],
  ["ERR_HTTP_REQUEST_TIMEOUT", 408]
])

const refuse = (status: Refusal, givenRequestId?: unknown) => {
  const { title, code, detail } = refusals[status]
  const requestId = requestIdOf(givenRequestId)
  const body = JSON.stringify({
    type: ProblemDetails.blankType,
    title,
    status,
    detail,
    request_id: requestId,
    error: { message: detail, code }
  })
  const headers = {
    // RFC 9110, section 15.5.6: a 405 has one. What CONNECT names is nothing of ours, so no method can be used there.
    ...(status === 405 ? { allow: "" } : {}),
    ...guardHeaders,
    connection: "close",
    "content-length": String(Buffer.byteLength(body)),
    "content-type": ProblemDetails.contentType,
    "x-request-id": requestId
  }
  return { status, title, headers, body }
}

type Refused = ReturnType<typeof refuse>

/** Answers on a connection that nothing else will be written to, and ends it. */
const endWith = ({ status, title, headers, body }: Refused, socket: Duplex): void => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join("")}\r\n${body}`, () => socket.destroy())
}

/** What comes on a connection behind its latest answer, once that is written; nothing if the connection ends with it. */
const behind = (latest: ServerResponse | undefined, socket: Duplex, write: () => void): void => {
  if (latest === undefined || latest.writableFinished) {
    write()
    return
  }
  latest.once("close", () => {
    if (socket.writable) {
      write()
    }
  })
}

/**
 * Whoever is answered before all of a body has come whose end nobody knows is told that the connection ends: what is left of
 * it may be more than anybody reads. A client that goes on sending all the same may see a reset instead of the answer.
 */
const closeIfUnread = (request: IncomingMessage, response: ServerResponse): void => {
  response.writeHead = new Proxy(response.writeHead, {
    apply: (writeHead, self, args) => {
      if (!request.complete) response.shouldKeepAlive = false
      return Reflect.apply(writeHead, self, args)
    }
  })
}

/** A server, and how it takes leave of its clients. */
export interface NodeServer {
  readonly server: Server
  /** From now on each answer is the last of its connection, and says so (RFC 9112, section 9.6). */
  readonly announceClose: () => void
  /** Comes back once no connection is left. */
  readonly noConnections: (resume: () => void) => void
}

/** Node's HTTP server, in which refusals are problems as well. */
export const makeNodeServer = (requestTimeout: Duration.Input, stallTimeout: Duration.Input): NodeServer => {
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
  /** The latest answer of each connection. Node writes them in the order of their requests, whichever is ready first. */
  const latest = new WeakMap<Duplex, ServerResponse>()
  const unanswered = new Set<ServerResponse>()
  let closing = false
  const remember = (request: IncomingMessage, response: ServerResponse) => {
    latest.set(request.socket, response)
    unanswered.add(response)
    if (closing) response.shouldKeepAlive = false
    if (request.headers["transfer-encoding"] !== undefined) closeIfUnread(request, response)
    // A server that is closing closes the connections that are idle at that moment, and would wait for the others to
    // be given up by their clients.
    response.once("close", () => {
      unanswered.delete(response)
      if (!server.listening) {
        server.closeIdleConnections()
      }
    })
  }
  // A turn may think for long, but nobody has to wait for a client that reads nothing.
  server.setTimeout(Duration.toMillis(stallTimeout), (socket) => {
    const answer = latest.get(socket)
    if (answer === undefined || answer.writableFinished || socket.writableLength > 0) socket.destroy()
  })
  server.on("request", remember)
  server.on("checkContinue", remember)
  /** The connections that are at their end: the parser goes on to complain of whatever else arrives. */
  const ending = new WeakSet<Duplex>()
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable) {
      socket.destroy(error)
      return
    }
    if (ending.has(socket)) {
      return
    }
    ending.add(socket)
    const refused = refuse(statusByCode.get(error.code) ?? 400)
    const answer = latest.get(socket)
    if (answer === undefined || answer.req.complete) {
      // What cannot be read is behind whole requests, whose turns run: their answers go first.
      behind(answer, socket, () => endWith(refused, socket))
    } else if (answer.headersSent) {
      // The rest of a request that has its answer.
      behind(answer, socket, () => socket.end(() => socket.destroy()))
    } else {
      answer.writeHead(refused.status, refused.title, refused.headers).end(refused.body)
    }
  })
  server.on("connect", (request, socket) => {
    // Node has let go of the connection, errors included.
    socket.on("error", () => socket.destroy())
    behind(latest.get(socket), socket, () => endWith(refuse(405, request.headers["x-request-id"]), socket))
  })
  server.on("checkExpectation", (request, response) => {
    remember(request, response)
    const { status, title, headers, body } = refuse(417, request.headers["x-request-id"])
    response.writeHead(status, title, headers).end(body)
  })
  const connections = new Set<Duplex>()
  server.on("connection", (socket) => {
    connections.add(socket)
    socket.once("close", () => connections.delete(socket))
  })
  return {
    server,
    announceClose: () => {
      closing = true
      for (const response of unanswered) response.shouldKeepAlive = false
    },
    noConnections: (resume) => {
      if (connections.size === 0) return resume()
      for (const socket of connections) {
        socket.once("close", () => {
          if (connections.size === 0) resume()
        })
      }
    }
  }
}
