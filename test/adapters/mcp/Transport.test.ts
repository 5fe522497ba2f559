import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { HttpRouter } from "effect/http"
import * as Mcp from "../../../src/adapters/mcp/Mcp.ts"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { AuthUnavailable } from "../../../src/domain/model/Errors.ts"
import * as Tool from "../../../src/domain/Tool.ts"
import * as Tools from "../../../src/domain/Tools.ts"
import { Auth } from "../../../src/ports/Auth.ts"
import { asking, auth, connect, initialize, type Store, send, serveMcp, titlesOf } from "../../support/mcp.ts"

const newToken = Effect.map(uuidV7, (id) => `${id}-token`)
const list = { jsonrpc: "2.0", id: 2, method: "tools/list" }
const add = (title: string, meta?: object) => ({
  jsonrpc: "2.0",
  id: 3,
  method: "tools/call",
  params: { name: "add_task", arguments: { title }, ...(meta !== undefined && { _meta: meta }) }
})

/** A session of a user's, opened by hand. */
const open = (url: string, token: string, version?: string) =>
  Effect.gen(function* () {
    const answer = yield* send(url, token, initialize(version))
    const session = answer.headers["mcp-session-id"] ?? assert.fail(`there is no session: ${answer.text}`)
    return { answer, session, headers: { "mcp-session-id": session } }
  })

/** Messages that are nearly right, in one way or another. */
const Message = Schema.Union([
  Schema.Json,
  Schema.Struct({
    jsonrpc: Schema.Union([Schema.Literal("2.0"), Schema.Json]),
    id: Schema.optionalKey(Schema.Union([Schema.Int, Schema.String, Schema.Json])),
    method: Schema.Union([
      Schema.Literals([
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "notifications/cancelled",
        "subscriptions/listen",
        "server/discover"
      ]),
      Schema.Json
    ]),
    params: Schema.optionalKey(
      Schema.Union([
        Schema.Struct({
          name: Schema.Union([Schema.Literals(["add_task", "list_tasks", "update_task"]), Schema.Json]),
          arguments: Schema.optionalKey(
            Schema.Union([Schema.Struct({ title: Schema.Json, task_id: Schema.Json }), Schema.Json])
          ),
          _meta: Schema.optionalKey(
            Schema.Union([Schema.Struct({ "turnkeeper/idempotency-key": Schema.Json }), Schema.Json])
          )
        }),
        Schema.Json
      ])
    )
  })
])

/** Why a message was refused. */
const refusal = (answer: {
  readonly status: number
  readonly json: { readonly error?: { readonly data?: unknown } }
}) => [answer.status, answer.json.error?.data]

layer(Memory.layer, { excludeTestServices: true })("MCP over HTTP", (it) => {
  describe("a message", () => {
    it.effect("has a good token, or is looked at no further", () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const auth = Layer.effect(
          Auth,
          Effect.succeed(
            Auth.of({
              authenticate: () => {
                asked.push("asked")
                return Effect.fail(new AuthUnavailable({ operation: "test" }))
              }
            })
          )
        )
        const url = yield* serveMcp()
        const { headers } = yield* open(url, yield* newToken)
        for (const more of [{}, headers]) {
          for (const message of [initialize(), list, "{", undefined]) {
            const method = message === undefined ? "GET" : "POST"
            const stranger = yield* send(url, undefined, message, more, method)
            assert.deepStrictEqual(refusal(stranger), [401, { code: "unauthorized" }])
            assert.strictEqual(stranger.headers["www-authenticate"], "Bearer")
            const wrong = yield* send(url, "wrong", message, more, method)
            assert.deepStrictEqual(refusal(wrong), [401, { code: "unauthorized" }])
            assert.strictEqual(wrong.headers["www-authenticate"], 'Bearer error="invalid_token"')
          }
        }
        for (const authorization of ["Basic ada-token", "Bearer", "Bearer ", "ada-token", "Bearer a b"]) {
          const answer = yield* send(url, undefined, list, { authorization })
          assert.strictEqual(answer.status, 401, authorization)
        }
        const away = yield* serveMcp({ auth })
        const unknown = yield* send(away, "ada-token", list)
        assert.deepStrictEqual(refusal(unknown), [503, { code: "unavailable" }])
        assert.strictEqual(unknown.headers["retry-after"], "5")
        assert.deepStrictEqual(asked, ["asked"])
      })
    )

    it.effect("is told where to get a token, if the application says so", () =>
      Effect.gen(function* () {
        const resourceMetadata = new URL("https://app.example.com/.well-known/oauth-protected-resource/mcp")
        const url = yield* serveMcp({ mcp: { resourceMetadata } })
        const challenge = (token?: string) =>
          Effect.map(send(url, token, list), ({ headers }) => headers["www-authenticate"])
        assert.strictEqual(yield* challenge(), `Bearer resource_metadata="${resourceMetadata.href}"`)
        assert.strictEqual(
          yield* challenge("wrong"),
          `Bearer error="invalid_token", resource_metadata="${resourceMetadata.href}"`
        )
      })
    )

    it.effect("is JSON of sensible size and depth in UTF-8, and is answered as what is wrong with it", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const token = yield* newToken
        const { headers } = yield* open(url, token)
        const deep = `{"title":${"[".repeat(20_000)}${"]".repeat(20_000)}}`
        const post = (body: string, more: Record<string, string> = {}) =>
          send(url, token, body, { ...headers, ...more })
        for (const [body, status, code] of [
          ["", 400, "invalid_request"],
          ["{", 400, "invalid_request"],
          [`${"[".repeat(20_000)}${"]".repeat(20_000)}`, 400, "invalid_request"],
          [
            `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_task","arguments":${deep}}}`,
            400,
            "invalid_request"
          ],
          ["[]", 400, undefined],
          [JSON.stringify([list, list]), 400, "invalid_request"],
          [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${"y".repeat(140_000)}"}}`, 413, "payload_too_large"]
        ] as const) {
          const answer = yield* post(body)
          assert.strictEqual(answer.status, status, answer.text)
          assert.strictEqual(answer.json.error.data?.code, code, answer.text)
        }
        const garbled = yield* Effect.promise(() =>
          fetch(url, {
            method: "POST",
            headers: {
              authorization: `Bearer ${token}`,
              accept: "application/json, text/event-stream",
              "content-type": "application/json"
            },
            body: new Uint8Array([0x22, 0xff, 0x22])
          })
        )
        assert.strictEqual(garbled.status, 400)
        assert.deepStrictEqual(refusal(yield* post("{}", { "content-type": "text/plain" })), [
          415,
          { code: "unsupported_media_type" }
        ])
        assert.deepStrictEqual(refusal(yield* post(JSON.stringify(list), { accept: "application/json" })), [
          406,
          { code: "not_acceptable" }
        ])
        for (const [message, code] of [
          [{ jsonrpc: "2.0", id: 1 }, -32600],
          [{ jsonrpc: "1.0", id: 1, method: "ping" }, -32600],
          [7, -32600],
          [{ jsonrpc: "2.0", id: 1, method: "tools/drop" }, -32601],
          [{ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: 7 } }, -32602],
          [{ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "add_task", arguments: [] } }, -32602],
          [{ jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri: "file:///etc/passwd" } }, -32002]
        ] as const) {
          const answer = yield* send(url, token, message, headers)
          assert.strictEqual(answer.json.error.code, code, answer.text)
        }
        assert.strictEqual(
          (yield* send(url, token, { ...list, method: "ping" }, headers)).text.trim(),
          '{"jsonrpc":"2.0","id":2,"result":{}}'
        )
      })
    )

    it.effect("is a POST", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const token = yield* newToken
        const { headers } = yield* open(url, token)
        for (const method of ["GET", "DELETE", "PUT", "PATCH", "OPTIONS"]) {
          const answer = yield* send(url, token, undefined, headers, method)
          assert.deepStrictEqual(refusal(answer), [405, { code: "method_not_allowed" }])
          assert.strictEqual(answer.headers["allow"], "POST")
        }
        assert.strictEqual((yield* send(url, token, list, headers)).status, 200)
      })
    )

    it.effect(
      "of a page is taken from allowed origins, and from this machine where the server is asked for as that",
      () =>
        Effect.gen(function* () {
          const app = "https://app.example.com"
          const url = yield* serveMcp({ corsOrigins: [app] })
          const token = yield* newToken
          for (const [origin, status] of [
            [app, 200],
            ["http://localhost:6274", 200],
            ["http://127.0.0.1:8000", 200],
            ["http://[::1]", 200],
            ["https://evil.example.com", 403],
            ["http://localhost.evil.example", 403],
            ["http://127.0.0.1.evil.example", 403],
            ["null", 403]
          ] as const) {
            const answer = yield* send(url, token, initialize(), { origin })
            assert.strictEqual(answer.status, status, origin)
            if (status === 403) assert.deepStrictEqual(refusal(answer), [403, { code: "forbidden" }])
          }
          const shared = yield* send(url, token, initialize(), { origin: app })
          assert.strictEqual(shared.headers["access-control-allow-origin"], app)
          assert.include(shared.headers["access-control-expose-headers"], "mcp-session-id")
          const preflight = yield* send(
            url,
            undefined,
            undefined,
            { origin: app, "access-control-request-method": "POST" },
            "OPTIONS"
          )
          assert.strictEqual(preflight.status, 204)
          assert.include(preflight.headers["access-control-allow-headers"], "mcp-session-id")
          assert.include(preflight.headers["access-control-allow-headers"], "mcp-protocol-version")
        })
    )
  })

  describe("a session", () => {
    it.effect("is of the revision that the client asks for, or of the latest", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const token = yield* newToken
        for (const [asked, agreed] of [
          ["2025-11-25", "2025-11-25"],
          ["2025-06-18", "2025-06-18"],
          ["2025-03-26", "2025-03-26"],
          ["2024-11-05", "2025-11-25"],
          ["1999-01-01", "2025-11-25"]
        ] as const) {
          const { answer, headers } = yield* open(url, token, asked)
          assert.strictEqual(answer.json.result.protocolVersion, agreed)
          assert.strictEqual(answer.json.result.serverInfo.name, "turnkeeper")
          const initialized = { jsonrpc: "2.0", method: "notifications/initialized" }
          const noted = yield* send(url, token, initialized, headers)
          assert.deepStrictEqual([noted.status, noted.text], [202, ""])
          const tools = yield* send(url, token, list, { ...headers, "mcp-protocol-version": agreed })
          assert.strictEqual(tools.json.result.tools.length, 5)
          // Each revision has keys, and has refusals as errors.
          const key = { "turnkeeper/idempotency-key": agreed + asked }
          const first = yield* send(url, token, add(asked, key), headers)
          assert.deepStrictEqual((yield* send(url, token, add(asked, key), headers)).json, first.json)
          assert.strictEqual((yield* send(url, token, add("Other", key), headers)).json.error.code, -32602)
          const wrong = yield* send(url, token, list, { ...headers, "mcp-protocol-version": "1999-01-01" })
          assert.strictEqual(wrong.status, 400)
        }
      })
    )

    it.effect("is not needed by the latest revision, whose messages say all themselves", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const token = yield* newToken
        const meta = {
          "io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientCapabilities": {},
          "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" }
        }
        const headers = { "mcp-protocol-version": "2026-07-28" }
        const tools = yield* send(
          url,
          token,
          { ...list, params: { _meta: meta } },
          { ...headers, "mcp-method": "tools/list" }
        )
        assert.strictEqual(tools.json.result.tools.length, 5, tools.text)
        assert.isUndefined(tools.headers["mcp-session-id"])
        const call = (title: string) =>
          send(url, token, add(title, { ...meta, "turnkeeper/idempotency-key": "k" }), {
            ...headers,
            "mcp-method": "tools/call",
            "mcp-name": "add_task"
          })
        const first = yield* call("Milk")
        assert.strictEqual(first.json.result.structuredContent.task.title, "Milk")
        assert.deepStrictEqual((yield* call("Milk")).json, first.json)
        assert.deepStrictEqual((yield* call("Bread")).json.error, {
          code: -32602,
          message: "This idempotency key was used with another call.",
          data: { code: "idempotency_key_reused", retryable: false }
        })
      })
    )

    it.effect("a user who makes up sessions is told to wait, and nobody else is", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const [ada, bob] = [yield* newToken, yield* newToken]
        const { session } = yield* open(url, ada)
        const madeUp = Effect.flatMap(uuidV7, (id) =>
          send(url, ada, list, { "mcp-session-id": session.replace(/\.[^.]*\./, `.${id}.`) })
        )
        const answers = yield* Effect.all(
          Array.from({ length: 101 }, () => madeUp),
          { concurrency: 10 }
        )
        assert.strictEqual(answers.filter(({ status }) => status === 200).length, 100)
        const refused = answers.find(({ status }) => status !== 200) ?? assert.fail()
        assert.strictEqual(refused.status, 429)
        assert.strictEqual(refused.headers["retry-after"], "60")
        assert.strictEqual(refused.json.error.data.code, "rate_limited")
        const other = yield* open(url, bob)
        assert.strictEqual((yield* send(url, bob, list, other.headers)).status, 200)
      })
    )

    it.effect("is of no use with another user's token, or where it is none", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const [ada, bob] = [yield* newToken, yield* newToken]
        const { headers, session } = yield* open(url, ada)
        assert.match(session, /^[\x21-\x7e]+$/)
        const foreign = yield* send(url, bob, add("Milk"), headers)
        const none = yield* send(url, bob, add("Milk"), { "mcp-session-id": session.replace(/\.[^.]*\./, ".x.") })
        assert.deepStrictEqual(refusal(foreign), [404, { code: "not_found" }])
        assert.strictEqual(foreign.text, none.text)
        for (const wrong of [
          "x",
          session.slice(0, -1),
          `${session}x`,
          `1999-01-01${session.slice(10)}`,
          `${session}, ${session}`
        ]) {
          assert.strictEqual((yield* send(url, ada, list, { "mcp-session-id": wrong })).status, 404, wrong)
        }
        const without = yield* send(url, ada, list)
        assert.strictEqual(without.status, 400)
        const twice = yield* send(url, ada, initialize(), headers)
        assert.strictEqual(twice.status, 400)
        const own = yield* connect(url, bob)
        assert.deepStrictEqual(yield* titlesOf(own), [])
      })
    )

    it.effect("goes on at another instance, where nobody has heard of it", () =>
      Effect.gen(function* () {
        const [url, other] = [yield* serveMcp(), yield* serveMcp()]
        const token = yield* newToken
        const { headers } = yield* open(url, token)
        for (const at of [other, url, other]) {
          assert.strictEqual((yield* send(at, token, add("Milk"), headers)).json.result.isError, false)
        }
      })
    )

    it.effect("that is no longer known is answered so that the client begins anew", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const token = yield* newToken
        const lost = yield* connect(url, token, "gone")
        // By the rule of the transport it is 404 that has a client initialize once more, without the id.
        assert.strictEqual((yield* Effect.flip(lost.call("list_tasks"))).code, 404)
        assert.strictEqual((yield* send(url, token, list, { "mcp-session-id": "gone" })).status, 404)
        assert.deepStrictEqual(yield* titlesOf(yield* connect(url, token)), [])
      })
    )

    it.effect("of one client is cancelled by nobody else's, though their messages have the same numbers", () =>
      Effect.gen(function* () {
        const stuck = yield* Deferred.make<void>()
        const free = yield* Deferred.make<void>()
        const left: Array<string> = []
        let running = 0
        const wait = Tool.make({
          name: "wait",
          description: "Waits.",
          parameters: Schema.Struct({}),
          result: Schema.Struct({}),
          kind: "external",
          handler: (_, { userId }) =>
            Effect.gen(function* () {
              if (++running === 3) yield* Deferred.succeed(stuck, undefined)
              yield* Deferred.await(free)
              return {}
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => left.push(userId))))
        })
        const url = yield* serveMcp({ tools: Tools.layerOf(wait) })
        const [ada, bob] = [yield* newToken, yield* newToken]
        const sessions = [
          [ada, (yield* open(url, ada)).headers],
          [ada, (yield* open(url, ada)).headers],
          [bob, (yield* open(url, bob)).headers]
        ] as const
        const call = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "wait" } }
        const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 7 } }
        const calls = yield* Effect.forkChild(
          Effect.forEach(sessions, ([token, headers]) => send(url, token, call, headers), { concurrency: "unbounded" })
        )
        yield* Deferred.await(stuck)
        const [, [, second]] = sessions
        assert.strictEqual((yield* send(url, bob, cancelled, second)).status, 404)
        assert.strictEqual((yield* send(url, ada, cancelled, second)).status, 202)
        yield* Deferred.succeed(free, undefined)
        const answers = yield* Fiber.join(calls)
        assert.deepStrictEqual(
          answers.map((answer) => [answer.status, answer.text.includes('"isError":false')]),
          [
            [200, true],
            [200, false],
            [200, true]
          ]
        )
        assert.deepStrictEqual(left, [ada.replace("-token", "")])
      })
    )
  })

  it.effect("a call whose client goes away is left", () =>
    Effect.gen(function* () {
      const stuck = yield* Deferred.make<void>()
      const left = yield* Deferred.make<void>()
      const wait = Tool.make({
        name: "wait",
        description: "Waits.",
        parameters: Schema.Struct({}),
        result: Schema.Struct({}),
        kind: "external",
        handler: () =>
          Deferred.succeed(stuck, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(left, undefined))
          )
      })
      const url = yield* serveMcp({ tools: Tools.layerOf(wait) })
      const token = yield* newToken
      const { headers } = yield* open(url, token)
      const call = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "wait" } }
      yield* Effect.raceFirst(Effect.asVoid(send(url, token, call, headers)), Deferred.await(stuck))
      yield* Deferred.await(left)
    })
  )

  it.effect("answers are as they should be on an application's own router as well", () =>
    Effect.gen(function* () {
      const tools = Tools.layer.pipe(Layer.provide(Layer.succeedContext(yield* Effect.context<Store>())))
      const mcp = Mcp.layer({ path: "/agent/mcp", name: "ours", version: "7", instructions: "A list." }).pipe(
        Layer.provide([tools, auth]),
        Layer.provide(Layer.succeedContext(yield* Effect.context<Store>()))
      )
      const { dispose, handler } = HttpRouter.toWebHandler(mcp, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const post = (message: unknown, headers: Record<string, string> = {}) =>
        Effect.promise(async () => {
          const response = await handler(
            new Request("http://app.example.com/agent/mcp?from=here", {
              method: "POST",
              headers: {
                authorization: "Bearer ada-token",
                accept: "application/json, text/event-stream",
                "content-type": "application/json",
                ...headers
              },
              body: JSON.stringify(message)
            })
          )
          const text = await response.text()
          return { response, text, json: JSON.parse(text) }
        })
      const begun = yield* post(initialize())
      assert.deepInclude(begun.json.result, { serverInfo: { name: "ours", version: "7" }, instructions: "A list." })
      const title = "Milk\u009b2J\u007f\u0085"
      const session = { "mcp-session-id": begun.response.headers.get("mcp-session-id") ?? "" }
      const { json, response, text } = yield* post(add(title), session)
      assert.notMatch(text, /[\u007f-\u009f]/)
      assert.strictEqual(json.result.structuredContent.task.title, title)
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      assert.strictEqual(response.headers.get("content-type"), "application/json")
    }).pipe(Effect.scoped)
  )

  it.effect.prop(
    "whatever is sent is answered, and nothing that is sent makes an error of ours",
    { message: Message, session: Schema.Boolean },
    ({ message, session }) =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const { headers } = yield* open(url, "fuzz-token")
        const answer = yield* send(url, "fuzz-token", message, session ? headers : {})
        assert.isBelow(answer.status, 500, answer.text)
        const { error } = answer.json ?? {}
        assert.notStrictEqual(error?.code, -32603, answer.text)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )

  it.effect("a client can ask whether anybody is there", () =>
    Effect.gen(function* () {
      const { client } = yield* connect(yield* serveMcp(), yield* newToken)
      assert.deepStrictEqual(yield* asking(() => client.ping()), {})
    })
  )
})
