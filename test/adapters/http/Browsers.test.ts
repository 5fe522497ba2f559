import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { conversation, serveFakes, task } from "../../support/http.ts"

const user = "/api/v1/users/ada_1-A"
const app = "https://app.example.com"
const paths = [`${user}/tasks`, `${user}/tasks/8`, "/nowhere", "/nowhere//x", "/health/live", "/openapi.json"]

it.live("a terminal is shown no character that it would obey, and what is stored comes back as it is", () =>
  Effect.gen(function* () {
    const content = "a\u007fb\u009b31mc\u001bd\u0080"
    const text = "application/json"
    const server = yield* serveFakes({
      tasks: { get: () => Effect.succeed({ ...task, title: content }) },
      chat: { send: () => Effect.succeed({ body: JSON.stringify({ content }), replayed: true }) },
      repo: { get: () => Effect.succeed({ ...conversation, title: content }) }
    })
    for (const [method, path, body] of [
      ["GET", `${user}/tasks/7`],
      ["GET", `${user}/conversations/${conversation.id}`],
      ["POST", `${user}/chat`, '{"message":"Hello"}']
    ] as const) {
      const response = yield* server.fetch(method, path, { ...(body !== undefined && { body }) })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], text)
      assert.strictEqual(response.headers["content-length"], String(Buffer.byteLength(response.text)))
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
      assert.notMatch(response.text, /[\u0000-\u001f\u007f-\u009f]/)
      assert.include(JSON.stringify(response.json()), JSON.stringify(content))
    }
  })
)

describe("a browser", () => {
  it.live("is told to do nothing with an answer", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const path of paths) {
        const { headers } = yield* server.fetch("GET", path)
        assert.match(headers["content-security-policy"] ?? "", /^default-src 'none'.*frame-ancestors 'none'/)
        assert.strictEqual(headers["cross-origin-resource-policy"], "same-origin")
        assert.strictEqual(headers["referrer-policy"], "no-referrer")
        assert.strictEqual(headers["x-frame-options"], "DENY")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
      }
    })
  )

  it.live("may let no other origin's page read anything, unless that is configured", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const path of paths) {
        const { headers } = yield* server.fetch("GET", path, { headers: { origin: app } })
        assert.notProperty(headers, "access-control-allow-origin")
      }
      const preflight = { origin: app, "access-control-request-method": "GET" }
      assert.strictEqual((yield* server.fetch("OPTIONS", `${user}/tasks`, { headers: preflight })).status, 405)
    })
  )

  it.live("may let the pages of a configured origin call, and those of no other", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes({}, { corsOrigins: [app] })
      for (const path of paths) {
        for (const authorization of ["Bearer ada-token", "Bearer wrong"]) {
          const own = yield* server.fetch("GET", path, { headers: { origin: app, authorization } })
          assert.strictEqual(own.headers["access-control-allow-origin"], app, path)
          assert.include(own.headers["access-control-expose-headers"] ?? "", "x-request-id")
          assert.notProperty(own.headers, "access-control-allow-credentials")
          assert.include((own.headers["vary"] ?? "").toLowerCase(), "origin")
          for (const origin of ["https://evil.example", "null", "https://app.example.com.evil.example", `${app}:444`]) {
            const other = yield* server.fetch("GET", path, { headers: { origin, authorization } })
            assert.notProperty(other.headers, "access-control-allow-origin", origin)
            assert.strictEqual(other.status, own.status)
          }
        }
      }
      const ask = (origin: string) =>
        server.fetch("OPTIONS", `${user}/chat`, {
          headers: {
            origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,idempotency-key"
          }
        })
      const allowed = yield* ask(app)
      assert.strictEqual(allowed.status, 204)
      assert.property(allowed.headers, "x-request-id")
      assert.strictEqual(allowed.headers["x-content-type-options"], "nosniff")
      assert.strictEqual(allowed.headers["access-control-allow-origin"], app)
      assert.include(allowed.headers["access-control-allow-methods"] ?? "", "POST")
      assert.include(allowed.headers["access-control-allow-headers"] ?? "", "idempotency-key")
      assert.notProperty((yield* ask("https://evil.example")).headers, "access-control-allow-origin")
    })
  )
})
