import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { TaskTools, Turn, Turnkeeper, User } from "turnkeeper"
import { Memory } from "turnkeeper/memory"
import { Faults, ScriptedModel } from "turnkeeper/testing"
import * as Mailbox from "../src/Mailbox.ts"

const { asks, fails, hangs, says } = ScriptedModel

const ada = { id: User.UserId.make("ada"), name: "Ada" }
const mail: Mailbox.Mail = { id: Turn.IdempotencyKey.make("mail-1"), from: ada, text: "Remind me to buy milk." }

/** The mailbox on a store in memory, with a model that plays the script. */
const mailbox = (script: ReadonlyArray<ScriptedModel.Line>, ...faults: ReadonlyArray<Faults.Fault>) =>
  Mailbox.layer.pipe(
    Layer.provide(Turnkeeper.layer),
    Layer.provideMerge([Faults.layer(Memory.layer, ...faults), ScriptedModel.layer(...script)])
  )

const receive = Effect.flatMap(Mailbox.Mailbox, ({ receive }) => receive(mail))

const titles = Effect.gen(function* () {
  const tasks = yield* TaskTools.TaskTools
  const { items } = yield* tasks.list(ada.id, { status: "all", limit: 10, after: Option.none() })
  return items.map((task) => task.title)
})

const buyMilk = asks(["add_task", { title: "Buy milk" }])

describe("Mailbox", () => {
  it.effect("answers a mail once, however often it is delivered", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* receive, "It is on your list.")
      assert.strictEqual(yield* receive, "It is on your list.")
      assert.deepStrictEqual(yield* titles, ["Buy milk"])
      const { prompts } = yield* ScriptedModel.ScriptedModel
      assert.lengthOf(prompts, 2)
    }).pipe(Effect.provide(mailbox([buyMilk, says("It is on your list.")])))
  )

  it.effect("tells what was done when the model gives up", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* receive, "I could not finish this. What I did: add_task.")
    }).pipe(Effect.provide(mailbox([buyMilk, fails("refused")])))
  )

  it.effect("has a mail delivered again when the model takes too long, and goes on where it was", () =>
    Effect.gen(function* () {
      const first = yield* Effect.forkChild(Effect.flip(receive))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(first))._tag, "NotYet")
      assert.strictEqual(yield* receive, "It is on your list.")
      assert.deepStrictEqual(yield* titles, ["Buy milk"])
      const { prompts } = yield* ScriptedModel.ScriptedModel
      assert.deepStrictEqual(
        prompts[2]?.messages.map(({ role }) => role),
        ["user", "assistant", "tool"]
      )
    }).pipe(Effect.provide(mailbox([buyMilk, hangs, says("It is on your list.")])))
  )

  it.effect("does nothing twice when the store's answer is lost", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.forkChild(receive)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(answer), "It is on your list.")
      assert.deepStrictEqual(yield* titles, ["Buy milk"])
    }).pipe(
      Effect.provide(
        mailbox([buyMilk, says("It is on your list.")], { method: "ConversationRepo.step", kind: "fails after" })
      )
    )
  )
})
