import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result } from "effect"
import { faults, ModelServer, type Reply, replies } from "../../support/model-server.ts"
import { ask, assertHarmless, streamTo } from "./support.ts"

/** Asks for the same answer as a whole and piece by piece. */
const bothWays = Effect.fnUntraced(function* (reply: Reply) {
  const server = yield* ModelServer
  yield* server.script(reply)
  const whole = yield* Effect.result(ask())
  yield* server.script(reply)
  const pieces: Array<string> = []
  const streamed = yield* Effect.result(streamTo((text) => pieces.push(text)))
  assert.strictEqual(server.requests.length, 2)
  for (const request of server.requests) assert.isUndefined(request.invalid)
  return { whole, streamed, pieces }
})

/** What an answer comes to, but for ids that the stand-in makes up. */
const outcome = (result: Effect.Success<ReturnType<typeof bothWays>>["whole"]) =>
  Result.match(result, {
    onFailure: ({ reason, retryAfterMillis, usage }) => ({ reason, retryAfterMillis, usage }),
    onSuccess: ({ toolCalls, ...rest }) => ({
      ...rest,
      toolCalls: toolCalls.map(({ name, arguments: args }) => [name, args])
    })
  })

const { error: _, neverAnswers: __, overloaded, rateLimited, stallsWithinBody: ___, ...others } = faults

describe("a streamed answer comes to the same as a whole one", () => {
  const answers: Record<string, Reply> = {
    text: replies.text("Hello, \u{1f600} Ada!\n\nHow are you?"),
    "text without usage": replies.text("Hello", null),
    calls: replies.calls([
      { id: "call_a", name: "add_task", arguments: { title: "Buy \u{1f95b}", description: "two litres of it" } },
      { id: "call_b", name: "list_tasks" }
    ]),
    "text beside a call": replies.completion({
      content: "One moment.",
      calls: [{ name: "list_tasks" }],
      finishReason: "tool_calls"
    }),
    "cut by length": replies.completion({ content: "Here are", finishReason: "length" }),
    "rate limited": rateLimited({ "retry-after": "7" }),
    overloaded: overloaded(),
    ...others
  }
  for (const [name, reply] of Object.entries(answers)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const { pieces, streamed, whole } = yield* bothWays(reply)
        assert.deepStrictEqual(outcome(streamed), outcome(whole))
        if (Result.isSuccess(streamed)) {
          assert.strictEqual(pieces.join(""), streamed.success.text)
          if (streamed.success.text.length > 10) assert.isAbove(pieces.length, 1)
        }
        if (Result.isFailure(streamed)) assertHarmless(streamed.failure)
      }).pipe(Effect.provide(ModelServer.layer))
    )
  }
})

describe("a stream", () => {
  const events = (...data: ReadonlyArray<string>) => data.map((each) => `data: ${each}\n\n`).join("")
  const says = (content: string) => `{"choices":[{"index":0,"delta":{"content":"${content}"}}]}`
  const numbered = (index: number) =>
    `{"choices":[{"delta":{"tool_calls":[{"index":${index},"id":"a","function":{"name":"list_tasks"}}]}}]}`
  const stop = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
  const usage = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
  const stream = (body: string): Reply => replies.http(200, body, { "content-type": "text/event-stream" })

  const asked = Effect.fnUntraced(function* (body: string) {
    const server = yield* ModelServer
    yield* server.script(stream(body))
    const pieces: Array<string> = []
    const exit = yield* Effect.exit(streamTo((text) => pieces.push(text)))
    return { pieces, exit }
  })

  it.effect.each([
    ["as OpenAI sends it", events(says("Hel"), says("lo"), stop, usage, "[DONE]")],
    ["without its last line", events(says("Hel"), says("lo"), stop, usage)],
    [
      "with other line ends, comments and names",
      `\u{feff}: ping\r\n\r\n${events(says("Hel"), says("lo"), stop, usage).replaceAll("\n", "\r\n").replaceAll("data:", "event: chunk\r\ndata:")}`
    ]
  ] as const)("%s is read", ([, body]) =>
    Effect.gen(function* () {
      const { exit, pieces } = yield* asked(body)
      assert.deepStrictEqual(pieces, ["Hel", "lo"])
      assert.deepStrictEqual(
        exit,
        Exit.succeed({
          text: "Hello",
          toolCalls: [],
          finishReason: "stop" as const,
          usage: { promptTokens: 3, completionTokens: 4 }
        })
      )
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect.each([
    ["once it is done", [says("Hel"), says("lo"), stop, usage, "[DONE]"], "Success"],
    ["once it is spoilt", [says("Hel"), "{nope"], "Failure"]
  ] as const)("is waited for no longer %s", ([, data, outcome]) =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(replies.endless(events(...data), { "content-type": "Text/Event-Stream" }))
      const result = yield* Effect.result(streamTo(() => undefined))
      assert.strictEqual(result._tag, outcome)
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect("of whole calls without numbers is read", () =>
    Effect.gen(function* () {
      const call = (id: string) =>
        `{"choices":[{"delta":{"tool_calls":[{"id":"${id}","function":{"name":"list_tasks","arguments":"{}"}}]}}]}`
      const { exit } = yield* asked(events(call("a"), call("b"), stop))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(Exit.isSuccess(exit) && exit.value.toolCalls.map(({ id }) => id), ["a", "b"])
    }).pipe(Effect.provide(ModelServer.layer))
  )

  it.effect.each([
    ["nothing", ""],
    ["no end", events(says("Hel"))],
    ["a piece that is no JSON", events(says("Hel"), "{", stop)],
    ["a piece of another form", events(says("Hel"), '{"choices":7}', stop)],
    ["an error in its midst", events(says("Hel"), '{"error":{"message":"overloaded"}}', stop)],
    ["only an end", events(stop)],
    ["a call of a number that no call has begun", events(numbered(100_000_000), stop)],
    ["a call of a negative number beside text", events(says("Done."), numbered(-1), stop)],
    ["more text than anybody reads", events(...Array.from({ length: 50 }, () => says("x".repeat(100_000))), stop)]
  ] as const)("with %s is no answer", ([, body]) =>
    Effect.gen(function* () {
      const server = yield* ModelServer
      yield* server.script(stream(body))
      const error = yield* Effect.flip(streamTo(() => undefined))
      assert.strictEqual(error.reason, "bad_answer")
      assertHarmless(error)
    }).pipe(Effect.provide(ModelServer.layer))
  )
})
