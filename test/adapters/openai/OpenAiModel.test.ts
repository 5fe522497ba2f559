import { assert, describe, it, vi } from "@effect/vitest"
import { Array, Config, ConfigProvider, Effect, Fiber, Latch, Schema } from "effect"
import { readAnswer } from "../../../src/adapters/openai/answers.ts"
import { layerConfig, type OpenAiOptions } from "../../../src/adapters/openai/OpenAiModel.ts"
import { LLM, type Prompt } from "../../../src/ports/LLM.ts"
import { faults, ModelServer, replies, type Scripted } from "../../support/model-server.ts"
import { ask, askAt, assertHarmless, canary, failure, prompt } from "./support.ts"

const tasks = {
  name: "list_tasks",
  description: "Lists tasks.",
  parameters: { type: "object", properties: { status: { type: "string" } }, additionalProperties: false }
}

/** Every kind of message. */
const conversation: Prompt = {
  system: "You keep tasks.",
  messages: [
    { role: "user", content: "hello" },
    { role: "assistant", content: "Hi.", toolCalls: [] },
    { role: "user", content: "list them" },
    {
      role: "assistant",
      content: "",
      toolCalls: [
        { id: "call_1", name: "list_tasks", arguments: "{}" },
        { id: "call_2", name: "list_tasks", arguments: '{"status":"all"}' }
      ]
    },
    { role: "tool", toolCallId: "call_1", content: '{"count":0}' },
    { role: "tool", toolCallId: "call_2", content: '{"count":1}' },
    { role: "assistant", content: "Once more.", toolCalls: [{ id: "call_3", name: "list_tasks", arguments: "{}" }] },
    { role: "tool", toolCallId: "call_3", content: '{"count":2}' }
  ],
  tools: [tasks]
}

const toText = (value: unknown): string => JSON.stringify(value)

const userAgent = /^OpenAI\/JS \d/
const madeId = /^call_[0-9a-z]{24}$/

/** Asks once, and gives the answer and the one request. */
const exchange = Effect.fnUntraced(function* (reply: Scripted, options: Partial<OpenAiOptions> = {}, asked = prompt) {
  const server = yield* ModelServer
  yield* server.script(reply)
  const completion = yield* ask(options, asked)
  assert.strictEqual(server.requests.length, 1, "one request for one call")
  const request = yield* server.next
  assert.isUndefined(request.invalid)
  return { completion, request }
})

describe("requests", () => {
  it.effect("a whole conversation for gpt-4", () =>
    Effect.gen(function* () {
      const { request } = yield* exchange(replies.text("Done."), {}, conversation)
      assert.deepStrictEqual(request.body, {
        model: "gpt-4",
        max_tokens: 1000,
        temperature: 0.7,
        messages: [
          { role: "system", content: "You keep tasks." },
          { role: "user", content: "hello" },
          { role: "assistant", content: "Hi." },
          { role: "user", content: "list them" },
          {
            role: "assistant",
            content: null,
            tool_calls: [
              { id: "call_1", type: "function", function: { name: "list_tasks", arguments: "{}" } },
              { id: "call_2", type: "function", function: { name: "list_tasks", arguments: '{"status":"all"}' } }
            ]
          },
          { role: "tool", tool_call_id: "call_1", content: '{"count":0}' },
          { role: "tool", tool_call_id: "call_2", content: '{"count":1}' },
          {
            role: "assistant",
            content: "Once more.",
            tool_calls: [{ id: "call_3", type: "function", function: { name: "list_tasks", arguments: "{}" } }]
          },
          { role: "tool", tool_call_id: "call_3", content: '{"count":2}' }
        ],
        tools: [{ type: "function", function: tasks }]
      })
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("no tools, no member", () =>
    Effect.gen(function* () {
      const { request } = yield* exchange(replies.text("Done."))
      assert.notProperty(request.body, "tools")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("the headers are the SDK's, with our key", () =>
    Effect.gen(function* () {
      const { request } = yield* exchange(replies.text("Done."))
      assert.strictEqual(request.headers.authorization, `Bearer ${canary}`)
      assert.match(request.headers["user-agent"] ?? "", userAgent)
      assert.strictEqual(request.headers["content-type"], "application/json")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  for (const model of [
    "o1",
    "o3-mini",
    "openai/o3-mini",
    "o4-mini",
    "gpt-5",
    "GPT-5-mini",
    "a/b/gpt-5-nano",
    "ft:o4-mini:x:y:z"
  ]) {
    it.effect(`${model} gets max_completion_tokens and no temperature`, () =>
      Effect.gen(function* () {
        const { request } = yield* exchange(replies.text("Done."), { model })
        const messages = [{ role: "system", content: prompt.system }, ...prompt.messages]
        assert.deepStrictEqual(request.body, { model, max_completion_tokens: 1000, messages })
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  for (const model of [
    "gpt-4",
    "gpt-4o",
    "gpt-4.1-mini",
    "openai/gpt-4o",
    "olmo-2",
    "llama3:70b",
    "foo3",
    "gpt-oss-20b"
  ]) {
    it.effect(`${model} gets max_tokens and a temperature`, () =>
      Effect.gen(function* () {
        const { request } = yield* exchange(replies.text("Done."), { model, maxTokens: 50, temperature: 0 })
        assert.include(request.body, { model, max_tokens: 50, temperature: 0 })
        assert.notProperty(request.body, "max_completion_tokens")
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  it.effect("nothing of the environment gets into a request or out of it", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          for (const [name, value] of Object.entries({
            OPENAI_API_KEY: "other-key",
            OPENAI_ADMIN_KEY: "other-key",
            OPENAI_BASE_URL: "http://127.0.0.1:2/other",
            OPENAI_ORG_ID: "org-other",
            OPENAI_PROJECT_ID: "proj-other",
            OPENAI_CUSTOM_HEADERS: "X-Other: other\nAuthorization: Bearer other-key",
            OPENAI_LOG: "debug"
          })) {
            vi.stubEnv(name, value)
          }
        }),
        () => Effect.sync(() => vi.unstubAllEnvs())
      )
      const printed = yield* Effect.acquireRelease(
        Effect.sync(() => (["debug", "error", "info", "log", "warn"] as const).map((name) => vi.spyOn(console, name))),
        (spies) => Effect.sync(() => spies.forEach((spy) => void spy.mockRestore()))
      )
      const seen: globalThis.Array<{ readonly url: string; readonly headers: Headers }> = []
      const fetch: NonNullable<OpenAiOptions["fetch"]> = (input, init) => {
        seen.push({ url: String(input), headers: new Headers(init?.headers) })
        return Promise.resolve(Response.json({ choices: [{ finish_reason: "stop", message: { content: "Hi." } }] }))
      }
      yield* ask({ fetch })
      yield* askAt(undefined, { fetch })
      const server = yield* ModelServer
      assert.deepStrictEqual(
        seen.map(({ url }) => url),
        [`${server.baseUrl}/chat/completions`, "https://api.openai.com/v1/chat/completions"]
      )
      for (const { headers } of seen) {
        assert.strictEqual(headers.get("authorization"), `Bearer ${canary}`)
        assert.notInclude(toText([...headers]), "other")
        assert.isFalse(headers.has("openai-organization") || headers.has("openai-project"))
      }
      for (const spy of printed) assert.strictEqual(spy.mock.calls.length, 0)
    }).pipe(Effect.provide(ModelServer.layer))
  )
})

describe("answers", () => {
  const usage = { promptTokens: 580, completionTokens: 45 }

  it.effect("text", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(replies.text("Hello"))
      assert.deepStrictEqual(completion, { text: "Hello", toolCalls: [], finishReason: "stop", usage })
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("two tool calls at once", () =>
    Effect.gen(function* () {
      const calls = [
        { id: "call_a", name: "add_task", arguments: { title: "Buy milk" } },
        { id: "call_b", name: "list_tasks" }
      ]
      const { completion } = yield* exchange(replies.calls(calls))
      assert.deepStrictEqual(completion, {
        text: "",
        toolCalls: [
          { id: "call_a", name: "add_task", arguments: '{"title":"Buy milk"}' },
          { id: "call_b", name: "list_tasks", arguments: "{}" }
        ],
        finishReason: "tool_calls",
        usage
      })
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("text beside a tool call", () =>
    Effect.gen(function* () {
      const reply = replies.completion({
        content: "One moment.",
        calls: [{ name: "list_tasks" }],
        finishReason: "tool_calls"
      })
      const { completion } = yield* exchange(reply)
      assert.strictEqual(completion.text, "One moment.")
      assert.strictEqual(completion.toolCalls.length, 1)
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("a thousand calls are passed through", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(replies.calls(Array.makeBy(1000, () => ({ name: "list_tasks" }))))
      assert.strictEqual(completion.toolCalls.length, 1000)
      assert.strictEqual(new Set(completion.toolCalls.map((call) => call.id)).size, 1000)
      for (const { id } of completion.toolCalls) assert.match(id, madeId)
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("arguments that are no JSON are passed through as the model wrote them", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(faults.badArguments)
      assert.strictEqual(completion.toolCalls[0]?.arguments, '{"title": "Buy')
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("an unknown tool is passed through", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(faults.unknownTool)
      assert.strictEqual(completion.toolCalls[0]?.name, "launch_rocket")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("no usage counts as zero", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(replies.text("Hello", null))
      assert.deepStrictEqual(completion.usage, { promptTokens: 0, completionTokens: 0 })
    }).pipe(Effect.provide(ModelServer.layer))
  )

  for (const told of [null, "many", [], {}, { prompt_tokens: -1 }, { prompt_tokens: 1.5 }, { prompt_tokens: null }]) {
    it.effect(`a usage of ${JSON.stringify(told)} counts as zero`, () =>
      Effect.gen(function* () {
        const choices = [{ finish_reason: "stop", message: { content: "Hello" } }]
        const { completion } = yield* exchange(replies.json({ choices, usage: told }))
        assert.deepStrictEqual(completion.usage, { promptTokens: 0, completionTokens: 0 })
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  it.effect("stop although there are tool calls", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(
        replies.completion({ calls: [{ name: "list_tasks" }], finishReason: "stop" })
      )
      assert.strictEqual(completion.finishReason, "tool_calls")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  for (const id of [null, ""]) {
    it.effect(`a tool call with ${id === null ? "no id" : "an empty id"} and without arguments`, () =>
      Effect.gen(function* () {
        const { completion } = yield* exchange(replies.calls([{ id, name: "list_tasks", arguments: null }]))
        assert.deepStrictEqual(completion.toolCalls, [{ id: "", name: "list_tasks", arguments: "" }])
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  it.effect("cut by length", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(faults.cutByLength)
      assert.deepStrictEqual(completion, { text: "Here are your ta", toolCalls: [], finishReason: "length", usage })
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("tool calls cut by length", () =>
    Effect.gen(function* () {
      const { completion } = yield* exchange(
        replies.completion({ calls: [{ name: "add_task", arguments: '{"tit' }], finishReason: "length" })
      )
      assert.strictEqual(completion.finishReason, "length")
      assert.strictEqual(completion.toolCalls[0]?.arguments, '{"tit')
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("null where a member may be left out, and members that nobody knows", () =>
    Effect.gen(function* () {
      const message = {
        role: "assistant",
        content: "Hello",
        refusal: null,
        tool_calls: null,
        function_call: null,
        audio: null
      }
      const body = { choices: [{ finish_reason: "stop", message, index: 0, extra: 1 }], usage: null, citations: [] }
      const { completion } = yield* exchange(replies.json(body))
      assert.strictEqual(completion.text, "Hello")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("JSON that a server calls text", () =>
    Effect.gen(function* () {
      const body = toText({ choices: [{ finish_reason: "stop", message: { content: "Hello" } }] })
      const { completion } = yield* exchange(replies.http(200, body, { "content-type": "text/plain" }))
      assert.strictEqual(completion.text, "Hello")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("an answer that is late", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      const release = yield* Latch.make()
      yield* server.script(replies.after(release.await, replies.text("At last.")))
      const asked = yield* Effect.forkChild(ask())
      yield* server.next
      yield* release.open
      assert.strictEqual((yield* Fiber.join(asked)).text, "At last.")
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("many at once over one layer do not mix", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.otherwise((request) => Effect.succeed(replies.text(toText(request.body))))
      yield* Effect.forEach(
        Array.range(1, 50),
        (number) =>
          Effect.gen(function* () {
            const completion = yield* ask({}, { ...prompt, system: `You are number ${number}.` })
            assert.include(completion.text, `You are number ${number}.`)
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(server.requests.length, 50)
    }).pipe(Effect.provide(ModelServer.layer))
  )
})

describe("answers that are none", () => {
  const told = { promptTokens: 7, completionTokens: 3 }
  const choice = (parts: object) =>
    replies.json({ choices: [parts], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } })
  const call = { id: "call_1", type: "function", function: { name: "list_tasks", arguments: "{}" } }

  const withUsage: ReadonlyArray<readonly [name: string, reply: Scripted]> = [
    ["no finish reason", choice({ message: { content: "Hello" } })],
    ["a finish reason of null", choice({ finish_reason: null, message: { content: "Hello" } })],
    ["an unknown finish reason", choice({ finish_reason: "eos", message: { content: "Hello" } })],
    ["an unknown finish reason with calls", choice({ finish_reason: "eos", message: { tool_calls: [call] } })],
    [
      "the finish reason of calls without a call",
      choice({ finish_reason: "tool_calls", message: { content: "Hello" } })
    ],
    ["neither text nor calls", choice({ finish_reason: "stop", message: { content: null } })],
    ["spaces alone", choice({ finish_reason: "stop", message: { content: " \n" } })],
    ["nothing, cut by length", choice({ finish_reason: "length", message: { content: "" } })],
    [
      "a function call of the old form",
      choice({
        finish_reason: "function_call",
        message: { content: null, function_call: { name: "f", arguments: "{}" } }
      })
    ],
    ["no message", choice({ finish_reason: "stop" })],
    ["content of another type", choice({ finish_reason: "stop", message: { content: 5 } })],
    [
      "a call that is no function",
      choice({ finish_reason: "tool_calls", message: { tool_calls: [{ id: "1", type: "custom", custom: {} }] } })
    ],
    [
      "a call without a name",
      choice({ finish_reason: "tool_calls", message: { tool_calls: [{ id: "1", function: {} }] } })
    ],
    ["no choice", replies.json({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } })],
    ["choices of another type", replies.json({ choices: {}, usage: { prompt_tokens: 7, completion_tokens: 3 } })],
    ["choices left out", replies.json({ usage: { prompt_tokens: 7, completion_tokens: 3 } })]
  ]
  for (const [name, reply] of withUsage) {
    it.effect(`${name}: a bad answer, and its usage`, () =>
      Effect.gen(function* () {
        const error = yield* failure(reply)
        assert.strictEqual(error.reason, "bad_answer")
        assert.deepStrictEqual(error.usage, told)
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  const withoutUsage: ReadonlyArray<readonly [name: string, reply: Scripted]> = [
    ["HTML", faults.html],
    ["HTML that is called JSON", replies.http(200, "<html></html>", { "content-type": "application/json" })],
    ["JSON that is cut", faults.badJson],
    ["an empty body", replies.http(200, "", { "content-type": "application/json" })],
    ["no content", replies.http(204, "")],
    ["null", replies.json(null)],
    ["a list", replies.json([])],
    ["a string", replies.json("Hello")],
    ["an error with status 200", replies.json({ error: { message: "no", code: 502 } })]
  ]
  for (const [name, reply] of withoutUsage) {
    it.effect(`${name}: a bad answer, and no usage`, () =>
      Effect.gen(function* () {
        const error = yield* failure(reply)
        assert.strictEqual(error.reason, "bad_answer")
        assert.notProperty(error, "usage")
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  for (const [name, reply] of [
    ["an empty choice", faults.emptyChoice],
    ["no choices", faults.noChoices]
  ] as const) {
    it.effect(`${name}, as OpenAI sends it: a bad answer`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* failure(reply)).reason, "bad_answer")
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }

  for (const [name, reply] of [
    ["the content filter", faults.contentFilter],
    ["the content filter after some text", replies.completion({ content: "Take the", finishReason: "content_filter" })],
    ["a refusal", faults.refusal]
  ] as const) {
    it.effect(`${name}: refused, with its usage`, () =>
      Effect.gen(function* () {
        const error = yield* failure(reply)
        assert.strictEqual(error.reason, "refused")
        assert.deepStrictEqual(error.usage, { promptTokens: 580, completionTokens: 45 })
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }
})

describe("any answer at all", () => {
  const Text = Schema.Union([Schema.String, Schema.Null, Schema.Int])
  const Calls = Schema.Array(
    Schema.Struct({
      id: Schema.optionalKey(Text),
      function: Schema.Struct({ name: Schema.optionalKey(Text), arguments: Schema.optionalKey(Text) })
    })
  )
  const Nearly = Schema.Struct({
    choices: Schema.Array(
      Schema.Struct({
        finish_reason: Schema.optionalKey(
          Schema.Union([Schema.Literals(["stop", "length", "tool_calls", "content_filter", "other"]), Schema.Null])
        ),
        message: Schema.Struct({
          content: Schema.optionalKey(Text),
          refusal: Schema.optionalKey(Text),
          tool_calls: Schema.optionalKey(Schema.Union([Calls, Schema.Null])),
          function_call: Schema.optionalKey(Schema.Null)
        })
      })
    ),
    usage: Schema.optionalKey(Schema.Struct({ prompt_tokens: Schema.optionalKey(Text), completion_tokens: Schema.Int }))
  })

  const isTold = Effect.fnUntraced(function* (body: string) {
    // A defect would come through and fail the test.
    const completion = yield* Effect.result(readAnswer(body))
    if (completion._tag === "Failure") return assertHarmless(completion.failure)
    const { finishReason, text, toolCalls, usage } = completion.success
    assert.isTrue(text.trim() !== "" || toolCalls.length > 0)
    if (finishReason === "tool_calls") assert.isAbove(toolCalls.length, 0)
    if (finishReason === "stop") assert.strictEqual(toolCalls.length, 0)
    for (const count of [usage.promptTokens, usage.completionTokens]) {
      assert.isTrue(Number.isSafeInteger(count) && count >= 0)
    }
  })

  it.effect.prop("that nearly fits is a completion or a failure", { answer: Nearly }, ({ answer }) =>
    isTold(toText(answer))
  )
  it.effect.prop("that is JSON is a completion or a failure", { answer: Schema.Json }, ({ answer }) =>
    isTold(toText(answer))
  )
  it.effect.prop("that is text is a completion or a failure", { answer: Schema.String }, ({ answer }) => isTold(answer))
})

describe("the model", () => {
  it.live("is the one that the application is configured with", () =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(replies.text("hello"))
      const answer = (environment: Record<string, string>) =>
        LLM.use((llm) => llm.complete(prompt)).pipe(
          Effect.provide(
            layerConfig({
              apiKey: Config.Redacted("KEY"),
              model: Config.String("MODEL"),
              baseUrl: Config.succeed(server.baseUrl)
            })
          ),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(environment))
        )
      assert.strictEqual((yield* answer({ KEY: "sk-configured", MODEL: "gpt-5" })).text, "hello")
      assert.strictEqual(server.requests[0]?.headers.authorization, "Bearer sk-configured")
      assert.propertyVal(server.requests[0]?.body, "model", "gpt-5")
      const missing = yield* Effect.flip(answer({ KEY: "sk-configured" }))
      assert.strictEqual(missing._tag, "ConfigError")
    }).pipe(Effect.provide(ModelServer.layer))
  )
})
