import assert from "node:assert/strict"
import { Effect } from "effect"
import { type Completion, LLM, type Prompt, type PromptMessage, type ToolDefinition } from "../ports/LLM.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

const tool = (name: string, properties: Record<string, object>): ToolDefinition => ({
  name,
  description: `Does ${name}`,
  parameters: { type: "object", properties, required: Object.keys(properties), additionalProperties: false }
})

const tools = [
  tool("add_task", { title: { type: "string" } }),
  tool("list_tasks", {}),
  tool("complete_task", { task_id: { type: "integer" } }),
  tool("delete_task", { task_id: { type: "integer" } })
]

const milk = /milk/i

const user = (content: string): PromptMessage => ({ role: "user", content })

const prompt = (...messages: ReadonlyArray<PromptMessage>): Prompt => ({ system: "You keep a list.", messages, tools })

const complete = (...messages: ReadonlyArray<PromptMessage>) =>
  Effect.flatMap(LLM, (llm) => llm.complete(prompt(...messages)))

const fits = (completion: Completion) => {
  assert.ok(completion.text !== "" || completion.toolCalls.length > 0)
  Expect.includes(["stop", "tool_calls", "length"], completion.finishReason)
  assert.strictEqual(completion.finishReason === "tool_calls", completion.toolCalls.length > 0)
  for (const count of [completion.usage.promptTokens, completion.usage.completionTokens]) {
    assert.ok(Number.isInteger(count) && count >= 0)
  }
}

const obligation = obligationsOf("LLM")

/** What every adapter of `LLM` must do, given one that asks for `add_task` when told to add milk and talks when thanked. */
export const obligations: ReadonlyArray<Obligation<LLM>> = [
  obligation(
    "asks for a tool that it was offered, and goes on from the result",
    Effect.gen(function* () {
      const asked = yield* complete(user("Add milk to my list"))
      fits(asked)
      const [call] = asked.toolCalls
      assert.strictEqual(call?.name, "add_task")
      assert.match(String(JSON.parse(call?.arguments ?? "{}").title), milk)
      const said = yield* complete(
        user("Add milk to my list"),
        { role: "assistant", content: asked.text, toolCalls: asked.toolCalls },
        {
          role: "tool",
          toolCallId: call?.id ?? "",
          content: JSON.stringify({
            success: true,
            task: {
              id: 1,
              title: "Milk",
              description: null,
              completed: false,
              created_at: "2026-01-19T10:00:00.000Z",
              updated_at: "2026-01-19T10:00:00.000Z"
            }
          })
        }
      )
      fits(said)
      assert.deepStrictEqual(said.toolCalls, [])
    })
  ),

  obligation(
    "talks, and remembers nothing but what the prompt says",
    Effect.gen(function* () {
      const said = yield* complete(user("Thanks!"))
      fits(said)
      assert.deepStrictEqual(said.toolCalls, [])
      const again = yield* complete(
        user("Thanks!"),
        { role: "assistant", content: said.text, toolCalls: [] },
        user("Thanks!")
      )
      fits(again)
    })
  ),

  obligation(
    "answers many at once",
    Effect.gen(function* () {
      const answers = yield* Effect.replicateEffect(complete(user("Thanks!")), 20, { concurrency: "unbounded" })
      for (const answer of answers) fits(answer)
    })
  )
]
