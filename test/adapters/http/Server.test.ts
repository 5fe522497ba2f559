import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi } from "effect/http-api"
import { Api } from "../../../src/adapters/http/Api.ts"
import { routes } from "../../../src/adapters/http/Server.ts"
import { ShuttingDown, StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import {
  conversation,
  invalidJson,
  makeFakes,
  problemJson,
  replyBody,
  requestId,
  serveFakes
} from "../../support/http.ts"

const user = "/api/v1/users/ada_1-A"
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const statusLine = /HTTP\/1\.1 (\d{3}) /g

/** A request as it is on the wire, after which the connection is closed. */
const wire = (line: string, headers: ReadonlyArray<string>, body = "") =>
  [`${line}`, "Host: localhost", "Connection: close", ...headers, "", body].join("\r\n")

const asAda = ["Authorization: Bearer ada-token", "Content-Type: application/json"]

const decodeProblem = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ request_id: Schema.String, status: Schema.Int, title: Schema.String }))
)
const decodeJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Unknown))

/** The parts of an answer from the wire. */
const parse = (answer: string) => {
  const [head = "", ...rest] = answer.split("\r\n\r\n")
  const [status, ...lines] = head.split("\r\n")
  const headers = Object.fromEntries(
    lines.map((line) => {
      const [name = "", ...value] = line.split(": ")
      return [name.toLowerCase(), value.join(": ")]
    })
  )
  return { status, headers, text: rest.join("\r\n\r\n") }
}

describe("every answer", () => {
  it.live("has the request's id, or one of its own", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const path of [`${user}/tasks`, `${user}/tasks/8`, "/nowhere", "/docs", "/openapi.json", "/health/live"]) {
        for (const id of ["a", "A-9".repeat(20), "a".repeat(64)]) {
          const { headers } = yield* server.fetch("GET", path, { headers: { "x-request-id": id } })
          assert.strictEqual(headers["x-request-id"], id)
        }
        for (const id of ["", "a".repeat(65), "a b", "a_b", "<script>", "a, b"]) {
          const { headers } = yield* server.fetch("GET", path, { headers: { "x-request-id": id } })
          assert.match(headers["x-request-id"] ?? "", uuid)
        }
      }
      const one = yield* server.fetch("GET", "/nowhere", { headers: { "x-request-id": "" } })
      assert.strictEqual(decodeProblem(one.text).request_id, one.headers["x-request-id"])
    })
  )

  it.live("is neither guessed at nor kept", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const path of [`${user}/tasks`, `${user}/tasks/8`, "/nowhere", "/health/live"]) {
        const { headers } = yield* server.fetch("GET", path)
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(headers["cache-control"], "no-store")
      }
    })
  )
})

it.live("the scheme's name is in any case", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    for (const authorization of ["bearer ada-token", "BEARER ada-token", "Bearer   ada-token"]) {
      const { status } = yield* server.fetch("GET", `${user}/tasks`, { headers: { authorization } })
      assert.strictEqual(status, 200, authorization)
    }
  })
)

describe("paths and methods", () => {
  const nothing = problemJson(404, "not_found", "There is no such thing", "There is nothing at this path.")

  it.live("of no endpoint are not found", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const path of [
        "/assets",
        "/assets/",
        "/api",
        "/api/v1/users/ada_1-A",
        `${user}/chats`,
        `${user}/tasks;x`,
        `${user}/tasks%zz`,
        "/health/live;x?a=b",
        "/docs/",
        "/%"
      ]) {
        for (const method of ["GET", "POST", "OPTIONS", "PROPFIND"]) {
          const response = yield* server.fetch(method, path)
          assert.strictEqual(response.status, 404, path)
          assert.deepStrictEqual(response.json(), nothing)
          assert.strictEqual(response.headers["content-type"], "application/problem+json")
        }
      }
    })
  )

  const methods = new Map<string, Array<string>>([
    ["/docs", ["GET"]],
    ["/openapi.json", ["GET"]]
  ])
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint: { method, path } }) => {
      methods.set(path, [...(methods.get(path) ?? []), method])
    }
  })

  it.live.each([...methods])("%s allows what it has", ([template, known]) =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const path = template
        .replace(":user_id", "ada_1-A")
        .replace(":conversation_id", conversation.id)
        .replace(":task_id", "7")
      const allowed = known.includes("GET") ? ["HEAD", ...known] : known
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        const response = yield* server.fetch(method, path)
        if (known.includes(method)) {
          assert.notStrictEqual(response.status, 405)
          continue
        }
        assert.strictEqual(response.status, 405, method)
        const allow = response.headers["allow"] ?? ""
        assert.deepStrictEqual(allow.split(", ").sort(), [...allowed].sort())
        assert.deepStrictEqual(
          response.json(),
          problemJson(405, "method_not_allowed", "The method is not allowed here", `Only ${allow} can be used here.`)
        )
      }
    })
  )

  it.live("HEAD is GET without a body, for those who may", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const got = yield* server.fetch("GET", `${user}/tasks`)
      const head = yield* server.fetch("HEAD", `${user}/tasks`)
      assert.strictEqual(head.status, 200)
      assert.strictEqual(head.text, "")
      assert.strictEqual(head.headers["content-length"], got.headers["content-length"])
      const refused = yield* server.fetch("HEAD", `${user}/tasks`, { headers: { authorization: "" } })
      assert.strictEqual(refused.status, 401)
      assert.strictEqual(server.calls.length, 2)
    })
  )
})

describe("health", () => {
  it.live("live never asks the store", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({ ready: Effect.fail(new ShuttingDown()) })
      const response = yield* server.fetch("GET", "/health/live", { headers: { authorization: "" } })
      assert.deepStrictEqual([response.status, response.json()], [200, { status: "ok" }])
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("ready asks the store", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch("GET", "/health/ready", { headers: { authorization: "" } })
      assert.deepStrictEqual([response.status, response.json()], [200, { status: "ok" }])
      assert.deepStrictEqual(server.calls, [["check"]])
    })
  )

  it.live("ready is 503 when the store is out of reach, or the instance shuts down", () =>
    Effect.gen(function* () {
      const check = Effect.fail(new StorageUnavailable({ operation: "check" }))
      for (const [overrides, detail, retryAfter] of [
        [{ repo: { check } }, "The database is out of reach. What was asked may or may not have happened.", "5"],
        [
          { ready: Effect.fail(new ShuttingDown()) },
          "This instance is shutting down; another one goes on with what it had begun.",
          "1"
        ]
      ] as const) {
        const server = yield* serveFakes(overrides)
        const response = yield* server.fetch("GET", "/health/ready")
        assert.strictEqual(response.status, 503)
        assert.strictEqual(response.headers["retry-after"], retryAfter)
        assert.deepStrictEqual(response.json(), problemJson(503, "unavailable", "Not available at the moment", detail))
        assert.deepStrictEqual(server.calls, [])
      }
    })
  )
})

describe("what Node refuses", () => {
  /** A whole refusal from the wire; the id is its own. */
  const assertRefusal = (answer: string, status: number, title: string, detail: string, code = "invalid_request") => {
    const refusal = parse(answer)
    assert.strictEqual(refusal.status, `HTTP/1.1 ${status} ${title}`)
    const id = refusal.headers["x-request-id"] ?? ""
    assert.match(id, uuid)
    assert.strictEqual(refusal.headers["content-type"], "application/problem+json")
    assert.strictEqual(refusal.headers["connection"], "close")
    assert.strictEqual(refusal.headers["cache-control"], "no-store")
    assert.strictEqual(refusal.headers["x-content-type-options"], "nosniff")
    assert.deepStrictEqual(decodeJson(refusal.text), {
      type: "about:blank",
      title,
      status,
      detail,
      request_id: id,
      error: { message: detail, code }
    })
  }

  const unreadable = "The request cannot be read as HTTP/1.1."

  it.live("400: what is not HTTP", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const bytes of [
        "Hello\r\n\r\n",
        "FETCH / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
        wire(`POST ${user}/chat HTTP/1.1`, [...asAda, "Content-Length: x"]),
        wire(`POST ${user}/chat HTTP/1.1`, [...asAda, "Content-Length: 2", "Transfer-Encoding: chunked"], "{}"),
        wire(`POST ${user}/chat HTTP/1.1`, [...asAda, "Transfer-Encoding: chunked"], "x\r\n")
      ]) {
        assertRefusal(yield* server.raw(bytes), 400, "Bad Request", unreadable)
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("400: HTTP/1.1 without a host", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const lines = `Connection: close\r\nX-Request-Id: ${requestId}\r\n\r\n`
      const { status, text } = parse(yield* server.raw(`GET /health/live HTTP/1.1\r\n${lines}`))
      assert.strictEqual(status, "HTTP/1.1 400 Bad Request")
      assert.deepStrictEqual(decodeJson(text), invalidJson({ path: "host", message: "Missing key" }))
      const old = parse(yield* server.raw("GET /health/live HTTP/1.0\r\n\r\n"))
      assert.strictEqual(old.status, "HTTP/1.1 200 OK")
    })
  )

  it.live("400: another version", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const version of ["HTTP/2.0", "HTTP/0.9"]) {
        const lines = `Host: x\r\nConnection: close\r\nX-Request-Id: ${requestId}\r\n\r\n`
        const { status, text } = parse(yield* server.raw(`GET /health/live ${version}\r\n${lines}`))
        assert.strictEqual(status, "HTTP/1.1 400 Bad Request", version)
        assert.deepStrictEqual(decodeJson(text), invalidJson({ path: "version", message: "Expected HTTP/1.1" }))
      }
    })
  )

  it.live("415: no body, but of another type", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const type of ["text/plain", "image/svg+xml", "nonsense", ""]) {
        const { headers, status } = yield* server.fetch("POST", `${user}/tasks`, { headers: { "content-type": type } })
        assert.strictEqual(status, 415, type)
        assert.strictEqual(headers["content-type"], "application/problem+json")
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("400: more than one host", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const version of ["1.0", "1.1"]) {
        for (const hosts of ["Host: x\r\nhOST: y", "Host: x\r\nHost: x"]) {
          const lines = `${hosts}\r\nConnection: close\r\nX-Request-Id: ${requestId}\r\n\r\n`
          const { status, text } = parse(yield* server.raw(`GET /health/ready HTTP/${version}\r\n${lines}`))
          assert.strictEqual(status, "HTTP/1.1 400 Bad Request")
          assert.deepStrictEqual(decodeJson(text), invalidJson({ path: "host", message: "Expected to be given once" }))
        }
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("405: CONNECT", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const detail = "This is no proxy: it knows no CONNECT."
      for (const target of ["example.org:443", "/health/live"]) {
        const answer = yield* server.raw(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\nmore`)
        assertRefusal(answer, 405, "Method Not Allowed", detail, "method_not_allowed")
        assert.strictEqual(parse(answer).headers["allow"], "")
      }
    })
  )

  it.live("431: too large header fields", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const answer = yield* server.raw(wire("GET /health/live HTTP/1.1", [`X: ${"x".repeat(17_000)}`]))
      assertRefusal(answer, 431, "Request Header Fields Too Large", "The header fields are larger than 16 KiB.")
    })
  )

  it.live("413: too large chunk extensions", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const { status, text } = parse(
        yield* server.raw(
          wire(
            `POST ${user}/chat HTTP/1.1`,
            [...asAda, "Transfer-Encoding: chunked"],
            `2;${"x".repeat(17_000)}\r\n{}\r\n`
          )
        )
      )
      assert.strictEqual(status, "HTTP/1.1 413 Content Too Large")
      assert.include(text, '"code":"payload_too_large"')
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("417: an expectation that nobody meets", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const answer = yield* server.raw(
        wire(`POST ${user}/chat HTTP/1.1`, [...asAda, "Content-Length: 2", "Expect: 200-ok"], "{}")
      )
      assertRefusal(answer, 417, "Expectation Failed", "Nothing but 100-continue can be expected.")
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("408: headers or a body that do not arrive", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({}, { requestTimeout: "100 millis" })
      for (const bytes of [
        "GET /health/live HTTP/1.1\r\nHost: x\r\n",
        wire(`POST ${user}/chat HTTP/1.1`, [...asAda, "Content-Length: 19"], '{"message"')
      ]) {
        assertRefusal(yield* server.raw(bytes), 408, "Request Timeout", "The request did not arrive in time.")
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  /** A request on a connection that stays open. */
  const kept = (line: string, headers: ReadonlyArray<string> = [], body = "") =>
    [line, "Host: x", ...headers, "", body].join("\r\n")
  const send = `POST ${user}/chat HTTP/1.1`
  const whole = kept(send, [...asAda, "Content-Length: 19"], '{"message":"Hello"}')
  const asked = kept(send, [...asAda, "Content-Length: 19", "Expect: 100-continue"], '{"message":"Hello"}')
  const cut = kept(send, [...asAda, "Transfer-Encoding: chunked"], "x\r\n")

  it.live.each([
    ["what is no HTTP", `${whole}garbage\r\n\r\n`, ["200", "400"]],
    ["what is no HTTP, with a body that was asked for", `${asked}garbage\r\n\r\n`, ["100", "200", "400"]],
    ["another whole request", `${whole}${whole}garbage\r\n\r\n`, ["200", "200", "400"]],
    ["a request whose body is no HTTP", `${whole}${cut}`, ["200", "400"]],
    ["an expectation that nobody meets", `${whole}${kept(send, ["Expect: 200-ok"])}`, ["200", "417"]],
    ["CONNECT", `${whole}${kept("CONNECT x:443 HTTP/1.1")}`, ["200", "405"]],
    ["the end that it has asked for", wire(send, [...asAda, "Content-Length: 19"], '{"message":"Hello"}x'), ["200"]]
  ] as const)("behind the answers to the whole requests before it: %s", ([, bytes, statuses]) =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const server = yield* serveFakes({
        chat: {
          send: () =>
            Deferred.succeed(begun, undefined).pipe(
              Effect.andThen(Deferred.await(finish)),
              Effect.as({ body: replyBody, replayed: false })
            )
        }
      })
      const answer = yield* Effect.forkChild(server.raw(bytes, "more garbage\r\n\r\n"))
      yield* Deferred.await(begun)
      yield* Effect.sleep("20 millis")
      yield* Deferred.succeed(finish, undefined)
      const text = yield* Fiber.join(answer)
      const sent = Array.from(text.matchAll(statusLine), ([, status]) => status)
      assert.deepStrictEqual(sent, [...statuses])
      assert.strictEqual(text.split(replyBody).length - 1, statuses.filter((status) => status === "200").length)
    })
  )

  it.live("but nothing behind the answer to the request that cannot be read to its end", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
      const answer = yield* server.raw(kept(send, headers), "x\r\n")
      assert.deepStrictEqual(
        Array.from(answer.matchAll(statusLine), ([, status]) => status),
        ["401"]
      )
    })
  )

  it.live("and never in the midst of an answer", () =>
    Effect.gen(function* () {
      const reply = `"${"x".repeat(20_000_000)}"`
      const server = yield* serveFakes({
        // More than a socket takes at once.
        chat: { send: () => Effect.succeed({ body: reply, replayed: false }) }
      })
      const [, ...rest] = (yield* server.raw(whole, "garbage\r\n\r\n")).split("\r\n\r\n")
      const [body = "", refusal = ""] = rest.join("\r\n\r\n").split("HTTP/1.1 400")
      assert.isTrue(body === reply)
      assertRefusal(`HTTP/1.1 400${refusal}`, 400, "Bad Request", unreadable)
    })
  )
})

describe("a body that is expected to be asked for", () => {
  const send = (headers: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const lines = [...headers, "Content-Type: application/json", "Expect: 100-continue"]
      const answer = yield* server.raw(wire(`POST ${user}/chat HTTP/1.1`, lines, '{"message":"Hello"}'))
      return { answer, calls: server.calls.length }
    })

  it.live("is asked for when it is wanted", () =>
    Effect.gen(function* () {
      const { answer, calls } = yield* send(["Authorization: Bearer ada-token", "Content-Length: 19"])
      assert.isTrue(answer.startsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
      assert.strictEqual(calls, 1)
    })
  )

  it.live("is not when it is too large, or nobody is known to send it", () =>
    Effect.gen(function* () {
      const large = yield* send(["Authorization: Bearer ada-token", "Content-Length: 65537"])
      assert.isTrue(large.answer.startsWith("HTTP/1.1 413 Payload Too Large\r\n"), large.answer)
      const unknown = yield* send(["Content-Length: 19"])
      assert.isTrue(unknown.answer.startsWith("HTTP/1.1 401 Unauthorized\r\n"))
      assert.strictEqual(large.calls + unknown.calls, 0)
    })
  )
})

it.live("in a router that is less strict, other spellings are let in no more than the right ones", () =>
  Effect.gen(function* () {
    const { calls, layer } = makeFakes()
    const { handler, dispose } = HttpRouter.toWebHandler(
      routes.pipe(Layer.provide(layer), Layer.provide(HttpServer.layerServices)),
      { disableLogger: true }
    )
    yield* Effect.addFinalizer(() => Effect.promise(dispose))
    const ask = (path: string, token: string) =>
      Effect.promise(() =>
        handler(
          new Request(`http://localhost${path}`, { headers: { authorization: token, "x-request-id": requestId } })
        )
      )
    for (const path of ["/API/V1/Users/ada_1-A/Tasks", "/api/v1/users/%61da_1-A/tasks", `${user}/tasks`]) {
      assert.strictEqual((yield* ask(path, "")).status, 401, path)
      assert.strictEqual((yield* ask(path, "Bearer bob-token")).status, 403, path)
      assert.strictEqual((yield* ask(path, "Bearer ada-token")).status, 200, path)
    }
    assert.strictEqual((yield* ask("/api/v1/users/ADA_1-A/tasks", "Bearer ada-token")).status, 403)
    assert.strictEqual(calls.length, 3)
    const missing = yield* ask("/nowhere", "")
    assert.strictEqual(missing.status, 404)
    assert.strictEqual(missing.headers.get("content-type"), "application/problem+json")
  })
)

it.live("an offered upgrade is declined, and the request answered", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const answer = yield* server.raw(
      [
        `POST ${user}/chat HTTP/1.1`,
        "Host: x",
        "Connection: Upgrade, HTTP2-Settings, close",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        ...asAda,
        "Transfer-Encoding: chunked",
        "",
        '13\r\n{"message":"Hello"}\r\n0\r\n\r\n'
      ].join("\r\n")
    )
    assert.strictEqual(parse(answer).text, replyBody)
  })
)

it.live("a client that goes away is nobody's failure", () =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
    const server = yield* serveFakes({
      chat: {
        send: () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onExit((exit) => Deferred.succeed(ended, exit))
          )
      }
    })
    const fiber = yield* Effect.forkChild(server.fetch("POST", `${user}/chat`, { body: '{"message":"Hello"}' }))
    yield* Deferred.await(begun)
    yield* Fiber.interrupt(fiber)
    assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(ended)))
    const { status } = yield* server.fetch("GET", "/health/live")
    assert.strictEqual(status, 200)
    assert.deepStrictEqual(server.logs, [])
  })
)

const makeController = () => new AbortController()

it.live("a client that went away is not told that the server did", () =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const { layer } = makeFakes({
      repo: { check: Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) }
    })
    const { handler, dispose } = HttpRouter.toWebHandler(
      routes.pipe(Layer.provide(layer), Layer.provide(HttpServer.layerServices)),
      { disableLogger: true }
    )
    yield* Effect.addFinalizer(() => Effect.promise(dispose))
    const client = makeController()
    const answer = yield* Effect.forkChild(
      Effect.promise(() => handler(new Request("http://localhost/health/ready", { signal: client.signal })))
    )
    yield* Deferred.await(begun)
    client.abort()
    // What Effect calls it, for traces; nobody receives it.
    assert.strictEqual((yield* Fiber.join(answer)).status, 499)
  })
)

describe("a server that is closed", () => {
  const closing = (gracefulShutdownTimeout: number) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const server = yield* serveFakes(
        {
          chat: {
            send: () =>
              Deferred.succeed(begun, undefined).pipe(
                Effect.andThen(Deferred.await(finish)),
                Effect.as({ body: replyBody, replayed: false })
              )
          }
        },
        { gracefulShutdownTimeout }
      ).pipe(Scope.provide(scope))
      const answer = yield* Effect.forkChild(
        server.raw(
          [
            `POST ${user}/chat HTTP/1.1`,
            "Host: x",
            `X-Request-Id: ${requestId}`,
            ...asAda,
            "Content-Length: 19",
            "",
            '{"message":"Hello"}'
          ].join("\r\n")
        )
      )
      yield* Deferred.await(begun)
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      return { answer, closed, finish, server }
    })

  it.live("finishes what it has begun, and then hangs up", () =>
    Effect.gen(function* () {
      const { answer, closed, finish } = yield* closing(60_000)
      yield* Deferred.succeed(finish, undefined)
      // The client would keep the connection, for longer than this test may take.
      assert.strictEqual(parse(yield* Fiber.join(answer)).text, replyBody)
      yield* Fiber.join(closed)
    })
  )

  it.live("says on each answer that it is the last of its connection, once it is about to close", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const server = yield* serveFakes({
        chat: {
          send: () =>
            Effect.andThen(
              Deferred.succeed(begun, undefined),
              Effect.as(Deferred.await(finish), { body: replyBody, replayed: false })
            )
        }
      })
      const request = (line: string, ...more: ReadonlyArray<string>) => [
        `${line} HTTP/1.1`,
        "Host: x",
        ...asAda,
        ...more
      ]
      const get = [...request(`GET ${user}/tasks`), "", ""].join("\r\n")
      const post = [...request(`POST ${user}/chat`, "Content-Length: 19"), "", '{"message":"Hello"}'].join("\r\n")
      // Of the two requests on this connection the second is answered after the announcement.
      const answers = yield* Effect.forkChild(server.raw(get + post))
      yield* Deferred.await(begun)
      yield* server.farewell.announce
      const gone = yield* Effect.forkChild(server.farewell.awaitGone)
      yield* Deferred.succeed(finish, undefined)
      const [, first = "", second = ""] = (yield* Fiber.join(answers)).split("HTTP/1.1 200 OK")
      assert.include(first.toLowerCase(), "connection: keep-alive")
      assert.include(second.toLowerCase(), "connection: close")
      yield* Fiber.join(gone)
      assert.include((yield* server.raw(get)).toLowerCase(), "connection: close")
    })
  )

  it.live("tells those whose request took too long to come again", () =>
    Effect.gen(function* () {
      const { answer, closed } = yield* closing(50)
      const response = parse(yield* Fiber.join(answer))
      assert.strictEqual(response.status, "HTTP/1.1 503 Service Unavailable")
      assert.strictEqual(response.headers["retry-after"], "1")
      assert.deepStrictEqual(
        decodeJson(response.text),
        problemJson(
          503,
          "unavailable",
          "Not available at the moment",
          "This instance is shutting down; another one goes on with what it had begun."
        )
      )
      yield* Fiber.join(closed)
    })
  )
})
