import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { layer } from "../../../src/adapters/offline/OfflineModel.ts"
import { LLM } from "../../../src/ports/LLM.ts"
import { startChat, tools } from "./driver.ts"

/** Words that steer the recognition into its corners, in any order. */
const Words = Schema.Array(
  Schema.Literals(
    `add create remind me to task tasks list show what left done is mark as complete finished I the a my all everything
     delete remove clear rename change update description title of and , ; : " ' 1 2 3 99 the first one last it them
     both yes no please not don't except Tuesday 3pm milk buy dentist groceries grocries \n - ? 😀 ı`.split(/ +/u)
  )
)
const Message = Schema.Union([Schema.String, Words])
const textOf = (message: typeof Message.Type): string => (typeof message === "string" ? message : message.join(" "))

const Titles = Schema.Array(
  Schema.Union([Schema.String, Schema.Literals(["Buy groceries", "x Call dentist", "yes", "1"])])
)

describe("whatever is said", () => {
  it.effect.prop(
    "a talk about any list ends in words, within ten answers, by tools that are offered",
    { messages: Schema.Array(Message), titles: Titles, offered: Schema.Array(Schema.Literals([0, 1, 2, 3, 4])) },
    ({ messages, offered, titles }) =>
      Effect.gen(function* () {
        const some = offered.length === 0 ? tools : tools.filter((_, index) => offered.some((each) => each === index))
        const chat = startChat(titles, some)
        for (const message of messages) {
          const said = yield* chat.say(textOf(message))
          assert.isAtMost(said.completions, 10)
          assert.notStrictEqual(said.reply.trim(), "")
          assert.isTrue(said.reply.isWellFormed() && !said.reply.includes("\0"))
          const names = said.calls.map((call) => call.split(" ")[0])
          assert.isTrue(names.every((name) => some.some((tool) => tool.name === name)))
        }
        const ids = chat.messages.flatMap((message) =>
          message.role === "assistant" ? message.toolCalls.map((call) => call.id) : []
        )
        assert.strictEqual(new Set(ids).size, ids.length)
        for (const task of chat.tasks.slice(titles.length)) {
          const length = Array.from(task.title).length
          assert.isTrue(length >= 1 && length <= 255)
        }
      }).pipe(Effect.provide(layer)),
    { arbitrary: { runs: 1500 } }
  )

  const Call = Schema.Struct({
    id: Schema.Union([Schema.String, Schema.Literal("offline_1")]),
    name: Schema.Union([Schema.String, Schema.Literals(["list_tasks", "delete_task", "__proto__", "constructor"])]),
    arguments: Schema.Union([Schema.String, Schema.Literals(['{"status":"all"}', '{"task_id":1}', "{}"])])
  })
  const AnyMessage = Schema.Union([
    Schema.Struct({
      role: Schema.Literal("user"),
      content: Schema.Union([Schema.String, Schema.Literals(["delete task 1", "clear my list", "yes"])])
    }),
    Schema.Struct({ role: Schema.Literal("assistant"), content: Schema.String, toolCalls: Schema.Array(Call) }),
    Schema.Struct({
      role: Schema.Literal("tool"),
      toolCallId: Schema.Union([Schema.String, Schema.Literal("offline_1")]),
      content: Schema.Union([
        Schema.String,
        Schema.Literals(['{"success":true}', '{"success":true,"tasks":[{}]}', "[]"])
      ])
    })
  ])

  it.effect.prop(
    "any prompt is answered, and the same prompt by the same answer",
    { system: Schema.String, messages: Schema.Array(AnyMessage) },
    ({ messages, system }) =>
      Effect.gen(function* () {
        const llm = yield* LLM
        const first = yield* llm.complete({ system, messages, tools })
        assert.isTrue(first.text.trim() !== "" || first.toolCalls.length > 0)
        assert.deepStrictEqual(yield* llm.complete({ system, messages, tools }), first)
      }).pipe(Effect.provide(layer)),
    { arbitrary: { runs: 1000 } }
  )
})

it.effect(
  "takes long and odd messages without delay",
  () =>
    Effect.gen(function* () {
      for (const message of [
        `change ${"to ".repeat(1300)}`,
        `add ${", ".repeat(1900)}`,
        `${" ".repeat(3900)}x`,
        `rename ${"a ".repeat(900)}to ${"b ".repeat(900)}`,
        `add${" ".repeat(1900)}x`,
        `mark ${"as ".repeat(1300)}`,
        `add a note to ${"saying ".repeat(500)}`,
        `is ${"is ".repeat(1300)}`,
        `${"please ".repeat(550)}`,
        `${"no ".repeat(1300)}x`,
        `delete ${"2 - ".repeat(900)}x`,
        `I deleted ${"the wrong ".repeat(390)}`,
        `add ${"with description ".repeat(230)}`
      ]) {
        const said = yield* startChat(["Buy groceries"]).say(message)
        assert.notStrictEqual(said.reply, "")
      }
    }).pipe(Effect.provide(layer)),
  2000
)
