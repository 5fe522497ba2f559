import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpApi } from "effect/http-api"
import { Api } from "../../../src/adapters/http/Api.ts"
import { AuthUnavailable, StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import { conversation, invalidJson, problemJson, serveFakes, turnId } from "../../support/http.ts"

interface Endpoint {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly hasBody: boolean
}

const endpoints: Array<Endpoint> = []
HttpApi.reflect(Api, {
  onGroup: () => undefined,
  onEndpoint: ({ endpoint }) => {
    endpoints.push({
      name: `${endpoint.method} ${endpoint.path}`,
      method: endpoint.method,
      path: endpoint.path,
      hasBody: endpoint.payload.size > 0
    })
  }
})

const owned = endpoints.filter(({ path }) => path.includes(":user_id"))

/** A path of this user, in which nothing is malformed unless it is asked for. */
const pathOf = (endpoint: Endpoint, userId: string, conversationId: string = conversation.id, taskId = "7") =>
  endpoint.path
    .replace(":user_id", userId)
    .replace(":conversation_id", conversationId)
    .replace(":task_id", taskId)
    .replace(":chat_id", "chat")
    .replace(":turn_id", turnId)

/** A body that fits every endpoint that takes one. */
const anyBody =
  '{"message":"Hello","title":"Milk","id":"chat","messages":[{"role":"user","parts":[{"type":"text","text":"Hello"}]}]}'
const bodyOf = (endpoint: Endpoint) => (endpoint.hasBody ? { body: anyBody } : {})

const isChat = ({ path }: Endpoint) => path.endsWith("/chat/ui")
/** How often what is behind the adapter is asked: a turn is begun, and then followed. */
const callsOf = (endpoint: Endpoint) => (isChat(endpoint) ? 2 : 1)

it("the endpoints are those that are promised, and all but the health checks and one are below a user", () => {
  assert.deepStrictEqual(endpoints.map(({ name }) => name).sort(), [
    "DELETE /api/v1/users/:user_id/conversations/:conversation_id",
    "DELETE /api/v1/users/:user_id/data",
    "DELETE /api/v1/users/:user_id/tasks/:task_id",
    "GET /api/v1/me",
    "GET /api/v1/users/:user_id/chat/ui/:chat_id/messages",
    "GET /api/v1/users/:user_id/chat/ui/:chat_id/stream",
    "GET /api/v1/users/:user_id/conversations",
    "GET /api/v1/users/:user_id/conversations/:conversation_id",
    "GET /api/v1/users/:user_id/conversations/:conversation_id/messages",
    "GET /api/v1/users/:user_id/tasks",
    "GET /api/v1/users/:user_id/tasks/:task_id",
    "GET /api/v1/users/:user_id/turns/:turn_id",
    "GET /api/v1/users/:user_id/turns/:turn_id/events",
    "GET /health/live",
    "GET /health/ready",
    "PATCH /api/v1/users/:user_id/conversations/:conversation_id",
    "PATCH /api/v1/users/:user_id/tasks/:task_id",
    "POST /api/:user_id/chat",
    "POST /api/v1/users/:user_id/chat",
    "POST /api/v1/users/:user_id/chat/ui",
    "POST /api/v1/users/:user_id/tasks",
    "POST /api/v1/users/:user_id/turns/:turn_id/stop"
  ])
  assert.deepStrictEqual(
    endpoints.filter((endpoint) => !owned.includes(endpoint)).map(({ path }) => path),
    ["/api/v1/me", "/health/live", "/health/ready"]
  )
})

const forbidden = problemJson(
  403,
  "forbidden",
  "This belongs to another user",
  "The path's user is not the token's user."
)

describe.each(owned)("$name", (endpoint) => {
  const broken = endpoint.hasBody ? { body: "{", headers: { "content-type": "text/plain" } } : {}

  it.live("works for its user", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch(endpoint.method, pathOf(endpoint, "ada_1-A"), bodyOf(endpoint))
      assert.include([200, 201, 204], response.status)
      assert.strictEqual(server.calls.length, callsOf(endpoint))
    })
  )

  it.live("looks at nothing without a token", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const expected = problemJson(401, "unauthorized", "A valid token is needed", "No bearer token was sent.")
      for (const [authorization, id] of [
        ...["", "Bearer", "Bearer ", "Basic YWRhLXRva2Vu", "ada-token", "Bearerada-token"].map(
          (authorization) => [authorization, "x"] as const
        ),
        ["", "%zz"],
        ["", "0".repeat(600)]
      ] as const) {
        const response = yield* server.fetch(endpoint.method, pathOf(endpoint, `*${id}`, id, id), {
          ...broken,
          headers: { ...broken.headers, authorization }
        })
        assert.strictEqual(response.status, 401)
        assert.strictEqual(response.headers["www-authenticate"], "Bearer")
        assert.deepStrictEqual(response.json(), expected)
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("looks at nothing with a token that is not valid", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch(endpoint.method, pathOf(endpoint, "ada_1-A", "x", "x"), {
        ...broken,
        headers: { ...broken.headers, authorization: "Bearer eve-token" }
      })
      assert.strictEqual(response.status, 401)
      assert.strictEqual(response.headers["www-authenticate"], 'Bearer error="invalid_token"')
      assert.deepStrictEqual(
        response.json(),
        problemJson(
          401,
          "unauthorized",
          "A valid token is needed",
          "The token is unknown, expired, revoked or malformed."
        )
      )
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("is 503 while nobody can tell whose token it is", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({
        auth: { authenticate: () => Effect.fail(new AuthUnavailable({ operation: "jwks" })) }
      })
      const response = yield* server.fetch(endpoint.method, pathOf(endpoint, "ada_1-A"), bodyOf(endpoint))
      assert.strictEqual(response.status, 503)
      assert.strictEqual(response.headers["retry-after"], "5")
      assert.deepStrictEqual(
        response.json(),
        problemJson(
          503,
          "unavailable",
          "Not available at the moment",
          "Nobody can tell at the moment whose token this is."
        )
      )
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("is forbidden to others, whatever else is wrong", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const headers = { ...broken.headers, authorization: "Bearer bob-token" }
      for (const path of [
        pathOf(endpoint, "ada_1-A"),
        pathOf(endpoint, "ada_1-A", "x", "x"),
        pathOf(endpoint, "ada_1-A", "%zz", "%zz"),
        pathOf(endpoint, "ada_1-A", "0".repeat(600), "0".repeat(600)),
        pathOf(endpoint, "BOB")
      ]) {
        const response = yield* server.fetch(endpoint.method, path, { ...broken, headers })
        assert.strictEqual(response.status, 403)
        assert.deepStrictEqual(response.json(), forbidden)
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("refuses what is no user id", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const userId of [
        "*",
        "a.b",
        "%20ada_1-A",
        "ada_1-A%00",
        "%C3%A9",
        "a".repeat(129),
        "a".repeat(600),
        "ada_1-A%2F",
        "ada_1-A;x",
        "ada_1-A%zz",
        "%ff",
        "%"
      ]) {
        const response = yield* server.fetch(endpoint.method, pathOf(endpoint, userId), bodyOf(endpoint))
        assert.strictEqual(response.status, 400, userId)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({ path: "user_id", message: "Expected 1 to 128 characters of A-Z a-z 0-9 _ -" })
        )
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("is under its own spelling only", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const path = pathOf(endpoint, "ada_1-A")
      for (const other of [
        path.replace("/api", "/API"),
        `${path}/`,
        path.replace("/api/", "/api//"),
        `/${path}`,
        path.replace("/api/", "/api;x/"),
        path.replace("/api/", "/api%zz/")
      ]) {
        const response = yield* server.fetch(endpoint.method, other, bodyOf(endpoint))
        assert.strictEqual(response.status, 404, other)
        assert.deepStrictEqual(
          response.json(),
          problemJson(404, "not_found", "There is no such thing", "There is nothing at this path.")
        )
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("is 503 while the store is out of reach", () =>
    Effect.gen(function* () {
      const down = () => Effect.fail(new StorageUnavailable({ operation: "any" }))
      const server = yield* serveFakes({
        chat: { send: down, open: down },
        feed: { follow: down, stop: down },
        repo: { list: down, get: down, rename: down, remove: down, messages: down, turn: down, eraseUser: down },
        tasks: { add: down, list: down, get: down, update: down, remove: down }
      })
      const response = yield* server.fetch(endpoint.method, pathOf(endpoint, "ada_1-A"), bodyOf(endpoint))
      assert.strictEqual(response.status, 503)
      assert.strictEqual(response.headers["retry-after"], "5")
      assert.deepStrictEqual(
        response.json(),
        problemJson(
          503,
          "unavailable",
          "Not available at the moment",
          "The database is out of reach. What was asked may or may not have happened."
        )
      )
    })
  )
})

describe.each(owned.filter(({ hasBody }) => hasBody))("the body of $name", (endpoint) => {
  const path = pathOf(endpoint, "ada_1-A")

  const [kibibytes, words] = isChat(endpoint) ? [1024, "1 MiB"] : [64, "64 KiB"]

  it.live(`is at most ${words}, announced or not`, () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const fitting = `{"more":"${"x".repeat(kibibytes * 1024 - 10 - anyBody.length)}",${anyBody.slice(1)}`
      assert.strictEqual(fitting.length, kibibytes * 1024)
      const expected = problemJson(
        413,
        "payload_too_large",
        "The body is too large",
        `The body is larger than ${words}.`
      )
      const streamed = (text: string) => new Blob([text]).stream()
      for (const body of [fitting, streamed(fitting)]) {
        const response = yield* server.fetch(endpoint.method, path, { body })
        assert.include([200, 201], response.status)
      }
      assert.strictEqual(server.calls.length, 2 * callsOf(endpoint))
      for (const body of [
        `${fitting} `,
        streamed(`${fitting} `),
        "x".repeat((kibibytes + 6) * 1024),
        streamed("x".repeat((kibibytes + 6) * 1024))
      ]) {
        const response = yield* server.fetch(endpoint.method, path, { body })
        assert.strictEqual(response.status, 413)
        assert.strictEqual(response.headers["content-type"], "application/problem+json")
        assert.deepStrictEqual(response.json(), expected)
      }
      assert.strictEqual(server.calls.length, 2 * callsOf(endpoint))
    })
  )

  it.live("is declared as JSON", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const { body } = { body: anyBody }
      for (const type of [
        "application/json",
        "Application/JSON; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; charset = utf-8"
      ]) {
        const response = yield* server.fetch(endpoint.method, path, { body, headers: { "content-type": type } })
        assert.include([200, 201], response.status, type)
      }
      const count = server.calls.length
      for (const type of [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        "application/jsonp",
        "text/plain, application/json"
      ]) {
        const response = yield* server.fetch(endpoint.method, path, { body, headers: { "content-type": type } })
        assert.strictEqual(response.status, 415, type)
        assert.deepStrictEqual(
          response.json(),
          problemJson(
            415,
            "unsupported_media_type",
            "The body is of another type",
            "The body must be `application/json` in UTF-8, and be declared as that."
          )
        )
      }
      const streamed = new Blob([body]).stream()
      const unannounced = yield* server.fetch(endpoint.method, path, {
        body: streamed,
        headers: { "content-type": "text/plain" }
      })
      assert.strictEqual(unannounced.status, 415)
      assert.strictEqual(unannounced.headers["content-type"], "application/problem+json")
      const gzipped = yield* server.fetch(endpoint.method, path, { body, headers: { "content-encoding": "gzip" } })
      assert.strictEqual(gzipped.status, 415)
      assert.deepStrictEqual(
        gzipped.json(),
        problemJson(415, "unsupported_media_type", "The body is of another type", "The body must not be compressed.")
      )
      assert.strictEqual(server.calls.length, count)
    })
  )

  it.live("is a JSON object in UTF-8", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const cases = [
        ["", "Expected object"],
        ["null", "Expected object"],
        ["[]", "Expected object"],
        ['"Hello"', "Expected object"],
        ["7", "Expected object"],
        ["{", "Expected a valid JSON body"],
        ["{'message':'Hello'}", "Expected a valid JSON body"],
        ['{"message":"Hello","title":"Milk"} x', "Expected a valid JSON body"],
        [Buffer.from('{"message":"H\xe9llo","title":"M\xe9lk"}', "latin1"), "Expected valid UTF-8"],
        // A surrogate, encoded as if it were a character.
        [Buffer.from('{"message":"\xed\xa0\x80","title":"\xed\xa0\x80"}', "latin1"), "Expected valid UTF-8"],
        ["[".repeat(60_000), "Expected a valid JSON body"]
      ] as const
      for (const [body, message] of cases) {
        const response = yield* server.fetch(endpoint.method, path, { body })
        assert.strictEqual(response.status, 400, String(body).slice(0, 40))
        assert.deepStrictEqual(response.json(), invalidJson({ path: "body", message }))
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("may be missing no more than it may be empty", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch(endpoint.method, path)
      assert.strictEqual(response.status, 400)
      assert.deepStrictEqual(response.json(), invalidJson({ path: "body", message: "Expected object" }))
    })
  )
})
