import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { StorageUnavailable } from "../../src/domain/model/Errors.ts"
import { TaskTitle } from "../../src/domain/model/Task.ts"
import * as TaskToolset from "../../src/domain/TaskToolset.ts"
import * as Tool from "../../src/domain/Tool.ts"
import * as Tools from "../../src/domain/Tools.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { asks, type Line, says } from "../../src/testing/ScriptedModel.ts"
import { ada, instance as makeInstance, message, replyOf, repositories, tasksOfAda } from "../support/instance.ts"

/** An instance with these tools beside the five, which does not wait at its end for what hangs. */
const instance = (script: ReadonlyArray<Line>, ...tools: ReadonlyArray<Tool.Tool<TaskTools>>) =>
  makeInstance(script, { shutdownGrace: Duration.zero }, Layer.orDie(Tools.layerWith(...tools)))

const Nothing = Schema.Struct({})

class Shapeless {}

/** A tool of this name that does this. */
const tool = <E, R>(
  name: string,
  kind: "transactional" | "external",
  handler: (call: Tool.ToolCallContext) => Effect.Effect<object, E, R>
) =>
  Tool.make({
    name,
    description: name,
    parameters: Nothing,
    result: Schema.Struct({}),
    kind,
    handler: (_, call) => handler(call)
  })

const addTask = (title: string) =>
  Effect.flatMap(TaskTools, (tasks) =>
    Effect.asVoid(tasks.add(ada.id, { title: TaskTitle.make(title), description: null }, null))
  )

describe("a tool of one's own", () => {
  it.effect(
    "is told to the model, gets its arguments decoded and the user of the session, and answers as its schema has it",
    () =>
      Effect.gen(function* () {
        const given: Array<unknown> = []
        const book = Tool.make({
          name: "book_room",
          description: "Books a room.",
          parameters: Schema.Struct({ room: Schema.String, day: Schema.DateTimeUtcFromString }),
          result: Schema.Struct({ until: Schema.DateTimeUtcFromString }),
          kind: "transactional",
          handler: (args, call) => {
            given.push([args.room, args.day.epochMilliseconds, call.userId])
            return Effect.succeed({ until: args.day })
          }
        })
        const day = "2026-01-19T10:00:00.000Z"
        const { chat, model } = yield* instance(
          [
            asks(
              ["book_room", { room: "Blue", day, user_id: "bob" }],
              ["book_room", { room: 7 }],
              ["add_task", { title: "Go" }]
            ),
            says("Done.")
          ],
          book
        )
        const reply = replyOf(yield* chat.send(message("Book it")))
        assert.deepStrictEqual(given, [["Blue", Date.parse(day), ada.id]])
        assert.deepStrictEqual(
          reply.toolCalls.map((call) => [call.status, call.result["until"] ?? call.result["success"]]),
          [
            ["success", day],
            ["error", false],
            ["success", true]
          ]
        )
        const told = model.prompts[0]?.tools.find((one) => one.name === "book_room")
        assert.strictEqual(told?.description, "Books a room.")
        assert.deepInclude(told?.parameters, { type: "object", required: ["room", "day"], additionalProperties: false })
        assert.strictEqual(model.prompts[0]?.tools.length, 6)
        assert.deepStrictEqual(yield* tasksOfAda, [["Go", false]])
      }).pipe(Effect.provide(repositories))
  )

  it.effect(
    "that fails, dies, hangs or answers too much is an error for the model, undone, and no end of the turn",
    () =>
      Effect.gen(function* () {
        const first =
          <E>(after: Effect.Effect<object, E>) =>
          () =>
            Effect.andThen(addTask("Half"), after)
        const kinds = {
          says: first(Effect.fail(new Tool.ToolFailed({ message: "The room is taken." }))),
          fails: first(Effect.fail("secret")),
          dies: first(Effect.die(new Error("secret"))),
          hangs: first(Effect.never)
        }
        const large = Tool.make({
          name: "large",
          description: "large",
          parameters: Nothing,
          result: Schema.Struct({ text: Schema.String }),
          kind: "external",
          handler: () => Effect.succeed({ text: "x".repeat(20_000) })
        })
        const { chat } = yield* instance(
          [
            asks(
              ...Object.keys(kinds).map((name) => [name, {}] as const),
              ["large", {}],
              ["out_fails", {}],
              ["out_hangs", {}]
            ),
            says("None of that worked.")
          ],
          tool("says", "transactional", kinds.says),
          tool("fails", "transactional", kinds.fails),
          tool("dies", "transactional", kinds.dies),
          tool("hangs", "transactional", kinds.hangs),
          large,
          tool("out_fails", "external", () => Effect.fail(new StorageUnavailable({ operation: "theirs" }))),
          tool("out_hangs", "external", () => Effect.never)
        )
        const sending = yield* Effect.forkChild(chat.send(message("Do it")))
        yield* TestClock.adjust("40 seconds")
        const reply = replyOf(yield* Fiber.join(sending))
        assert.deepStrictEqual(
          reply.toolCalls.map((call) => [call.toolName, call.status, call.result["error"]]),
          [
            ["says", "error", "The room is taken."],
            ["fails", "error", "The tool failed."],
            ["dies", "error", "The tool failed."],
            ["hangs", "error", "The tool did not answer within 1s 500ms."],
            ["large", "error", "The tool answered more than can be shown."],
            ["out_fails", "error", "The tool failed."],
            ["out_hangs", "error", "The tool did not answer within 30s."]
          ]
        )
        assert.deepStrictEqual(yield* tasksOfAda, [])
      }).pipe(Effect.provide(repositories))
  )

  it.effect(
    "outside of the database is called again with the same key when its instance dies, and the model is not asked anew",
    () =>
      Effect.gen(function* () {
        const repo = yield* ConversationRepo
        const keys: Array<string> = []
        const begun = yield* Deferred.make<void>()
        const send = (hangs: boolean) =>
          tool("send_mail", "external", ({ key }) =>
            Effect.suspend(() => {
              keys.push(key)
              return hangs ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) : Effect.succeed({})
            })
          )
        const asked = {
          ...asks(["add_task", { title: "Mail" }], ["send_mail", {}], ["send_mail", {}]),
          text: "Sending."
        }
        const here = yield* instance([asked], send(true))
        const { turnId } = yield* here.chat.open(message("Send it", { key: "k" }))
        yield* Deferred.await(begun)
        assert.deepStrictEqual(yield* tasksOfAda, [])
        yield* repo.handBack([
          { userId: ada.id, turnId, conversationId: (yield* repo.turn(ada.id, turnId)).conversationId, fence: 1 }
        ])
        const there = yield* instance([says("Sent.")], send(false))
        yield* TestClock.adjust("3 seconds")
        const answer = yield* there.chat.send(message("Send it", { key: "k" }))
        const reply = replyOf(answer)
        assert.strictEqual(reply.message, "Sent.")
        assert.deepStrictEqual(
          reply.toolCalls.map((call) => [call.toolName, call.status]),
          [
            ["add_task", "success"],
            ["send_mail", "success"],
            ["send_mail", "success"]
          ]
        )
        assert.deepStrictEqual(keys, [`${turnId}:1:1`, `${turnId}:1:1`, `${turnId}:1:2`])
        assert.deepStrictEqual(reply.usage, { promptTokens: 20, completionTokens: 10, totalTokens: 30 })
        assert.deepStrictEqual(
          there.model.prompts.map((prompt) => prompt.messages.map((entry) => [entry.role, entry.content])),
          [
            [
              ["user", "Send it"],
              ["assistant", "Sending."],
              ...reply.toolCalls.map((call) => ["tool", JSON.stringify(call.result)])
            ]
          ]
        )
        assert.deepStrictEqual(yield* tasksOfAda, [["Mail", false]])
      }).pipe(Effect.provide(repositories))
  )

  it.effect("may do whatever it likes, and its turn goes on", () =>
    Effect.gen(function* () {
      const strange = Tool.make({
        name: "strange",
        description: "Has code in its schema.",
        parameters: Schema.Struct({
          url: Schema.String.check(Schema.makeFilter((text) => new URL(text).protocol === "https:"))
        }),
        result: Nothing,
        kind: "transactional",
        handler: () => Effect.succeed({})
      })
      const large = Tool.make({
        name: "large",
        description: "Answers too much, and has done something.",
        parameters: Nothing,
        result: Schema.Struct({ text: Schema.String }),
        kind: "transactional",
        handler: () => Effect.as(addTask("Large"), { text: "x".repeat(20_000) })
      })
      const interrupted = tool("interrupted", "transactional", () =>
        Effect.andThen(addTask("Interrupted"), Effect.interrupt)
      )
      const interruptedOutside = tool("interrupted_outside", "external", () => Effect.interrupt)
      const deaf = tool("deaf", "external", () => Effect.uninterruptible(Effect.never))
      const { chat } = yield* instance(
        [
          asks(["strange", { url: "no url" }], ["large", {}], ["interrupted", {}]),
          asks(["interrupted_outside", {}], ["deaf", {}]),
          says("Done.")
        ],
        strange,
        large,
        interrupted,
        interruptedOutside,
        deaf
      )
      const sending = yield* Effect.forkChild(chat.send(message("Go")))
      yield* TestClock.adjust("40 seconds")
      const reply = replyOf(yield* Fiber.join(sending))
      assert.strictEqual(reply.message, "Done.")
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.result["error"]),
        [
          "The tool failed.",
          "The tool answered more than can be shown.",
          "The tool failed.",
          "The tool failed.",
          "The tool did not answer within 30s."
        ]
      )
      assert.deepStrictEqual(yield* tasksOfAda, [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("outside of the database is interrupted when it is late", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const slow = tool("slow", "external", () =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      )
      const { chat } = yield* instance([asks(["slow", {}]), says("Done.")], slow)
      const sending = yield* Effect.forkChild(chat.send(message("Go")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(replyOf(yield* Fiber.join(sending)).message, "Done.")
      assert.strictEqual(interrupted, 1)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("has nothing of the fiber that asked for its turn", () =>
    Effect.gen(function* () {
      const Tenant = Context.Reference<string>("turnkeeper/test/domain/OwnTools.test/Tenant", {
        defaultValue: () => "nobody's"
      })
      const seen: Array<string> = []
      const look = tool("look", "external", () => Effect.map(Tenant, (tenant) => ({ seen: seen.push(tenant) })))
      const { chat } = yield* instance([asks(["look", {}]), says("Done.")], look)
      yield* Effect.provideService(chat.send(message("Go")), Tenant, "the caller's")
      assert.deepStrictEqual(seen, ["nobody's"])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("may be told of by a schema with a name, or by a record", () =>
    Effect.gen(function* () {
      const named = Tool.make({
        name: "named",
        description: "",
        parameters: Schema.Struct({ room: Schema.String }).annotate({ identifier: "Booking" }),
        result: Schema.Struct({ room: Schema.String }).annotate({ identifier: "Booked" }),
        kind: "external",
        handler: Effect.succeed
      })
      const record = Tool.make({
        name: "record",
        description: "",
        parameters: Schema.Record(Schema.String, Schema.String),
        result: Nothing,
        kind: "external",
        handler: () => Effect.succeed({})
      })
      const { definitions } = yield* Effect.provide(Tools.Tools, Tools.layerOf(named, record))
      assert.deepInclude(definitions[0]?.parameters, {
        type: "object",
        required: ["room"],
        additionalProperties: false
      })
      assert.deepInclude(definitions[0]?.output, { type: "object", required: ["success", "room"] })
      assert.deepInclude(definitions[1]?.parameters, { type: "object", additionalProperties: { type: "string" } })
    }).pipe(Effect.provide(repositories))
  )

  it.effect("outside of the database gets no longer than its turn, however patient it is", () =>
    Effect.gen(function* () {
      const patient = Tool.make({
        name: "wait",
        description: "Waits.",
        parameters: Nothing,
        result: Nothing,
        kind: "external",
        timeout: "10 minutes",
        handler: () => Effect.never
      })
      const { chat } = yield* instance([asks(["wait", {}]), says("It takes too long.")], patient)
      const sending = yield* Effect.forkChild(chat.send(message("Wait")))
      yield* TestClock.adjust("55 seconds")
      const reply = replyOf(yield* Fiber.join(sending))
      assert.strictEqual(reply.message, "It takes too long.")
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.result["error"]),
        ["The tool did not answer within the time of the turn."]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("may need services, which it gets when the layer is built; and the five can be left out", () =>
    Effect.gen(function* () {
      class Rooms extends Context.Service<Rooms, { readonly free: Effect.Effect<number> }>()(
        "turnkeeper/test/domain/OwnTools.test/Rooms"
      ) {}
      const count = Tool.make({
        name: "count_rooms",
        description: "Counts the free rooms.",
        parameters: Nothing,
        result: Schema.Struct({ free: Schema.Int }),
        kind: "transactional",
        handler: () => Effect.flatMap(Rooms, (rooms) => Effect.map(rooms.free, (free) => ({ free })))
      })
      class Doors extends Context.Service<Doors, { readonly open: Effect.Effect<void> }>()(
        "turnkeeper/test/domain/OwnTools.test/Doors"
      ) {}
      const open = tool("open_door", "transactional", () => Effect.flatMap(Doors, (doors) => Effect.as(doors.open, {})))
      const tools = Tools.layerOf(count, open).pipe(
        Layer.provide([Layer.succeed(Rooms, { free: Effect.succeed(7) }), Layer.succeed(Doors, { open: Effect.void })]),
        Layer.orDie
      )
      const { chat, model } = yield* makeInstance(
        [asks(["count_rooms", {}], ["open_door", {}], ["add_task", { title: "x" }]), says("7")],
        {},
        tools
      )
      const reply = replyOf(yield* chat.send(message("How many?")))
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.result),
        [{ success: true, free: 7 }, { success: true }, { success: false, error: "There is no tool named add_task." }]
      )
      assert.deepStrictEqual(
        model.prompts[0]?.tools.map((one) => one.name),
        ["count_rooms", "open_door"]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("may stand beside some of the five", () =>
    Effect.gen(function* () {
      const { addTask } = TaskToolset.make({ maxTasks: 1 })
      const own = tool("own", "transactional", () => Effect.succeed({}))
      const { chat, model } = yield* makeInstance(
        [
          asks(["add_task", { title: "Milk" }], ["add_task", { title: "Bread" }]),
          asks(["own", {}], ["list_tasks", {}]),
          says("Done.")
        ],
        {},
        Layer.orDie(Tools.layerOf(addTask, own))
      )
      const reply = replyOf(yield* chat.send(message("Milk and bread")))
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.result["error"] ?? call.toolName),
        [
          "add_task",
          "The limit of 1 tasks is reached: one must be deleted before another is added.",
          "own",
          "There is no tool named list_tasks."
        ]
      )
      assert.deepStrictEqual(
        model.prompts[0]?.tools.map((one) => one.name),
        ["add_task", "own"]
      )
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("that cannot be is told of when the layer is built, all at once", () =>
    Effect.gen(function* () {
      const named = (name: string) => tool(name, "transactional", () => Effect.succeed({}))
      const shapeless = Tool.make({
        name: "shapeless",
        description: "",
        parameters: Schema.Struct({ at: Schema.instanceOf(Shapeless) }),
        result: Nothing,
        kind: "external",
        handler: () => Effect.succeed({})
      })
      const answering = <Result extends Schema.Codec<object, object>>(name: string, result: Result) =>
        Tool.make({
          name,
          description: "",
          parameters: Nothing,
          result,
          kind: "external",
          handler: () => Effect.die("not called")
        })
      const list = answering("list", Schema.Array(Schema.Int))
      const own = answering("own", Schema.Struct({ success: Schema.Boolean }))
      const error = yield* Effect.flip(
        Effect.provide(Tools.Tools, Tools.layerWith(named("add_task"), named("a b"), named(""), shapeless, list, own))
      )
      assert.strictEqual(error._tag, "ToolsInvalid")
      assert.lengthOf(error.problems, 6)
      const expected = ["twice", "no name", "no name", "JSON Schema", "no object", 'a "success" of its own']
      for (const [i, words] of expected.entries()) {
        assert.include(error.problems[i], words)
        assert.include(error.message, words)
      }
    }).pipe(Effect.provide(repositories))
  )
})
