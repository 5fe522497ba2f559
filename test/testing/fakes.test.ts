import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as Chat from "../../src/domain/Chat.ts"
import * as Turnkeeper from "../../src/domain/Turnkeeper.ts"
import { LLM, type Prompt } from "../../src/ports/LLM.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import { ada, message, replyOf, tasksOfAda } from "../support/instance.ts"

const { after, asks, fails, hangs, says, saysInPieces } = ScriptedModel

const prompt = (content: string): Prompt => ({ system: "", messages: [{ role: "user", content }], tools: [] })

const complete = (content: string) => Effect.flatMap(LLM, (llm) => llm.complete(prompt(content)))

describe("a scripted model", () => {
  it.effect("plays its lines in order, and keeps what it was asked", () =>
    Effect.gen(function* () {
      const { extend, left, prompts } = yield* ScriptedModel.ScriptedModel
      const llm = yield* LLM
      assert.deepStrictEqual(yield* complete("one"), says("Hi"))
      const failure = yield* Effect.flip(complete("two"))
      assert.deepStrictEqual([failure.reason, failure.retryAfterMillis], ["rate_limited", 700])
      assert.strictEqual(left(), 1)
      const told: Array<string> = []
      const said = yield* llm.complete(prompt("three"), (text) => void told.push(text))
      assert.deepStrictEqual([said.text, told], ["Hello", ["Hel", "lo"]])
      yield* extend(asks(["add_task", { title: "Milk" }]))
      assert.strictEqual((yield* complete("four")).finishReason, "tool_calls")
      assert.deepStrictEqual(
        prompts.map(({ messages }) => messages[0]?.content),
        ["one", "two", "three", "four"]
      )
      assert.include(String(yield* Effect.exit(complete("five"))), "The script of the model is over")
    }).pipe(Effect.provide(ScriptedModel.layer(says("Hi"), fails("rate_limited", 700), saysInPieces("Hel", "lo"))))
  )

  it.effect("takes its time, or all of it", () =>
    Effect.gen(function* () {
      const late = yield* Effect.forkChild(complete("late"))
      const never = yield* Effect.forkChild(complete("never"))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(late), says("Hi"))
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(never.pollUnsafe())
    }).pipe(Effect.provide(ScriptedModel.layer(after("10 seconds", says("Hi")), hangs)))
  )
})

const milk = { title: "Milk", description: null }

describe("a store with faults", () => {
  it.effect("fails the call that it is told to, before its effect or after it", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const faults = yield* Faults.Faults
      const add = Effect.map(Effect.exit(tasks.add(ada.id, milk, null)), Exit.isSuccess)
      assert.deepStrictEqual([yield* add, yield* add, yield* add], [true, false, false])
      assert.lengthOf(yield* tasksOfAda, 2)
      yield* faults.add({ method: "TaskTools.get", kind: "fails" })
      const [one] = (yield* tasks.list(ada.id, { status: "all", limit: 1, after: Option.none() })).items
      assert(one !== undefined)
      const error = yield* Effect.flip(tasks.get(ada.id, one.id))
      assert(error._tag === "StorageUnavailable")
      assert.strictEqual(error.operation, "TaskTools.get")
      assert.deepStrictEqual(yield* tasks.get(ada.id, one.id), one)
      assert.deepStrictEqual(faults.calls, [
        "TaskTools.add",
        "TaskTools.add",
        "TaskTools.add",
        "TaskTools.list",
        "TaskTools.list",
        "TaskTools.get",
        "TaskTools.get"
      ])
    }).pipe(
      Effect.provide(
        Faults.layer(
          Memory.layer,
          { method: "TaskTools.add", call: 2, kind: "fails" },
          { method: "TaskTools.add", call: 3, kind: "fails after" }
        )
      )
    )
  )

  it.effect("has a call hang, before its effect or after it", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const before = yield* Effect.forkChild(tasks.add(ada.id, milk, null))
      yield* Effect.yieldNow
      assert.lengthOf(yield* tasksOfAda, 0)
      const after = yield* Effect.forkChild(tasks.add(ada.id, milk, null))
      yield* Effect.yieldNow
      assert.lengthOf(yield* tasksOfAda, 1)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([before.pollUnsafe(), after.pollUnsafe()], [undefined, undefined])
    }).pipe(
      Effect.provide(
        Faults.layer(
          Memory.layer,
          { method: "TaskTools.add", kind: "hangs" },
          { method: "TaskTools.add", call: 2, kind: "hangs after" }
        )
      )
    )
  )

  it.effect("has a task added once by a step whose answer is lost, and by one that was rolled back", () =>
    Effect.gen(function* () {
      const chat = yield* Chat.Chat
      const turn = yield* Effect.forkChild(chat.send(message("Add milk")))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(replyOf(yield* Fiber.join(turn)).message, "Added.")
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
      const { calls } = yield* Faults.Faults
      assert.lengthOf(
        calls.filter((method) => method === "ConversationRepo.step"),
        3
      )
    }).pipe(
      Effect.provide(
        Turnkeeper.layer.pipe(
          Layer.provideMerge(
            Layer.mergeAll(
              Faults.layer(
                Memory.layer,
                { method: "TaskTools.add", kind: "fails after" },
                { method: "ConversationRepo.step", call: 2, kind: "fails after" }
              ),
              ScriptedModel.layer(asks(["add_task", { title: "Milk" }]), says("Added."))
            )
          )
        )
      )
    )
  )
})
