import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, Fiber } from "effect"
import { invalidRequest } from "../../../src/testing/InvalidRequest.ts"
import { ModelServer, replies } from "../../support/model-server.ts"

const onThisMachine = /^http:\/\/127\.0\.0\.1:\d+\/v1$/

const user = { role: "user", content: "hello" }
const call = (id: unknown, name: unknown = "list_tasks", written: unknown = "{}") => ({
  id,
  type: "function",
  function: { name, arguments: written }
})
const calls = (...made: ReadonlyArray<unknown>) => ({ role: "assistant", content: null, tool_calls: made })
const result = (id: unknown, content: unknown = "{}") => ({ role: "tool", tool_call_id: id, content })
const messages = (...all: ReadonlyArray<unknown>) => ({ model: "gpt-4", messages: all })
const parameters = (schema: unknown, name: unknown = "list_tasks") => ({
  ...messages(user),
  tools: [{ type: "function", function: { name, description: "Lists.", parameters: schema } }]
})
const objectOf = (properties: unknown, more: object = {}) => ({ type: "object", properties, ...more })

describe("the stand-in accepts what the real API accepts", () => {
  const valid: ReadonlyArray<readonly [name: string, body: unknown]> = [
    ["one message", messages(user)],
    [
      "a system prompt and an answer",
      messages({ role: "system", content: "s" }, user, { role: "assistant", content: "a" }, user)
    ],
    ["an empty text", messages({ role: "user", content: "" })],
    ["parts", messages({ role: "user", content: [{ type: "text", text: "hello" }] })],
    ["results in any order", messages(user, calls(call("a"), call("b")), result("b"), result("a"))],
    ["two rounds", messages(user, calls(call("a")), result("a"), calls(call("b")), result("b"))],
    [
      "128 calls",
      messages(user, calls(...Array.makeBy(128, (n) => call(`c${n}`))), ...Array.makeBy(128, (n) => result(`c${n}`)))
    ],
    ["an id of 40 characters", messages(user, calls(call("c".repeat(40))), result("c".repeat(40)))],
    ["arguments that are no JSON", messages(user, calls(call("a", "list_tasks", "{")), result("a"))],
    ["a tool", parameters(objectOf({ status: { type: "string" } }))],
    [
      "a schema with references",
      parameters(objectOf({ a: { $ref: "#/$defs/A" } }, { $defs: { A: { type: "string" } } }))
    ],
    ["a reasoning model", { model: "o3-mini", messages: [user], max_completion_tokens: 5 }]
  ]
  for (const [name, body] of valid) it(name, () => assert.isUndefined(invalidRequest(body)))
})

describe("the stand-in refuses what the real API refuses", () => {
  const invalid: ReadonlyArray<readonly [name: string, body: unknown, complaint: string]> = [
    ["no object", undefined, "could not parse"],
    ["no model", { messages: [user] }, "model parameter"],
    ["an unknown argument", { ...messages(user), max_token: 5 }, "Unrecognized request argument supplied: max_token"],
    ["no messages", { model: "gpt-4" }, "'messages'"],
    ["an empty list of messages", messages(), "empty array"],
    ["a lone surrogate", messages({ role: "user", content: "\ud800" }), "surrogate"],
    ["an unknown role", messages({ role: "human", content: "hello" }), "role"],
    ["a member that nobody knows", messages({ ...user, id: 1 }), "'id' was unexpected"],
    ["a user's content of null", messages({ role: "user", content: null }), "content"],
    ["a number as content", messages({ role: "user", content: 5 }), "content"],
    ["no parts", messages({ role: "user", content: [] }), "content"],
    ["a part of an unknown type", messages({ role: "user", content: [{ type: "video" }] }), "part"],
    ["an assistant without content or calls", messages(user, { role: "assistant", content: null }, user), "content"],
    ["no calls", messages(user, calls(), user), "empty array"],
    [
      "129 calls",
      messages(user, calls(...Array.makeBy(129, (n) => call(`c${n}`))), ...Array.makeBy(129, (n) => result(`c${n}`))),
      "maximum length 128"
    ],
    ["a call without a result", messages(user, calls(call("a"))), "did not have response messages: a"],
    ["a call with a result too late", messages(user, calls(call("a")), user, result("a")), "did not have response"],
    ["one result of two", messages(user, calls(call("a"), call("b")), result("a"), user), "response messages: b"],
    ["two results of one call", messages(user, calls(call("a")), result("a"), result("a")), "must be a response"],
    ["a result of no call", messages(user, result("a")), "must be a response"],
    ["a result without an id", messages(user, calls(call("a")), { role: "tool", content: "{}" }), "tool_call_id"],
    ["a result's content of null", messages(user, calls(call("a")), result("a", null)), "content"],
    ["an empty id", messages(user, calls(call("")), result("")), "empty string"],
    ["no id", messages(user, calls(call(undefined))), "empty string"],
    [
      "an id of 41 characters",
      messages(user, calls(call("c".repeat(41))), result("c".repeat(41))),
      "maximum length 40"
    ],
    ["the same id twice", messages(user, calls(call("a"), call("a")), result("a"), user), "Duplicate"],
    [
      "the same id in two rounds",
      messages(user, calls(call("a")), result("a"), calls(call("a")), result("a")),
      "Duplicate"
    ],
    ["a name with a space", messages(user, calls(call("a", "list tasks")), result("a")), "pattern"],
    ["a name of 65 characters", messages(user, calls(call("a", "n".repeat(65))), result("a")), "pattern"],
    ["arguments that are no text", messages(user, calls(call("a", "list_tasks", {})), result("a")), "arguments"],
    ["an assistant's word at the end", messages(user, { role: "assistant", content: "a" }), "last role"],
    ["an empty list of tools", { ...messages(user), tools: [] }, "empty array"],
    ["a tool's name with a dot", parameters(objectOf({}), "list.tasks"), "pattern"],
    ["a schema that is no object", parameters({ type: "array", items: {} }), 'type: "object"'],
    ["a schema with a union on top", parameters(objectOf({}, { anyOf: [] })), "top level"],
    ["a schema without properties", parameters({ type: "object" }), "missing properties"],
    ["a list of anything", parameters(objectOf({ a: { type: "array" } })), "missing items"],
    ["a reference to nothing", parameters(objectOf({ a: { $ref: "#/$defs/A" } })), "not found"],
    ["a user's id", parameters(objectOf({ user_id: { type: "string" } })), "user_id"],
    ["a user's id further in", parameters(objectOf({ a: objectOf({ user_id: { type: "string" } }) })), "user_id"],
    ["two limits", { ...messages(user), max_tokens: 5, max_completion_tokens: 5 }, "same time"],
    ["a limit of nothing", { ...messages(user), max_tokens: 0 }, "max_tokens"],
    ["too hot", { ...messages(user), temperature: 2.1 }, "temperature"],
    [
      "max_tokens for a reasoning model",
      { model: "o3-mini", messages: [user], max_tokens: 5 },
      "max_completion_tokens"
    ],
    [
      "a temperature for a reasoning model",
      { model: "openai/gpt-5", messages: [user], temperature: 0.7 },
      "temperature"
    ]
  ]
  for (const [name, body, complaint] of invalid) it(name, () => assert.include(invalidRequest(body), complaint))
})

describe("the stand-in as a server", () => {
  const send = (baseUrl: string, body: unknown, headers: Record<string, string>) =>
    fetch(`${baseUrl}/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) }).then((response) =>
      response.text().then((text) => ({ status: response.status, text }))
    )
  const post = (baseUrl: string, body: unknown, headers: Record<string, string> = { authorization: "Bearer x" }) =>
    Effect.promise(() => send(baseUrl, body, headers))

  it.effect("refuses by itself, and keeps the script for those who ask well", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(replies.text("Hello"))
      const unauthorized = yield* post(server.baseUrl, messages(user), {})
      assert.strictEqual(unauthorized.status, 401)
      const invalid = yield* post(server.baseUrl, messages())
      assert.strictEqual(invalid.status, 400)
      assert.strictEqual(
        invalid.text,
        `{"error":{"message":"Invalid 'messages': empty array. Expected an array with minimum length 1.","type":"invalid_request_error","param":null,"code":null}}`
      )
      const lost = yield* post(`${server.baseUrl}/v2`, messages(user))
      assert.strictEqual(lost.status, 404)
      assert.include((yield* post(server.baseUrl, messages(user))).text, "Hello")
      assert.strictEqual((yield* post(server.baseUrl, messages(user))).status, 501)
      yield* server.otherwise(replies.text("Always"))
      assert.include((yield* post(server.baseUrl, messages(user))).text, "Always")
      assert.strictEqual(server.requests.length, 6)
      assert.deepStrictEqual((yield* server.next).body, messages(user))
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("tells of a handler that broke", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(() => Effect.die("the test's own bug"))
      const { status, text } = yield* post(server.baseUrl, messages(user))
      assert.strictEqual(status, 501)
      assert.include(text, "the test's own bug")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("is gone with its scope, whoever still waits", () =>
    Effect.gen(function* () {
      const { baseUrl, waiting } = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* ModelServer.make
          yield* server.script(() => Effect.never)
          const waiting = yield* Effect.forkChild(Effect.exit(post(server.baseUrl, messages(user))))
          yield* server.next
          return { baseUrl: server.baseUrl, waiting }
        })
      )
      assert.match(baseUrl, onThisMachine)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Failure")
    })
  )
})
