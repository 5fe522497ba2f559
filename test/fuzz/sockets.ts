import { connect } from "node:net"
import { Effect } from "effect"
import type { Answer } from "./client.ts"
import { diceOf } from "./dice.ts"
import { judgeRefusal } from "./oracle.ts"
import type { FuzzService } from "./service.ts"

/**
 * What must come back: these statuses in this order; nothing but one refusal, or not even that; or any one answer that is
 * no failure of the service.
 */
type Expected = ReadonlyArray<number> | "refused" | "one"

/** What is sent on a connection of its own. */
export interface SocketCase {
  readonly name: string
  /** What is sent, piece by piece. */
  readonly pieces: ReadonlyArray<string | Buffer>
  /** What the client does when all is sent: it waits, ends its half, or tears the connection down. */
  readonly ending: "wait" | "end" | "reset"
  readonly expects: Expected
  /** The ids that the answers must have, in order. */
  readonly ids?: ReadonlyArray<string>
}

const crlf = "\r\n"
const body = '{"title":"Milk"}'
const chunked = `${body.length.toString(16)}${crlf}${body}${crlf}0${crlf}${crlf}`
const withTrailers = (lines: string) => chunked.replace(/\r\n$/, `${lines}${crlf}`)

/** A request as it is on the wire, behind which the connection ends. */
const wire = (line: string, headers: ReadonlyArray<string>, rest = "") =>
  [line, "Host: x", "Connection: close", ...headers, "", rest].join(crlf)

/** A request on a connection that goes on. */
const kept = (line: string, headers: ReadonlyArray<string>, rest = "") =>
  [line, "Host: x", ...headers, "", rest].join(crlf)

const live = "GET /health/live HTTP/1.1"

interface User {
  readonly id: string
  readonly token: string
}

const asUser = ({ token }: User) => [`Authorization: Bearer ${token}`, "Content-Type: application/json"]
const create = ({ id }: User) => `POST /api/v1/users/${id}/tasks HTTP/1.1`

const refused = (name: string, ...pieces: ReadonlyArray<string | Buffer>): SocketCase => ({
  name,
  pieces,
  ending: "wait",
  expects: "refused"
})

const answered = (name: string, expects: Expected, ...pieces: ReadonlyArray<string | Buffer>): SocketCase => ({
  name,
  pieces,
  ending: "wait",
  expects
})

const list = (name: string, texts: ReadonlyArray<string>, make: (text: string) => SocketCase) =>
  texts.map((text): SocketCase => ({ ...make(text), name: `${name}: ${JSON.stringify(text.slice(0, 60))}` }))

/** What is no HTTP at all. */
const garbage = (seed: number): ReadonlyArray<SocketCase> => {
  const dice = diceOf(`${seed}/garbage`)
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => dice.below(256)))
  return [
    ...[1, 2, 3, 4, 5, 6, 7, 8].map(
      (i): SocketCase => ({ ...refused(`random bytes ${i}`, bytes(i * 300)), ending: "end" })
    ),
    ...[1, 2, 3, 4].map((i) =>
      refused(`random bytes as a header ${i}`, `${live}${crlf}Host: x${crlf}X: `, bytes(200), Buffer.from("\0\r\n\r\n"))
    ),
    refused("NUL bytes", Buffer.alloc(5000)),
    refused("a TLS hello", Buffer.from("16030100c8010000c40303", "hex"), bytes(180)),
    refused(
      "an HTTP/2 preface",
      `PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`,
      Buffer.from("000000040000000000", "hex")
    ),
    refused("an SSH greeting", `SSH-2.0-OpenSSH_9.6${crlf}`),
    refused("a PROXY header", `PROXY TCP4 127.0.0.1 127.0.0.1 1 2${crlf}${wire(live, [])}`),
    refused("a PostgreSQL start", Buffer.from("0000000804d2162f", "hex")),
    { ...refused("nothing but empty lines", crlf.repeat(2000)), ending: "end" },
    { ...refused("HTTP/0.9", `GET /health/live${crlf}`), ending: "end" }
  ]
}

const requestLines: ReadonlyArray<SocketCase> = [
  ...list(
    "a request line",
    [
      "GET /health/live HTTP/0.9",
      "GET /health/live HTTP/2.0",
      "GET /health/live HTTP/9.9",
      "GET /health/live HTTP/1.10",
      "GET /health/live http/1.1",
      "GET /health/live HTTP/1.1 x",
      "GET /health/live ICE/1.1",
      "GET /health live HTTP/1.1",
      "GET HTTP/1.1",
      "/health/live HTTP/1.1",
      "get /health/live HTTP/1.1",
      "FETCH /health/live HTTP/1.1",
      "GET\0 /health/live HTTP/1.1",
      "GET /health/\0live HTTP/1.1",
      "GET /health/\x7flive HTTP/1.1",
      "GET /health/live\xff HTTP/1.1",
      "GET health/live HTTP/1.1",
      "GET #x HTTP/1.1",
      `${"A".repeat(65_536)} / HTTP/1.1`,
      `GET /${"a".repeat(65_536)} HTTP/1.1`,
      "CONNECT x:443 HTTP/1.1",
      "CONNECT / HTTP/1.1"
    ],
    (line) => refused("", Buffer.from(wire(line, []), "latin1"))
  ),
  ...list(
    "a target",
    [
      "GET http://x/health/live HTTP/1.1",
      "GET http://evil.example/api/v1/users/a/tasks HTTP/1.1",
      "GET http:// HTTP/1.1",
      "GET http://[::1/ HTTP/1.1",
      "GET ftp://x/health/live HTTP/1.1",
      "OPTIONS * HTTP/1.1",
      "GET * HTTP/1.1",
      "GET //health/live HTTP/1.1",
      "GET //evil.example/%2e%2e HTTP/1.1",
      "GET /health/../health/live HTTP/1.1",
      "GET /health%2flive HTTP/1.1",
      "GET /%%%%%% HTTP/1.1",
      "GET /nowhere?%zz=%ff HTTP/1.1",
      "GET /health/live?# HTTP/1.1",
      "GET /\\..\\x HTTP/1.1",
      "TRACE /health/live HTTP/1.1",
      "M-SEARCH * HTTP/1.1",
      "GET  /health/live HTTP/1.1",
      "GET /health/live HTTP/1.0"
    ],
    (line) => answered("", "one", wire(line, []))
  )
]

const headerCases: ReadonlyArray<SocketCase> = [
  ...list(
    "a header",
    [
      "Bad Name: x",
      ": x",
      "X\0: x",
      "X: a\0b",
      "X: a\rb",
      "X\x7f: x",
      "X: a\x7fb",
      "X: a\x01b",
      "X",
      "X : y",
      "(X): y",
      "\xff: x",
      "X: a\nb"
    ],
    (header) => refused("", Buffer.from(wire(live, [header]), "latin1"))
  ),
  refused("a header of 64 KiB", wire(live, [`X: ${"x".repeat(65_536)}`])),
  refused("a name of 64 KiB", wire(live, [`${"x".repeat(65_536)}: x`])),
  refused("headers of 64 KiB together", wire(live, new Array(64).fill(`X: ${"x".repeat(1000)}`))),
  refused(
    "10,000 headers",
    wire(
      live,
      Array.from({ length: 10_000 }, (_, i) => `X-${i}: y`)
    )
  ),
  answered("3,000 headers", "one", wire(live, new Array(3000).fill("a:b"))),
  answered("obs-fold", "one", wire(live, ["X: a", " b", "\tc"])),
  refused("obs-fold in front", `${live}${crlf} Host: x${crlf}${crlf}`),
  refused("lines that end with LF", wire(live, []).replaceAll(crlf, "\n")),
  refused("lines that end with CR", wire(live, []).replaceAll(crlf, "\r")),
  refused("no host", `${live}${crlf}Connection: close${crlf}${crlf}`),
  refused("two hosts", wire(live, ["Host: y"])),
  answered("odd hosts", "one", wire(live, []).replace("Host: x", "Host: a@b:99999/..?")),
  answered(
    "an offer of WebSocket",
    "one",
    wire(live, [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    ])
  ),
  answered(
    "an offer of h2c",
    "one",
    wire(live, ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"])
  )
]

/** Bodies whose length is told wrongly, or in two ways, with another request hidden in them. */
const lengths = (user: User): ReadonlyArray<SocketCase> => {
  const hidden = kept(`GET /api/v1/users/${user.id}/tasks HTTP/1.1`, asUser(user))
  const post = (headers: ReadonlyArray<string>, rest: string) => kept(create(user), [...asUser(user), ...headers], rest)
  return [
    ...list(
      "Content-Length",
      [
        "-1",
        "+16",
        "0x10",
        "16, 16",
        "16,17",
        "16 16",
        "1e1",
        "16.0",
        "99999999999999999999",
        "x",
        "١٦",
        "16\0",
        "16;x",
        "Infinity"
      ],
      (value) => refused("", Buffer.from(post([`Content-Length: ${value}`], body + hidden)))
    ),
    refused("two lengths", post(["Content-Length: 16", "Content-Length: 17"], `${body}x`)),
    refused("one length twice", post(["Content-Length: 16", "Content-Length: 16"], body)),
    refused("an empty length", post(["Content-Length: "], body + hidden)),
    refused("a space before the colon", post(["Content-Length : 16"], body)),
    refused("a length and chunks", post(["Content-Length: 16", "Transfer-Encoding: chunked"], chunked + hidden)),
    refused("chunks and a length", post(["Transfer-Encoding: chunked", "Content-Length: 4"], chunked + hidden)),
    ...list(
      "Transfer-Encoding",
      [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip",
        "chunked;q=1",
        "chunked, chunked",
        "\x0bchunked",
        "chunked\0",
        "x\r\n chunked",
        "\x00",
        '"chunked"',
        "chunked, gzip"
      ],
      (value) => refused("", post([`Transfer-Encoding: ${value}`], chunked + hidden))
    ),
    refused("a space before the colon of chunks", post(["Transfer-Encoding : chunked"], chunked + hidden)),
    refused("two codings", post(["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunked + hidden)),
    refused(
      "chunks in HTTP/1.0 with a length",
      post(["Transfer-Encoding: chunked", "Content-Length: 16"], chunked).replace("HTTP/1.1", "HTTP/1.0")
    ),
    refused("an expectation that nobody meets", post(["Content-Length: 16", "Expect: 200-ok"], body)),
    answered(
      "a body of which the end was asked for",
      [201],
      wire(create(user), [...asUser(user), "Content-Length: 16"], `${body}${hidden}`)
    ),
    answered(
      "a body that is asked for",
      [100, 201],
      wire(create(user), [...asUser(user), "Content-Length: 16", "Expect: 100-continue"], body)
    ),
    answered(
      "a length too great to be asked for",
      [413],
      wire(create(user), [...asUser(user), "Content-Length: 65537", "Expect: 100-continue"])
    )
  ]
}

const chunks = (user: User): ReadonlyArray<SocketCase> => {
  const headers = [...asUser(user), "Transfer-Encoding: chunked"]
  const bad = [
    "x\r\n",
    "-1\r\n",
    "0x10\r\n",
    "10 \r\n",
    " 10\r\n",
    "\r\n",
    "FFFFFFFFFFFFFFFFF\r\n",
    "10000000000000000\r\n",
    `10\n${body}\n0\n\n`,
    `10\r\n${body}x\r\n0\r\n\r\n`,
    `10\r\n${body}0\r\n\r\n`,
    `f\r\n${body}\r\n0\r\n\r\n`,
    `10;a=\0\r\n${body}\r\n0\r\n\r\n`,
    `10;${"x".repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`,
    `10\r\n${body}\r\n0\r\nBad Name: x\r\n\r\n`,
    `10\r\n${body}\r\n0\r\nX: \0\r\n\r\n`,
    `10\r\n${body}\r\n0\r\nX: ${"x".repeat(65_536)}\r\n\r\n`,
    `10\r\n${body}\r\n-0\r\n\r\n`
  ]
  return [
    ...list("chunks", bad, (text) => refused("", wire(create(user), headers, text))),
    ...list("chunks of a stranger", bad.slice(0, 4), (text) => refused("", kept(create(user), headers.slice(1), text))),
    // The rest is not read to its end, so the connection cannot go on: whoever counts on it would lose the next request.
    answered(
      "300 KiB in chunks of a stranger",
      [401],
      kept(create(user), headers.slice(1), `4b000${crlf}${" ".repeat(0x4b000)}${crlf}0${crlf}${crlf}`)
    ),
    answered("whole chunks", [201], wire(create(user), headers, chunked)),
    answered(
      "chunks of a byte",
      [201],
      wire(create(user), headers, `${[...body].map((c) => `1${crlf}${c}${crlf}`).join("")}0${crlf}${crlf}`)
    ),
    answered(
      "trailers that would change the request",
      [201],
      wire(create(user), headers, withTrailers("Authorization: x\r\nHost: y\r\nContent-Type: text/plain\r\n"))
    ),
    answered(
      "trailers that would change its length",
      "one",
      wire(create(user), headers, withTrailers("Content-Length: 1\r\n"))
    ),
    answered(
      "chunks beyond 64 KiB",
      [413],
      wire(create(user), headers, `11000${crlf}${" ".repeat(0x11000)}${crlf}0${crlf}${crlf}`)
    )
  ]
}

/** Many requests at once on one connection: the answers come in their order, each to its request. */
const pipelines = (user: User): ReadonlyArray<SocketCase> => {
  const root = `/api/v1/users/${user.id}`
  const kinds = [
    { line: live, headers: [], rest: "", status: 200 },
    { line: `GET ${root}/tasks HTTP/1.1`, headers: asUser(user), rest: "", status: 200 },
    { line: `GET ${root}/tasks HTTP/1.1`, headers: [], rest: "", status: 401 },
    { line: create(user), headers: [...asUser(user), `Content-Length: ${body.length}`], rest: body, status: 201 },
    { line: create(user), headers: [...asUser(user), "Transfer-Encoding: chunked"], rest: chunked, status: 201 },
    { line: create(user), headers: [...asUser(user), "Content-Length: 2"], rest: "{]", status: 400 },
    { line: create(user), headers: ["Content-Length: 2"], rest: "{]", status: 401 },
    {
      line: `POST ${root}/chat HTTP/1.1`,
      headers: [...asUser(user), "Content-Length: 19"],
      rest: '{"message":"Hello"}',
      status: 200
    },
    { line: "GET /nowhere HTTP/1.1", headers: [], rest: "", status: 404 },
    { line: "DELETE /health/live HTTP/1.1", headers: [], rest: "", status: 405 }
  ] as const
  const many = Array.from({ length: 6 }, () => kinds)
    .flat()
    .map((kind, i) => ({ ...kind, id: `pipe-${i}` }))
  const text = many.map(({ headers, id, line, rest }) => kept(line, [...headers, `X-Request-Id: ${id}`], rest)).join("")
  const ids = many.map(({ id }) => id)
  const statuses = many.map(({ status }) => status)
  const end = wire(live, ["X-Request-Id: last"])
  return [
    {
      name: "60 pipelined requests",
      pieces: [text + end],
      ending: "wait",
      expects: [...statuses, 200],
      ids: [...ids, "last"]
    },
    {
      name: "60 pipelined requests and a half-closed connection",
      pieces: [text],
      ending: "end",
      expects: statuses,
      ids
    },
    {
      name: "60 pipelined requests, cut anywhere",
      pieces: Array.from({ length: Math.ceil(text.length / 97) }, (_, i) => text.slice(i * 97, (i + 1) * 97)),
      ending: "end",
      expects: statuses,
      ids
    },
    { name: "60 pipelined requests to nobody", pieces: [text], ending: "reset", expects: "refused" },
    answered(
      "garbage behind requests",
      [200, 401, 400],
      kept(live, []),
      kept(`GET ${root}/tasks HTTP/1.1`, []),
      `garbage${crlf}${crlf}`
    )
  ]
}

/** Connections of which one half ends too early, or the whole. */
const halves = (user: User): ReadonlyArray<SocketCase> => {
  const whole = kept(create(user), [...asUser(user), `Content-Length: ${body.length}`], body)
  const cuts = [
    0,
    1,
    3,
    20,
    whole.indexOf("Host"),
    whole.indexOf(crlf + crlf) + 2,
    whole.length - body.length,
    whole.length - 1
  ]
  return [
    ...cuts.flatMap(
      (at): ReadonlyArray<SocketCase> => [
        { name: `half closed after ${at} bytes`, pieces: [whole.slice(0, at)], ending: "end", expects: "refused" },
        { name: `torn down after ${at} bytes`, pieces: [whole.slice(0, at)], ending: "reset", expects: "refused" }
      ]
    ),
    { name: "half closed behind a whole request", pieces: [whole], ending: "end", expects: [201] },
    {
      name: "half closed in a chunk",
      pieces: [kept(create(user), [...asUser(user), "Transfer-Encoding: chunked"], `10${crlf}{"ti`)],
      ending: "end",
      expects: "refused"
    },
    { name: "torn down behind a whole request", pieces: [whole], ending: "reset", expects: "refused" },
    {
      name: "a request byte by byte",
      pieces: [...whole.replace("Host", "Connection: close\r\nHost")],
      ending: "wait",
      expects: [201]
    }
  ]
}

/** What arrives too slowly, or never, for a service that does not wait long. */
export const slowCases = (service: FuzzService): ReadonlyArray<SocketCase> => {
  const user = service.users[0] ?? { id: "", token: "" }
  const headers = [...asUser(user), "Transfer-Encoding: chunked"]
  return [
    refused("a request line that does not end", "GET /health"),
    refused("headers that do not end", `${live}${crlf}Host: x${crlf}X: `),
    refused("a body that does not come", kept(create(user), [...asUser(user), "Content-Length: 16"])),
    refused("half a body", kept(create(user), [...asUser(user), "Content-Length: 16"], '{"ti')),
    refused("half a chunk", kept(create(user), headers, `10${crlf}{"ti`)),
    refused("chunks without an end", kept(create(user), headers, `10${crlf}${body}${crlf}`)),
    refused("nothing at all")
  ]
}

/** Everything that is sent to a service which waits as long as the product does. */
export const socketCases = (service: FuzzService, seed: number): ReadonlyArray<SocketCase> => {
  const user = service.users[0] ?? { id: "", token: "" }
  return [
    ...garbage(seed),
    ...requestLines,
    ...headerCases,
    ...lengths(user),
    ...chunks(user),
    ...pipelines(user),
    ...halves(user)
  ]
}

/* What comes back. */

interface Exchange {
  readonly answers: ReadonlyArray<Answer>
  /** What came behind the last whole answer. */
  readonly rest: string
}

const noBody = (status: number) => status < 200 || status === 204 || status === 304

/** The answers on a connection, one behind the other; none here is in chunks. */
const answersIn = (bytes: Buffer): Exchange => {
  const answers: Array<Answer> = []
  let at = 0
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n\r\n", at)
    const [line = "", ...lines] = end < 0 ? [] : bytes.subarray(at, end).toString("latin1").split(crlf)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1])
    if (end < 0 || Number.isNaN(status)) break
    const headers = new Map(
      lines.map((each) => {
        const colon = each.indexOf(": ")
        return [each.slice(0, colon).toLowerCase(), each.slice(colon + 2)] as const
      })
    )
    const length = noBody(status) ? 0 : Number(headers.get("content-length"))
    const next = end + 4 + length
    if (Number.isNaN(next) || next > bytes.length) break
    answers.push({ status, headers, body: bytes.subarray(end + 4, next) })
    at = next
  }
  return { answers, rest: bytes.subarray(at).toString("latin1") }
}

/** Sends a case, and gives all that came back until the service hung up; it fails if that never happens. */
const exchange = (port: number, { ending, pieces }: SocketCase): Effect.Effect<Exchange, string> =>
  Effect.callback<Exchange>((resume) => {
    const received: Array<Buffer> = []
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
    const write = (index: number): void => {
      const piece = pieces[index]
      if (piece !== undefined) socket.write(piece, () => write(index + 1))
      else if (ending === "end") socket.end()
      else if (ending === "reset") socket.resetAndDestroy()
    }
    socket.once("connect", () => write(0))
    socket.on("data", (data) => received.push(data))
    // The service has said all: there is nobody to send the rest to.
    socket.once("end", () => socket.end())
    // A connection that is torn down while the client writes is one way to be refused.
    socket.on("error", () => undefined)
    socket.once("close", () => resume(Effect.succeed(answersIn(Buffer.concat(received)))))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeoutOrElse({ duration: "25 seconds", orElse: () => Effect.fail("the connection stays open") }))

const countFaults = (expects: Expected, statuses: ReadonlyArray<number>): ReadonlyArray<string> => {
  const got = statuses.join(", ") || "nothing"
  if (expects === "one") return statuses.length === 1 ? [] : [`one answer is due, and there came ${got}`]
  if (expects === "refused") {
    const fits = statuses.length <= 1 && statuses.every((status) => status >= 400 && status < 500)
    return fits ? [] : [`a refusal is due, and there came ${got}`]
  }
  return statuses.join() === expects.join() ? [] : [`${expects.join(", ")} are due, and there came ${got}`]
}

/**
 * RFC 9112, section 9.6: who hangs up says so in the last answer, or the client may send another request in vain. Not so
 * when the client itself sent what cannot be read.
 */
const saysClose = ({ ending, expects }: SocketCase, last: Answer | undefined): boolean =>
  ending !== "wait" ||
  expects === "refused" ||
  last === undefined ||
  last.headers.get("connection")?.toLowerCase() === "close"

const faultsOf = (one: SocketCase, { answers, rest }: Exchange): ReadonlyArray<string> => {
  const { ids } = one
  const sent = answers.map(({ headers }) => headers.get("x-request-id"))
  return [
    ...countFaults(
      one.expects,
      answers.map(({ status }) => status)
    ),
    ...(rest === "" || one.ending === "reset" ? [] : [`half an answer: ${JSON.stringify(rest.slice(0, 200))}`]),
    ...(saysClose(one, answers.at(-1)) ? [] : ["the service hung up and had not said that it would"]),
    ...(ids === undefined || ids.join() === sent.join() ? [] : [`the answers are in another order: ${sent.join()}`]),
    ...answers.flatMap(judgeRefusal)
  ]
}

/** Whether the service still answers a request as if nothing had happened. */
const stillThere = (port: number): Effect.Effect<ReadonlyArray<string>, string> =>
  Effect.map(exchange(port, answered("", [200], wire(live, []))), ({ answers }) =>
    answers[0]?.status === 200 && answers.length === 1 ? [] : ["the service does not answer any more"]
  )

/** What did not hold, with what was sent. */
const tell = (one: SocketCase, fault: string): string => {
  const bytes = Buffer.concat(one.pieces.map((piece) => Buffer.from(piece)))
  return `raw socket, ${one.name}: ${fault}\n  sent ${JSON.stringify(bytes.subarray(0, 1500).toString("latin1"))} (${bytes.length} bytes), then ${one.ending}`
}

/** Sends each case on a connection of its own, and a plain request behind each. Gives what did not hold. */
export const fuzzSockets = (
  service: FuzzService,
  cases: ReadonlyArray<SocketCase>,
  concurrency: number
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(
      cases,
      (one) =>
        Effect.zipWith(
          Effect.map(exchange(service.port, one), (got) => faultsOf(one, got)),
          stillThere(service.port),
          (faults, after) => [...faults, ...after]
        ).pipe(
          Effect.catch((reason) => Effect.succeed([reason])),
          Effect.map((faults) => faults.map((fault) => tell(one, fault)))
        ),
      { concurrency }
    ),
    (lists) => [...lists.flat(), ...(service.errors() > 0 ? [`the service has logged ${service.errors()} errors`] : [])]
  )

/** Holds many connections open that say nothing, or half of something, and looks whether others are served meanwhile. */
export const crowd = (service: FuzzService, count: number): Effect.Effect<ReadonlyArray<string>, string> =>
  Effect.scoped(
    Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: count }, (_, i) => i),
        (i) =>
          Effect.acquireRelease(
            Effect.callback<ReturnType<typeof connect>>((resume) => {
              const socket = connect(service.port, "127.0.0.1", () => {
                socket.write(i % 2 === 0 ? "" : `${live}${crlf}Host:`, () => resume(Effect.succeed(socket)))
              })
              socket.on("error", () => undefined)
            }),
            (socket) => Effect.sync(() => socket.destroy())
          ),
        { concurrency: 50, discard: true }
      )
      return yield* stillThere(service.port)
    })
  )
