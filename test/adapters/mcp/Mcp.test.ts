import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schema } from "effect"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import type { UserId } from "../../../src/domain/model/User.ts"
import * as Tool from "../../../src/domain/Tool.ts"
import * as Tools from "../../../src/domain/Tools.ts"
import { DirectCallRepo } from "../../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"
import { connect, send, serveMcp, stores, tasksOf, titlesOf } from "../../support/mcp.ts"

const newUser = uuidV7
const empty = Schema.Struct({})

/** A tool without parameters that does this. */
const tool = <E>(
  name: string,
  kind: "external" | "transactional",
  handler: (call: Tool.ToolCallContext) => Effect.Effect<object, E>,
  timeout?: `${number} millis`
) =>
  Tool.make({
    name,
    description: name,
    parameters: Schema.Struct({ note: Schema.optionalKey(Schema.String) }),
    result: empty,
    kind,
    ...(timeout !== undefined && { timeout }),
    handler: (_, call) => handler(call)
  })

/** Adds a task as a part of a tool's work. */
const addTask = (userId: UserId, title: string) =>
  Effect.flatMap(TaskTools, (tasks) => tasks.add(userId, { title, description: null }, null))

for (const [name, store] of stores) {
  layer(store, { excludeTestServices: true, timeout: "60 seconds" })(`MCP on ${name}`, (it) => {
    it.effect("offers the agent's tools, with hints that are true, and what they answer", () =>
      Effect.gen(function* () {
        const { client } = yield* connect(yield* serveMcp(), `${yield* newUser}-token`)
        const { tools } = yield* Effect.promise(() => client.listTools())
        assert.deepStrictEqual(
          tools.map((tool) => [tool.name, tool.title, tool.annotations]),
          [
            ["add_task", "Add a task", [false, false, false]] as const,
            ["list_tasks", "List tasks", [true, false, true]] as const,
            ["complete_task", "Complete a task", [false, false, true]] as const,
            ["update_task", "Update a task", [false, true, true]] as const,
            ["delete_task", "Delete a task", [false, true, true]] as const
          ].map(([name, title, [readOnlyHint, destructiveHint, idempotentHint]]) => [
            name,
            title,
            { title, readOnlyHint, destructiveHint, idempotentHint, openWorldHint: false }
          ])
        )
        const { definitions } = yield* Effect.provide(Tools.Tools, Tools.layer)
        const told = tools.map(({ description, inputSchema, name, outputSchema }) => [
          name,
          description,
          inputSchema,
          outputSchema
        ])
        const known = definitions.map(({ description, name, output, parameters }) => [
          name,
          description,
          parameters,
          output
        ])
        assert.strictEqual(JSON.stringify(told), JSON.stringify(known))
        assert.isFalse(JSON.stringify(tools).includes("user_id"))
      })
    )

    it.effect("carries out an endpoint's own tools, whatever those of another are called", () =>
      Effect.gen(function* () {
        const carriedOut: Array<string> = []
        const ping = (where: string) =>
          Tools.layerOf(tool("ping", "external", () => Effect.sync(() => ({ pings: carriedOut.push(where) }))))
        const url = yield* serveMcp({ tools: ping("one"), other: { path: "/other", tools: ping("other") } })
        const token = `${yield* newUser}-token`
        yield* (yield* connect(url, token)).call("ping")
        yield* (yield* connect(url.replace(/mcp$/, "other"), token)).call("ping")
        assert.deepStrictEqual(carriedOut, ["one", "other"])
      })
    )

    it.effect("carries each of them out, and answers as the model is told, and as a value", () =>
      Effect.gen(function* () {
        const user = yield* connect(yield* serveMcp(), `${yield* newUser}-token`)
        // The client checks each value against the schema that the tool has told.
        yield* Effect.promise(() => user.client.listTools())
        const added = yield* user.call("add_task", { title: " Milk ", description: "2 litres" })
        const [first] = added.content
        assert.strictEqual(first?.type, "text")
        assert.deepStrictEqual(JSON.parse(first?.type === "text" ? first.text : ""), added.structuredContent)
        assert.strictEqual(added.isError, false)
        yield* user.call("add_task", { title: "Bread" })
        yield* user.call("complete_task", { task_id: 1 })
        yield* user.call("update_task", { task_id: 1, title: "Oat milk", description: null })
        yield* user.call("delete_task", { task_id: 2 })
        assert.deepStrictEqual(
          (yield* tasksOf(user)).map((task) => [Number(task.id), task.title, task.description, task.completed]),
          [[1, "Oat milk", null, true]]
        )
      })
    )

    it.effect("tells the model what it did wrong as a result, and the client what it did as an error", () =>
      Effect.gen(function* () {
        const user = yield* connect(yield* serveMcp(), `${yield* newUser}-token`)
        for (const [name, args, told] of [
          ["add_task", {}, "The arguments do not fit: Missing key"],
          ["add_task", { title: "x".repeat(256) }, "The arguments do not fit: Expected 1 to 255 characters"],
          ["add_task", { title: "Milk", description: "x".repeat(100_000) }, "The arguments are too large."],
          ["complete_task", { task_id: "1" }, "The arguments do not fit"],
          ["complete_task", { task_id: 7 }, "There is no task number 7."],
          ["update_task", { task_id: 7 }, "The arguments do not fit: Expected a title or a description"]
        ] as const) {
          const result = yield* user.call(name, args)
          assert.strictEqual(result.isError, true)
          assert.isUndefined(result.structuredContent)
          assert.include(JSON.stringify(result.content), told)
        }
        const unknown = yield* Effect.flip(user.call("drop_table"))
        assert.strictEqual(unknown.code, -32602)
        assert.deepStrictEqual(yield* titlesOf(user), [])
      })
    )

    it.effect("an argument that names another user is nothing", () =>
      Effect.gen(function* () {
        const url = yield* serveMcp()
        const [ada, bob] = [yield* newUser, yield* newUser]
        const [hers, his] = [yield* connect(url, `${ada}-token`), yield* connect(url, `${bob}-token`)]
        yield* hers.call("add_task", { title: "Milk", user_id: bob, userId: bob })
        assert.deepStrictEqual([yield* titlesOf(hers), yield* titlesOf(his)], [["Milk"], []])
      })
    )

    describe("a call with a key", () => {
      it.effect("happens once, however often it is sent, by whichever session and instance", () =>
        Effect.gen(function* () {
          const [url, other] = [yield* serveMcp(), yield* serveMcp()]
          const token = `${yield* newUser}-token`
          const [here, there] = [yield* connect(url, token), yield* connect(other, token)]
          const add = { title: "Milk", description: null }
          const first = yield* here.call("add_task", add, "k")
          for (const session of [here, there, yield* connect(url, token)]) {
            assert.deepStrictEqual(yield* session.call("add_task", { description: null, title: "Milk" }, "k"), first)
          }
          assert.deepStrictEqual(yield* titlesOf(here), ["Milk"])
        })
      )

      it.effect("happens once when many come at the same moment, at two instances", () =>
        Effect.gen(function* () {
          const [url, other] = [yield* serveMcp(), yield* serveMcp()]
          const token = `${yield* newUser}-token`
          const sessions = [yield* connect(url, token), yield* connect(other, token)]
          const results = yield* Effect.forEach(
            Array.from({ length: 12 }, (_, i) => i),
            (i) => sessions[i % 2]?.call("add_task", { title: "Milk" }, "k") ?? Effect.die("there are two"),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(new Set(results.map((result) => JSON.stringify(result))).size, 1)
          assert.strictEqual(results[0]?.isError, false)
          const [session] = sessions
          assert.deepStrictEqual(session && (yield* titlesOf(session)), ["Milk"])
        })
      )

      it.effect("is refused with other arguments, or for another tool, and another user's is another", () =>
        Effect.gen(function* () {
          const url = yield* serveMcp()
          const [ada, bob] = [
            yield* connect(url, `${yield* newUser}-token`),
            yield* connect(url, `${yield* newUser}-token`)
          ]
          yield* ada.call("add_task", { title: "Milk" }, "k")
          yield* ada.call("complete_task", { task_id: 1 }, "k2")
          for (const again of [
            ada.call("add_task", { title: "Bread" }, "k"),
            ada.call("list_tasks", {}, "k"),
            ada.call("delete_task", { task_id: 1 }, "k2")
          ]) {
            const refused = yield* Effect.flip(again)
            assert.strictEqual(refused.code, -32602)
            assert.deepStrictEqual(refused.data, { code: "idempotency_key_reused", retryable: false })
          }
          yield* bob.call("add_task", { title: "Bread" }, "k")
          assert.deepStrictEqual([yield* titlesOf(ada), yield* titlesOf(bob)], [["Milk"], ["Bread"]])
        })
      )

      it.effect("keeps what it was told, be that good or not", () =>
        Effect.gen(function* () {
          const user = yield* connect(yield* serveMcp(), `${yield* newUser}-token`)
          const missed = yield* user.call("complete_task", { task_id: 1 }, "k")
          assert.strictEqual(missed.isError, true)
          yield* user.call("add_task", { title: "Milk" })
          assert.deepStrictEqual(yield* user.call("complete_task", { task_id: 1 }, "k"), missed)
          assert.strictEqual((yield* tasksOf(user))[0]?.completed, false)
        })
      )

      it.effect("is refused when that is none, and nothing happens", () =>
        Effect.gen(function* () {
          const user = yield* connect(yield* serveMcp(), `${yield* newUser}-token`)
          for (const key of ["", "a b", "x".repeat(256), "é", 7, null, {}]) {
            const refused = yield* Effect.flip(user.call("add_task", { title: "Milk" }, key))
            assert.strictEqual(refused.code, -32602)
            assert.deepStrictEqual(refused.data, { code: "invalid_request", retryable: false })
          }
          assert.deepStrictEqual(yield* titlesOf(user), [])
        })
      )

      it.effect(
        "of a tool outside of the database has that tool called with the same key until its result is kept",
        () =>
          Effect.gen(function* () {
            const keys: Array<string> = []
            const stuck = yield* Deferred.make<void>()
            const mail = tool("send_mail", "external", ({ key }) =>
              Effect.suspend(() => {
                keys.push(key)
                return keys.length === 1
                  ? Effect.andThen(Deferred.succeed(stuck, undefined), Effect.never)
                  : Effect.succeed({})
              })
            )
            const url = yield* serveMcp({ tools: Tools.layerOf(mail) })
            const user = yield* connect(url, `${yield* newUser}-token`)
            // The first one is left while it is under way, as by a crash.
            yield* Effect.raceFirst(Effect.ignore(user.call("send_mail", {}, "k")), Deferred.await(stuck))
            const sent = yield* user.call("send_mail", {}, "k")
            assert.deepStrictEqual(yield* user.call("send_mail", {}, "k"), sent)
            assert.strictEqual((yield* Effect.flip(user.call("send_mail", { note: "x" }, "k"))).code, -32602)
            yield* user.call("send_mail", {}, "k2")
            yield* user.call("send_mail", {})
            yield* user.call("send_mail", {})
            const [first, second, ...others] = keys
            assert.strictEqual(first, second)
            assert.strictEqual(new Set([first, ...others]).size, 4)
            assert.strictEqual(others.length, 3)
          })
      )
    })

    describe("a tool of the application's own", () => {
      it.effect("is offered with what it says of itself, and as the worst where it says nothing", () =>
        Effect.gen(function* () {
          const told = Tool.make({
            name: "rooms",
            description: "Lists rooms.",
            parameters: empty,
            result: Schema.Struct({ free: Schema.Int }),
            kind: "transactional",
            annotations: { title: "Rooms", readOnlyHint: true, openWorldHint: false },
            handler: () => Effect.succeed({ free: 2 })
          })
          const url = yield* serveMcp({
            tools: Tools.layerOf(
              told,
              tool("silent", "external", () => Effect.succeed({}))
            )
          })
          const { call, client } = yield* connect(url, `${yield* newUser}-token`)
          const { tools } = yield* Effect.promise(() => client.listTools())
          assert.deepStrictEqual(
            tools.map((tool) => [tool.title, tool.annotations, tool.outputSchema?.required]),
            [
              [
                "Rooms",
                {
                  title: "Rooms",
                  readOnlyHint: true,
                  destructiveHint: true,
                  idempotentHint: false,
                  openWorldHint: false
                },
                ["success", "free"]
              ],
              [
                "silent",
                {
                  title: "silent",
                  readOnlyHint: false,
                  destructiveHint: true,
                  idempotentHint: false,
                  openWorldHint: true
                },
                ["success"]
              ]
            ]
          )
          assert.deepStrictEqual((yield* call("rooms")).structuredContent, { success: true, free: 2 })
          assert.deepStrictEqual((yield* call("silent")).structuredContent, { success: true })
        })
      )

      it.effect("that fails, dies or hangs is an error for the model, and undone", () =>
        Effect.gen(function* () {
          const tasks = yield* TaskTools
          const half =
            <E>(after: Effect.Effect<object, E>) =>
            (call: Tool.ToolCallContext) =>
              Effect.andThen(addTask(call.userId, "Half"), after).pipe(Effect.provideService(TaskTools, tasks))
          const url = yield* serveMcp({
            tools: Tools.layerWith(
              tool("says", "transactional", half(Effect.fail(new Tool.ToolFailed({ message: "The room is taken." })))),
              tool("fails", "transactional", half(Effect.fail("secret"))),
              tool("dies", "transactional", half(Effect.die(new Error("secret")))),
              tool("hangs", "transactional", half(Effect.never), "50 millis"),
              tool("out_dies", "external", () => Effect.die(new Error("secret"))),
              tool("out_hangs", "external", () => Effect.never, "50 millis")
            )
          })
          const user = yield* connect(url, `${yield* newUser}-token`)
          for (const key of [undefined, "k"]) {
            for (const [name, told] of [
              ["says", "The room is taken."],
              ["fails", "The tool failed."],
              ["dies", "The tool failed."],
              ["hangs", "The tool did not answer within 50ms."],
              ["out_dies", "The tool failed."],
              ["out_hangs", "The tool did not answer within 50ms."]
            ] as const) {
              const result = yield* user.call(name, {}, key === undefined ? undefined : `${key}-${name}`)
              assert.deepStrictEqual(result, {
                content: [{ type: "text", text: JSON.stringify({ success: false, error: told }) }],
                isError: true
              })
            }
          }
          assert.deepStrictEqual(yield* titlesOf(user), [])
        })
      )

      it.effect("that is cancelled is left, and undone with its key", () =>
        Effect.gen(function* () {
          const tasks = yield* TaskTools
          const stuck = yield* Deferred.make<void>()
          const left = yield* Deferred.make<void>()
          let times = 0
          const once = tool("once", "transactional", ({ userId }) =>
            Effect.gen(function* () {
              yield* addTask(userId, `Task ${++times}`).pipe(Effect.provideService(TaskTools, tasks))
              if (times > 1) return {}
              yield* Deferred.succeed(stuck, undefined)
              return yield* Effect.onInterrupt(Effect.never, () => Deferred.succeed(left, undefined))
            })
          )
          const user = yield* connect(yield* serveMcp({ tools: Tools.layerWith(once) }), `${yield* newUser}-token`)
          yield* Effect.raceFirst(Effect.ignore(user.call("once", {}, "k")), Deferred.await(stuck))
          yield* Deferred.await(left)
          yield* user.call("once", {}, "k")
          assert.deepStrictEqual(yield* titlesOf(user), ["Task 2"])
        })
      )
    })

    it.effect("a store that is out of reach is an error that may be tried again under the same key", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        let away = true
        const flaky = DirectCallRepo.of({
          ...repo,
          perform: (...args) =>
            away ? Effect.fail(new StorageUnavailable({ operation: "test" })) : repo.perform(...args)
        })
        const url = yield* Effect.provideService(serveMcp(), DirectCallRepo, flaky)
        const user = yield* connect(url, `${yield* newUser}-token`)
        const refused = yield* Effect.flip(user.call("add_task", { title: "Milk" }, "k"))
        assert.strictEqual(refused.code, -32603)
        assert.deepStrictEqual(refused.data, { code: "unavailable", retryable: true })
        away = false
        yield* user.call("add_task", { title: "Milk" }, "k")
        assert.deepStrictEqual(yield* titlesOf(user), ["Milk"])
      })
    )

    it.effect("a user has a share of the service, and another passes what waits for one", () =>
      Effect.gen(function* () {
        const open = yield* Deferred.make<void>()
        const full = yield* Deferred.make<void>()
        let running = 0
        let most = 0
        const wait = tool("wait", "external", () =>
          Effect.gen(function* () {
            most = Math.max(most, ++running)
            if (running === 4) yield* Deferred.succeed(full, undefined)
            yield* Deferred.await(open)
            running--
            return {}
          })
        )
        const url = yield* serveMcp({ tools: Tools.layerWith(wait) })
        const [adaId, bobId] = [yield* newUser, yield* newUser]
        const [ada, bob] = [yield* connect(url, `${adaId}-token`), yield* connect(url, `${bobId}-token`)]
        const many = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 9 }, () => ada.call("wait")),
            { concurrency: "unbounded" }
          )
        )
        yield* Deferred.await(full)
        // It is the same share as over HTTP.
        const rest = (id: string) =>
          send(url.replace("/mcp", `/api/v1/users/${id}/tasks`), `${id}-token`, undefined, {}, "GET")
        const waiting = yield* Effect.forkChild(rest(adaId), { startImmediately: true })
        assert.deepStrictEqual(yield* titlesOf(bob), [])
        for (let i = 0; i < 5; i++) assert.strictEqual((yield* rest(bobId)).status, 200)
        assert.isUndefined(waiting.pollUnsafe())
        yield* Deferred.succeed(open, undefined)
        assert.strictEqual((yield* Fiber.join(waiting)).status, 200)
        assert.strictEqual((yield* Fiber.join(many)).length, 9)
        assert.strictEqual(most, 4)
      })
    )
  })
}
