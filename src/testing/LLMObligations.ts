import assert from "node:assert/strict"
import { Context, Effect, Fiber } from "effect"
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
      fits(yield* complete(user("Add milk to my list")))
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
    "tells of its text, piece by piece, just what it says",
    Effect.gen(function* () {
      const llm = yield* LLM
      for (const text of ["Thanks!", "Add milk to my list"]) {
        const told: Array<string> = []
        const said = yield* llm.complete(prompt(user(text)), (piece) => void told.push(piece))
        fits(said)
        // It may tell nothing, or only a beginning.
        const begun = said.text.slice(0, told.join("").length)
        assert.strictEqual(told.join(""), begun)
      }
    })
  ),

  obligation(
    "answers many at once, each by its own prompt",
    Effect.gen(function* () {
      const texts = Array.from({ length: 20 }, (_, i) => (i % 4 === 0 ? "Add milk to my list" : "Thanks!"))
      const answers = yield* Effect.forEach(texts, (text) => complete(user(text)), { concurrency: "unbounded" })
      for (const [i, answer] of answers.entries()) {
        fits(answer)
        assert.strictEqual(answer.toolCalls.length > 0, i % 4 === 0, `of prompt ${i}: ${answer.text}`)
      }
    })
  )
]

/** What the provider behind an adapter has seen: for obligations that no answer tells of. */
export class Provider extends Context.Service<
  Provider,
  {
    /** How many requests have arrived, since it is there. */
    readonly asked: Effect.Effect<number>
    /** How many of them somebody still waits for. */
    readonly waiting: Effect.Effect<number>
  }
>()("turnkeeper/testing/LLMObligations/Provider") {}

/** What every adapter must do whose provider fails each request, as often as it is asked. */
export const whenItFails: ReadonlyArray<Obligation<LLM | Provider>> = [
  obligation(
    "fails with ModelFailed when its provider does, for a reason of the provider's",
    Effect.gen(function* () {
      const { reason } = yield* Expect.failureOf(complete(user("Thanks!")))
      assert.notStrictEqual(reason, "unavailable", "that it was not asked at all is the domain's to say")
    })
  ),

  obligation(
    "asks once, and leaves it to the domain to try again",
    Effect.gen(function* () {
      const provider = yield* Provider
      const before = yield* provider.asked
      yield* Effect.exit(complete(user("Thanks!")))
      assert.strictEqual((yield* provider.asked) - before, 1)
    })
  )
]

/** What every adapter must do whose provider takes a request, and then says nothing. */
export const whenItHangs: ReadonlyArray<Obligation<LLM | Provider>> = [
  obligation(
    "ends the request when nobody waits for the answer any more",
    Effect.gen(function* () {
      const provider = yield* Provider
      const asking = yield* Effect.forkChild(complete(user("Thanks!")))
      yield* Expect.eventually(
        "a request is waited for",
        Effect.map(provider.waiting, (waiting) => waiting === 1)
      )
      yield* Fiber.interrupt(asking)
      yield* Expect.eventually(
        "no request is waited for",
        Effect.map(provider.waiting, (waiting) => waiting === 0)
      )
    })
  )
]
