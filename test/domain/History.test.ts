import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import * as OpenAiModel from "../../src/adapters/openai/OpenAiModel.ts"
import { failedNote, type HistoryBudget, toPromptMessages } from "../../src/domain/History.ts"
import { ToolCallId } from "../../src/domain/model/Conversation.ts"
import { isStorable } from "../../src/domain/model/Text.ts"
import type { History, StoredCall } from "../../src/ports/ConversationRepo.ts"
import { LLM } from "../../src/ports/LLM.ts"
import { invalidRequest } from "../../src/testing/InvalidRequest.ts"

const plenty: HistoryBudget = { tokens: 1_000_000, halved: false }

const call = (seq: number, step: number, position: number, more: Partial<StoredCall> = {}): StoredCall => ({
  id: ToolCallId.make("00000000-0000-7000-8000-000000000000"),
  seq,
  step,
  position,
  providerCallId: `call_${seq}${step}${position}`,
  toolName: "list_tasks",
  arguments: "{}",
  result: '{"success":true}',
  status: "success",
  ...more
})

/** Two turns and the beginning of a third; the second one failed after a step. */
const history: History = {
  messages: [
    { seq: 1, role: "user", content: "one" },
    { seq: 2, role: "assistant", content: "1" },
    { seq: 3, role: "user", content: "two" },
    { seq: 4, role: "user", content: "three" }
  ],
  steps: [
    { seq: 3, step: 1, content: "" },
    { seq: 1, step: 2, content: "b" },
    { seq: 1, step: 1, content: "a" }
  ],
  calls: [call(1, 2, 0), call(1, 1, 1), call(1, 1, 0), call(3, 1, 0)]
}

const roles = (budget: HistoryBudget, from: History = history) =>
  toPromptMessages(from, 4, budget).map((message) => message.role)

describe("toPromptMessages", () => {
  it("shows turns with their steps in order, and what failed with its note", () => {
    const messages = toPromptMessages(history, 4, plenty)
    assert.deepStrictEqual(
      messages.map((message) => message.content),
      [
        ...["one", "a", '{"success":true}', '{"success":true}', "b", '{"success":true}', "1"],
        ...["two", "", '{"success":true}', failedNote],
        "three"
      ]
    )
    assert.deepStrictEqual(roles(plenty), [
      ...["user", "assistant", "tool", "tool", "assistant", "tool", "assistant"],
      ...["user", "assistant", "tool", "assistant"],
      "user"
    ])
  })

  it("leaves out a reply whose message is not there", () => {
    const cut = { ...history, messages: history.messages.slice(1) }
    assert.deepStrictEqual(roles(plenty, cut), ["user", "assistant", "tool", "assistant", "user"])
  })

  it("cuts whole turns to the budget, from the oldest, and never the one at hand", () => {
    const long = (seq: number, role: "user" | "assistant") => ({ seq, role, content: "x".repeat(300) })
    const rows = [long(1, "user"), long(2, "assistant"), long(3, "user"), long(4, "assistant"), long(5, "user")]
    const seen = (tokens: number) =>
      toPromptMessages({ messages: rows, steps: [], calls: [] }, 5, { tokens, halved: false }).length
    assert.deepStrictEqual([0, 108, 323, 324, 539, 540].map(seen), [1, 1, 1, 3, 3, 5])
  })

  it("estimates tokens from above, by bytes", () => {
    const rows = [
      { seq: 1, role: "user" as const, content: "\u{1f600}".repeat(75) }, // 300 bytes
      { seq: 2, role: "assistant" as const, content: "ok" },
      { seq: 3, role: "user" as const, content: "next" }
    ]
    const seen = (tokens: number) =>
      toPromptMessages({ messages: rows, steps: [], calls: [] }, 3, { tokens, halved: false }).length
    assert.deepStrictEqual([100, 110, 130].map(seen), [1, 1, 3])
  })

  it("gives calls names and ids that the API takes", () => {
    const odd = {
      messages: [{ seq: 1, role: "user" as const, content: "x" }],
      steps: [{ seq: 1, step: 1, content: "" }],
      calls: [
        call(1, 1, 0, { providerCallId: "", toolName: "launch rockets!" }),
        call(1, 1, 1, { providerCallId: "same", toolName: "" }),
        call(1, 1, 2, { providerCallId: "same", toolName: "x".repeat(100) }),
        call(1, 1, 3, { providerCallId: "call_1_1_4" }),
        call(1, 1, 4, { providerCallId: "y".repeat(41) })
      ]
    }
    const [, asked, ...results] = toPromptMessages(odd, 1, plenty)
    assert(asked?.role === "assistant")
    const ids = ["call_1_1_0", "same", "call_1_1_2", "call_1_1_4", "call_1_1_4_1"]
    assert.deepStrictEqual(
      asked.toolCalls.map((call) => call.id),
      ids
    )
    assert.deepStrictEqual(asked.toolCalls.map((call) => call.name).slice(0, 3), [
      "launch_rockets_",
      "unknown",
      "x".repeat(64)
    ])
    assert.deepStrictEqual(
      results.map((result) => result.role === "tool" && result.toolCallId),
      ids
    )
  })

  // No store holds other text than this.
  const Text = Schema.String.pipe(Schema.check(Schema.makeFilter(isStorable)))
  const Position = Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 6 })))
  const Stored = Schema.Struct({
    messages: Schema.Array(
      Schema.Struct({
        role: Schema.Literals(["user", "assistant"]),
        content: Text
      })
    ),
    steps: Schema.Array(Schema.Struct({ seq: Position, step: Position, content: Text })),
    calls: Schema.Array(
      Schema.Struct({
        seq: Position,
        step: Position,
        position: Position,
        providerCallId: Schema.Union([Text, Schema.Literals(["call_1", "call_2"])]),
        toolName: Text,
        arguments: Text,
        result: Text
      })
    ),
    tokens: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 500 }))),
    halved: Schema.Boolean
  })

  it.effect.prop(
    "makes a prompt that the OpenAI API takes, whatever was stored",
    [Stored],
    ([stored]) =>
      Effect.gen(function* () {
        const messages = [...stored.messages, { role: "user" as const, content: "now" }].map((message, i) => ({
          ...message,
          seq: i + 1
        }))
        const bodies: Array<unknown> = []
        const model = OpenAiModel.layer({
          apiKey: Redacted.make("key"),
          model: "gpt-4",
          fetch: (_, init) => {
            bodies.push(JSON.parse(String(init?.body)))
            return Promise.reject(new Error("no network"))
          }
        })
        const llm = yield* Effect.provide(LLM, model)
        yield* Effect.exit(
          llm.complete({
            system: "s",
            messages: toPromptMessages(
              {
                messages,
                steps: stored.steps,
                calls: stored.calls.map((row) => call(row.seq, row.step, row.position, row))
              },
              messages.length,
              stored
            ),
            tools: []
          })
        )
        assert.strictEqual(bodies.length, 1)
        assert.isUndefined(invalidRequest(bodies[0]), JSON.stringify(bodies[0]))
      }),
    { arbitrary: { runs: 300 } }
  )
})
