import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { UserId } from "../../src/domain/model/User.ts"
import { type Completion, ModelFailed, type Prompt } from "../../src/ports/LLM.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { asks, type Line, says } from "../../src/testing/ScriptedModel.ts"
import { instance, message, replyOf, repositories, talk, tasksOfAda } from "../support/instance.ts"

const eve = UserId.make("eve")
const usage = { promptTokens: 10, completionTokens: 5 }
const failing = (reason: ModelFailed["reason"]) => new ModelFailed({ reason })
const hangs: Line = () => Effect.never
const completion = (more: Partial<Completion>): Completion => ({
  text: "",
  toolCalls: [],
  finishReason: "stop",
  usage,
  ...more
})
const one = { id: "call_0", name: "add_task", arguments: '{"title":"Cut"}' }

const play = (line: Line, prompt: Prompt) =>
  typeof line === "function" ? line(prompt) : "_tag" in line ? Effect.fail(line) : Effect.succeed(line)

/** What a model may do wrong at any of its answers, and what its turn ends with: `said`, when it goes on as if nothing were. */
const faults: ReadonlyArray<readonly [name: string, line: Line, end: string]> = [
  ["asks for patience", failing("rate_limited"), "rate_limited"],
  ["is overloaded", failing("overloaded"), "overloaded"],
  ["does not answer in time", failing("timed_out"), "timed_out"],
  ["never answers", hangs, "timed_out"],
  ["is out of reach", failing("unreachable"), "unreachable"],
  ["answers what is no answer", failing("bad_answer"), "bad_answer"],
  ["refuses", failing("refused"), "refused"],
  ["finds it too long", failing("context_too_long"), "context_too_long"],
  ["is not set up", failing("misconfigured"), "misconfigured"],
  ["says nothing", completion({}), "bad_answer"],
  ["says what is blank", completion({ text: " \n" }), "bad_answer"],
  ["cuts its tool calls", completion({ toolCalls: [one], finishReason: "length" }), "bad_answer"],
  ["asks for a tool that there is not", asks(["launch_rocket", {}]), "said"],
  ["writes arguments that are no JSON", asks(["add_task", '{"title": "Buy']), "said"],
  ["writes arguments of another kind", asks(["add_task", "[]"], ["add_task", "7"], ["complete_task", '"x"']), "said"],
  ["names the same call twice", completion({ toolCalls: [one, one], finishReason: "tool_calls" }), "said"],
  ["asks for tools, and says that it stopped", completion({ toolCalls: [one] }), "said"],
  [
    "speaks for another user",
    asks(["delete_task", { task_id: 9, user_id: "eve" }], ["list_tasks", { user_id: "eve" }]),
    "said"
  ],
  ["asks for two hundred tools", asks(...Array.from({ length: 200 }, () => ["list_tasks", {}] as const)), "said"]
]

describe("a model that goes wrong", () => {
  for (const at of [0, 1, 2]) {
    it.effect.each(faults)(`at its answer ${at + 1}, when it %s`, ([, line, end]) =>
      Effect.gen(function* () {
        const tasks = yield* TaskTools
        yield* Effect.replicateEffect(tasks.add(eve, { title: "Eve's own", description: null }, null), 9)
        const before = Array.from({ length: at }, (_, i) => asks(["add_task", { title: `Task ${i}` }]))
        let mended = false
        let shown = false
        const answer: Line = (prompt) => {
          if (mended) return Effect.succeed(says("Here I am again."))
          if (shown && end === "said") return Effect.succeed(says("Done."))
          shown = true
          return play(line, prompt)
        }
        const { chat, model } = yield* instance([...before, answer, answer, answer, answer])
        const fiber = yield* Effect.forkChild(Effect.result(chat.send(message("Add them"))))
        yield* TestClock.adjust("2 minutes")
        const result = yield* Fiber.join(fiber)
        const asked = model.prompts.length
        assert.isAtMost(asked, at + 3)
        if (result._tag === "Failure") {
          assert(result.failure._tag === "TurnFailed")
          assert.strictEqual(result.failure.failure.reason, end)
          assert.strictEqual(result.failure.toolCalls.length, at)
        } else {
          assert.strictEqual(end, "said")
          assert.strictEqual(replyOf(result.success).message, "Done.")
        }

        // What was done before is done once, and nothing of Eve's was read or changed.
        const own = (yield* tasksOfAda).map(([title]) => title).filter((title) => title.startsWith("Task"))
        assert.deepStrictEqual(
          own,
          Array.from({ length: at }, (_, i) => `Task ${i}`)
        )
        const eves = yield* tasks.list(eve, { status: "all", limit: 10, after: Option.none() })
        assert.deepStrictEqual(
          eves.items.map((task) => task.title),
          Array.from({ length: 9 }, () => "Eve's own")
        )
        assert.notInclude(JSON.stringify(model.prompts), "Eve's own")

        // The conversation goes on with the next message.
        const conversationId =
          result._tag === "Failure" && result.failure._tag === "TurnFailed"
            ? result.failure.conversationId
            : replyOf(yield* Effect.fromResult(result)).conversationId
        mended = true
        const next = replyOf(yield* chat.send(message("And now?", { conversationId })))
        assert.strictEqual(next.message, "Here I am again.")
        assert.deepStrictEqual((yield* talk(conversationId)).slice(-2), [
          ["user", "And now?"],
          ["assistant", "Here I am again."]
        ])
      }).pipe(Effect.provide(repositories))
    )
  }
})
