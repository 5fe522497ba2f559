import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Latch, Layer, Logger, Option, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Chat, ChatError } from "../../src/domain/Chat.ts"
import { failedNote } from "../../src/domain/History.ts"
import { uuidV7 } from "../../src/domain/Ids.ts"
import { ConversationId, MessageId, TurnId } from "../../src/domain/model/Conversation.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { defaultSettings } from "../../src/domain/Settings.ts"
import { leaseMillis, turnPolicy } from "../../src/domain/TurnPolicy.ts"
import { layerDrain, Turns } from "../../src/domain/Turns.ts"
import { type BeginRequest, ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { type Completion, ModelFailed } from "../../src/ports/LLM.ts"
import { asks, type Line, says } from "../../src/testing/ScriptedModel.ts"
import { ada, instance, message, replyOf, repositories, talk, tasksOfAda, until } from "../support/instance.ts"

const policy = { ...turnPolicy(defaultSettings), turnsAtOnce: null }
const overloaded = new ModelFailed({ reason: "overloaded" })
const hangs: Line = () => Effect.never

/** A turn that some instance began and died over. */
const leftBehind = Effect.fnUntraced(function* (content: string, more: Partial<BeginRequest> = {}) {
  const repo = yield* ConversationRepo
  const outcome = yield* repo.begin(
    {
      userId: ada.id,
      turnId: TurnId.make(yield* uuidV7),
      holder: yield* uuidV7,
      idempotencyKey: Option.none(),
      fingerprint: JSON.stringify(["chat", null, content]),
      conversationId: Option.none(),
      newConversationId: ConversationId.make(yield* uuidV7),
      title: "Chat",
      messageId: MessageId.make(yield* uuidV7),
      content,
      context: { userName: ada.name },
      begun: false,
      ...more
    },
    policy
  )
  assert(outcome._tag === "Claimed")
  return outcome.turn
})

/** One of many users. */
const someone = (n: number) => ({ ...ada, id: UserId.make(`user${n}`) })

describe("Chat", () => {
  it.effect("answers, and stores what was said", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([says("Hello, Ada!")])
      const answer = yield* chat.send(message("Hello"))
      const reply = replyOf(answer)
      assert.strictEqual(answer.replayed, false)
      assert.strictEqual(reply.message, "Hello, Ada!")
      assert.deepStrictEqual(reply.toolCalls, [])
      assert.deepStrictEqual(reply.usage, { promptTokens: 10, completionTokens: 5, totalTokens: 15 })
      assert.deepStrictEqual(yield* talk(reply.conversationId), [
        ["user", "Hello"],
        ["assistant", "Hello, Ada!"]
      ])
      assert.deepStrictEqual(
        model.prompts.map((prompt) => prompt.messages),
        [[{ role: "user", content: "Hello" }]]
      )
      assert.include(model.prompts[0]?.system, "Ada")
      assert.include(model.prompts[0]?.system, "Thursday, 1 January 1970")
      const repo = yield* ConversationRepo
      assert.strictEqual((yield* repo.get(ada.id, reply.conversationId)).title, "Chat 1970-01-01 00:00")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("runs tools between the model's answers, and tells of them", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([
        asks(["add_task", { title: "Milk" }], ["add_task", { title: "Bread" }]),
        asks(["complete_task", { task_id: 1, user_id: "someone-else" }]),
        says("Added both, and milk is done.")
      ])
      const reply = replyOf(yield* chat.send(message("Add milk and bread; milk is done")))
      assert.deepStrictEqual(yield* tasksOfAda, [
        ["Milk", true],
        ["Bread", false]
      ])
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => [call.toolName, call.status, call.arguments]),
        [
          ["add_task", "success", { user_id: "ada", title: "Milk" }],
          ["add_task", "success", { user_id: "ada", title: "Bread" }],
          ["complete_task", "success", { user_id: "ada", task_id: 1 }]
        ]
      )
      assert.deepStrictEqual(reply.usage, { promptTokens: 30, completionTokens: 15, totalTokens: 45 })
      // The model sees each call with its result, and no user's id.
      assert.deepStrictEqual(
        model.prompts.map((prompt) => prompt.messages.map((entry) => entry.role)),
        [["user"], ["user", "assistant", "tool", "tool"], ["user", "assistant", "tool", "tool", "assistant", "tool"]]
      )
      assert.notInclude(JSON.stringify(model.prompts[1]), ada.id)
      assert.notInclude(JSON.stringify(model.prompts[0]?.tools), "user_id")
      // In the next turn all of it is there.
      yield* model.extend(says("You are welcome."))
      yield* chat.send(message("Thanks", { conversationId: reply.conversationId }))
      assert.deepStrictEqual(
        model.prompts.at(-1)?.messages.map((entry) => entry.role),
        [...["user", "assistant", "tool", "tool", "assistant", "tool", "assistant", "user"]]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("starts a conversation under an id of the client's choice, and answers a repeated request once", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([says("Hello, Ada!"), says("Bye.")])
      const conversationId = ConversationId.make(yield* uuidV7)
      const hello = { ...message("Hello", { key: "k", conversationId }), startIfAbsent: true }
      const first = yield* chat.send(hello)
      assert.strictEqual(replyOf(first).conversationId, conversationId)
      // Whether the conversation was there is no part of the request.
      assert.deepStrictEqual(yield* chat.send(hello), { ...first, replayed: true })
      assert.deepStrictEqual(yield* chat.send({ ...hello, startIfAbsent: false }), { ...first, replayed: true })
      yield* chat.send({ ...message("Bye", { conversationId }), startIfAbsent: true })
      assert.deepStrictEqual(
        (yield* talk(conversationId)).map(([, content]) => content),
        ["Hello", "Hello, Ada!", "Bye", "Bye."]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("tells the model what could not be done, and goes on", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([
        asks(
          ["complete_task", { task_id: 7 }],
          ["add_task", { title: "" }],
          ["add_task", '{"title": "cut'],
          ["launch rockets!", { at: "dawn" }],
          ["update_task", { task_id: 1 }],
          ["list_tasks", ""],
          ["add_task", "[".repeat(100_000)],
          ["add_task", `{"title":"${"x".repeat(70_000)}"}`],
          ["add_task", "[]"]
        ),
        says("None of that worked.")
      ])
      const reply = replyOf(yield* chat.send(message("Do it")))
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => [call.toolName, call.status, call.arguments]),
        [
          ["complete_task", "error", { user_id: "ada", task_id: 7 }],
          ["add_task", "error", { user_id: "ada", title: "" }],
          ["add_task", "error", { user_id: "ada" }],
          ["launch rockets!", "error", { user_id: "ada", at: "dawn" }],
          ["update_task", "error", { user_id: "ada", task_id: 1 }],
          ["list_tasks", "success", { user_id: "ada" }],
          ["add_task", "error", { user_id: "ada" }],
          ["add_task", "error", { user_id: "ada" }],
          ["add_task", "error", { user_id: "ada" }]
        ]
      )
      for (const call of reply.toolCalls.filter((call) => call.status === "error")) {
        assert.strictEqual(call.result["success"], false)
        assert.isString(call.result["error"])
      }
      assert.deepStrictEqual(yield* tasksOfAda, [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("carries out sixteen calls of an answer, and refuses the others", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([
        asks(...Array.from({ length: 1000 }, () => ["add_task", { title: "Milk" }] as const)),
        says("That was too much.")
      ])
      const reply = replyOf(yield* chat.send(message("Milk, a thousand times")))
      assert.strictEqual((yield* tasksOfAda).length, 16)
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.status),
        Array.from({ length: 128 }, (_, i) => (i < 16 ? "success" : "error"))
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("asks the model ten times a turn at most", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance(Array.from({ length: 11 }, () => asks(["list_tasks", {}])))
      const error = yield* Effect.flip(chat.send(message("Go on", { key: "k" })))
      assert(error._tag === "TurnFailed")
      assert.deepStrictEqual(error.failure, { code: "step_limit" })
      assert.strictEqual(error.retryable, false)
      assert.strictEqual(error.toolCalls.length, 10)
      assert.strictEqual(model.prompts.length, 10)
      const again = yield* Effect.flip(chat.send(message("Go on", { key: "k" })))
      assert.deepStrictEqual(again, error)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("asks a model that is overloaded three times, with pauses", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([
        new ModelFailed({ reason: "rate_limited", retryAfterMillis: 7000 }),
        new ModelFailed({ reason: "bad_answer", usage: { promptTokens: 3, completionTokens: 1 } }),
        says("Here I am.")
      ])
      const fiber = yield* Effect.forkChild(chat.send(message("Hello")))
      yield* TestClock.adjust(6999)
      assert.strictEqual(model.prompts.length, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(model.prompts.length, 2)
      yield* TestClock.adjust(1000)
      const reply = replyOf(yield* Fiber.join(fiber))
      assert.strictEqual(reply.message, "Here I am.")
      assert.deepStrictEqual(reply.usage, { promptTokens: 13, completionTokens: 6, totalTokens: 19 })
    }).pipe(Effect.provide(repositories))
  )

  it.effect.each([
    { reason: "overloaded", tries: 3, retryable: true },
    { reason: "rate_limited", tries: 3, retryable: true },
    { reason: "timed_out", tries: 3, retryable: true },
    { reason: "unreachable", tries: 3, retryable: true },
    { reason: "bad_answer", tries: 3, retryable: true },
    { reason: "refused", tries: 1, retryable: false },
    { reason: "misconfigured", tries: 1, retryable: false },
    { reason: "context_too_long", tries: 2, retryable: false }
  ] as const)("fails when the model does: $reason", ({ reason, retryable, tries }) =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance(Array.from({ length: 3 }, () => new ModelFailed({ reason })))
      const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "TurnFailed")
      assert.deepStrictEqual(error.failure, { code: "model_failed", reason })
      assert.strictEqual(error.retryable, retryable)
      assert.strictEqual(model.prompts.length, tries)
      assert.deepStrictEqual(yield* talk(error.conversationId), [["user", "Hello"]])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("tells the operator why the model failed, and nothing of what was said", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void lines.push(JSON.stringify(message)))])
      const { chat } = yield* instance([
        new ModelFailed({ reason: "misconfigured", cause: new Error("status 401") })
      ]).pipe(Effect.provide(logger))
      yield* Effect.exit(chat.send(message("my secret plan"))).pipe(Effect.provide(logger))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "misconfigured")
      assert.notInclude(lines[0], "secret")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("does not wait longer than the turn has time, when the model asks for patience", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([new ModelFailed({ reason: "rate_limited", retryAfterMillis: 3_600_000 })])
      const error = yield* Effect.flip(chat.send(message("Hello")))
      assert(error._tag === "TurnFailed")
      assert.deepStrictEqual(error.failure, { code: "model_failed", reason: "rate_limited" })
    }).pipe(Effect.provide(repositories))
  )

  describe("a model that is down", () => {
    /** Sends messages whose turns fail after three tries each. */
    const inVain = Effect.fnUntraced(function* (chat: Chat["Service"], messages: number) {
      for (let i = 0; i < messages; i++) {
        const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "TurnFailed")
      }
    })
    const down = Array.from({ length: 10 }, () => overloaded)
    const failure = (error: ChatError) => {
      assert(error._tag === "TurnFailed")
      return [error.failure.reason, error.retryable]
    }

    it.effect("is not asked any more after ten failures in a row, and answers again after a pause", () =>
      Effect.gen(function* () {
        const { chat, model } = yield* instance([...down, overloaded, says("Back again.")])
        yield* inVain(chat, 3)
        // The tenth failure, and no further tries.
        const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
        yield* TestClock.adjust("600 millis")
        assert.deepStrictEqual(failure(yield* Fiber.join(fiber)), ["unavailable", true])
        assert.strictEqual(model.prompts.length, 10)
        assert.deepStrictEqual(failure(yield* Effect.flip(chat.send(message("Hello")))), ["unavailable", true])
        assert.strictEqual(model.prompts.length, 10)
        // One call finds out, and in vain: the next pause is longer.
        yield* TestClock.adjust("500 millis")
        const probe = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(failure(yield* Fiber.join(probe)), ["unavailable", true])
        assert.strictEqual(model.prompts.length, 11)
        yield* TestClock.adjust("1400 millis")
        assert.strictEqual(failure(yield* Effect.flip(chat.send(message("Hello"))))[0], "unavailable")
        assert.strictEqual(model.prompts.length, 11)
        yield* TestClock.adjust("600 millis")
        assert.strictEqual(replyOf(yield* chat.send(message("Hello"))).message, "Back again.")
      }).pipe(Effect.provide(repositories))
    )

    it.effect("is still asked when an answer came between the failures", () =>
      Effect.gen(function* () {
        const { chat, model } = yield* instance([...down.slice(1), says("Hello."), ...down.slice(1)])
        yield* inVain(chat, 3)
        yield* chat.send(message("Hello"))
        yield* inVain(chat, 3)
        assert.strictEqual(model.prompts.length, 19)
      }).pipe(Effect.provide(repositories))
    )

    it.effect("is not taken to be back because of an answer to what was asked before", () =>
      Effect.gen(function* () {
        const thought = yield* Deferred.make<void>()
        const late: Line = () => Effect.as(Deferred.await(thought), says("Late."))
        const { chat, model } = yield* instance([late, ...down])
        const slow = yield* Effect.forkChild(chat.send(message("Hello")))
        yield* until(Effect.sync(() => model.prompts.length === 1))
        yield* inVain(chat, 3)
        const tenth = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
        yield* TestClock.adjust("600 millis")
        assert.strictEqual(failure(yield* Fiber.join(tenth))[0], "unavailable")
        yield* Deferred.succeed(thought, undefined)
        assert.strictEqual(replyOf(yield* Fiber.join(slow)).message, "Late.")
        // Not a second has gone by since then.
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(failure(yield* Effect.flip(chat.send(message("Hello"))))[0], "unavailable")
        }
        assert.strictEqual(model.prompts.length, 11)
      }).pipe(Effect.provide(repositories))
    )

    it.effect.each([
      ["answers", says("Back.")],
      ["refuses", new ModelFailed({ reason: "refused" })]
    ] as const)("is not taken to be down once more because of what was asked before it was back, and %s", ([, probe]) =>
      Effect.gen(function* () {
        const ended = yield* Deferred.make<void>()
        const hanging: Line = () => Effect.andThen(Deferred.await(ended), Effect.fail(overloaded))
        const { chat, model } = yield* instance([
          ...Array.from({ length: 12 }, () => hanging),
          ...down,
          probe,
          ...Array.from({ length: 13 }, () => says("Back."))
        ])
        const slow = yield* Effect.forEach(Array.from({ length: 12 }), () =>
          Effect.forkChild(chat.send(message("Hello")))
        )
        yield* until(Effect.sync(() => model.prompts.length === 12))
        yield* inVain(chat, 4)
        yield* TestClock.adjust("1 second")
        yield* Effect.ignore(chat.send(message("Hello")))
        yield* Deferred.succeed(ended, undefined)
        yield* TestClock.adjust("1 second")
        for (const fiber of slow) assert.strictEqual(replyOf(yield* Fiber.join(fiber)).message, "Back.")
        assert.strictEqual(replyOf(yield* chat.send(message("Hello"))).message, "Back.")
      }).pipe(Effect.provide(repositories))
    )

    it.effect("is still asked when it refuses what is asked, however often", () =>
      Effect.gen(function* () {
        const { chat, model } = yield* instance(down.map(() => new ModelFailed({ reason: "refused" })))
        for (const _ of down) {
          assert.deepStrictEqual(failure(yield* Effect.flip(chat.send(message("Hello")))), ["refused", false])
        }
        assert.strictEqual(model.prompts.length, 10)
      }).pipe(Effect.provide(repositories))
    )

    it.effect("is asked again after half a minute at the latest, whatever patience it asks for", () =>
      Effect.gen(function* () {
        const patience = new ModelFailed({ reason: "rate_limited", retryAfterMillis: 86_400_000 })
        const { chat, model } = yield* instance([...down.map(() => patience), says("Hello.")])
        for (const _ of down) yield* Effect.flip(chat.send(message("Hello")))
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(failure(yield* Effect.flip(chat.send(message("Hello"))))[0], "unavailable")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(replyOf(yield* chat.send(message("Hello"))).message, "Hello.")
        assert.strictEqual(model.prompts.length, 11)
      }).pipe(Effect.provide(repositories))
    )

    it.effect("is not taken to be down by turns that had no time left for an answer", () =>
      Effect.gen(function* () {
        const { chat } = yield* instance([...down.map(() => hangs), says("Hello.")], {
          turnTimeout: Duration.seconds(4)
        })
        for (const _ of down) {
          const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual(failure(yield* Fiber.join(fiber))[0], "timed_out")
        }
        assert.strictEqual(replyOf(yield* chat.send(message("Hello"))).message, "Hello.")
      }).pipe(Effect.provide(repositories))
    )

    it.effect(
      "keeps nobody waiting for longer than 15 seconds when it does not answer the one call that finds out",
      () =>
        Effect.gen(function* () {
          const { chat } = yield* instance([...down, hangs, says("Hello.")])
          yield* inVain(chat, 4)
          const probe = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
          yield* TestClock.adjust("14 seconds")
          assert.strictEqual(failure(yield* Effect.flip(chat.send(message("Hello"))))[0], "unavailable")
          assert.isUndefined(probe.pollUnsafe())
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual(failure(yield* Fiber.join(probe))[0], "unavailable")
          assert.strictEqual(replyOf(yield* chat.send(message("Hello"))).message, "Hello.")
        }).pipe(Effect.provide(repositories))
    )

    it.effect("is taken to be down when it does not answer in time, and the operator is told", () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => void lines.push(JSON.stringify(message)))])
        const { chat } = yield* instance([...down.map(() => hangs), says("Hello.")]).pipe(Effect.provide(logger))
        const fibers = yield* Effect.forEach(down, () => Effect.forkChild(Effect.flip(chat.send(message("Hello")))))
        yield* TestClock.adjust("1 minute")
        for (const fiber of fibers) assert.deepStrictEqual(failure(yield* Fiber.join(fiber)), ["timed_out", true])
        assert.strictEqual(failure(yield* Effect.flip(chat.send(message("Hello"))))[0], "unavailable")
        yield* TestClock.adjust("1 second")
        yield* chat.send(message("Hello"))
        yield* until(Effect.sync(() => lines.some((line) => line.includes("answers again"))))
        assert.isTrue(lines.some((line) => line.includes("taken to be down")))
      }).pipe(Effect.provide(repositories))
    )
  })

  it.effect("shows the model half of the earlier turns when all of them were too long", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([says("1"), says("2"), says("3"), says("4")])
      const { conversationId } = replyOf(yield* chat.send(message("one")))
      for (const text of ["two", "three", "four"]) yield* chat.send(message(text, { conversationId }))
      yield* model.extend(new ModelFailed({ reason: "context_too_long" }), says("5"))
      yield* chat.send(message("five", { conversationId }))
      const shown = model.prompts.slice(-2).map((prompt) => prompt.messages.map((entry) => entry.content))
      assert.deepStrictEqual(shown, [
        ["one", "1", "two", "2", "three", "3", "four", "4", "five"],
        ["three", "3", "four", "4", "five"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("takes an empty answer or cut tool calls for a bad one, and a cut reply for a reply", () =>
    Effect.gen(function* () {
      const cut: Completion = { ...asks(["add_task", { title: "Mi" }]), finishReason: "length" }
      const { chat } = yield* instance([says(" \n"), cut, { ...says("This reply is c"), finishReason: "length" }])
      const fiber = yield* Effect.forkChild(chat.send(message("Hello")))
      yield* TestClock.adjust("5 seconds")
      const reply = replyOf(yield* Fiber.join(fiber))
      assert.strictEqual(reply.message, "This reply is c")
      assert.strictEqual(reply.usage.totalTokens, 45)
      assert.deepStrictEqual(yield* tasksOfAda, [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("makes what the model says fit to be stored", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([
        { ...asks(["add_task", `{"title":"a\ud800\u0000b"}`]), text: "\0\udfff" },
        says("Done\0 \ud83d")
      ])
      const reply = replyOf(yield* chat.send(message("Hello")))
      assert.strictEqual(reply.message, "Done \ufffd")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("gives up a model that does not answer, after the turn's time, and keeps its lease until then", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const { chat } = yield* instance([hangs])
      const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello", { key: "k" }))))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* repo.abandoned(10, leaseMillis), [])
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "TurnFailed")
      assert.deepStrictEqual(error.failure, { code: "model_failed", reason: "timed_out" })
      assert.strictEqual(error.retryable, true)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("tells the calls that took effect before a failure, and goes on from there under the same key", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([
        asks(["add_task", { title: "Milk" }]),
        new ModelFailed({ reason: "refused" })
      ])
      const request = message("Add milk", { key: "k" })
      const failed = yield* Effect.flip(chat.send(request))
      assert(failed._tag === "TurnFailed")
      assert.deepStrictEqual(
        failed.toolCalls.map((call) => call.toolName),
        ["add_task"]
      )
      assert.strictEqual(failed.usage.totalTokens, 15)
      assert.deepStrictEqual(yield* Effect.flip(chat.send(request)), failed) // not retryable: told again

      yield* model.extend(asks(["add_task", { title: "Bread" }]), overloaded, overloaded, overloaded)
      const second = message("Add bread", { key: "k2" })
      const fiber = yield* Effect.forkChild(Effect.flip(chat.send(second)))
      yield* TestClock.adjust("5 seconds")
      const retryable = yield* Fiber.join(fiber)
      assert(retryable._tag === "TurnFailed")
      assert.strictEqual(retryable.retryable, true)
      yield* model.extend(says("Bread is on the list."))
      const reply = replyOf(yield* chat.send(second))
      assert.strictEqual(reply.turnId, retryable.turnId)
      assert.deepStrictEqual(reply.toolCalls, retryable.toolCalls)
      assert.strictEqual(reply.usage.totalTokens, 30)
      assert.deepStrictEqual(
        model.prompts.at(-1)?.messages.map((entry) => entry.role),
        ["user", "assistant", "tool"]
      )
      assert.deepStrictEqual(yield* tasksOfAda, [
        ["Milk", false],
        ["Bread", false]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("notes in later prompts that a request failed and is closed, and stores no such note", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([new ModelFailed({ reason: "refused" })])
      const failed = yield* Effect.flip(chat.send(message("Delete everything")))
      assert(failed._tag === "TurnFailed")
      const { conversationId } = failed
      yield* model.extend(says("Hello."))
      yield* chat.send(message("Hello", { conversationId }))
      assert.deepStrictEqual(model.prompts.at(-1)?.messages, [
        { role: "user", content: "Delete everything" },
        { role: "assistant", content: failedNote, toolCalls: [] },
        { role: "user", content: "Hello" }
      ])
      assert.deepStrictEqual(
        (yield* talk(conversationId)).map(([role]) => role),
        ["user", "user", "assistant"]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("makes one turn of the same request sent ten times at once, and once more", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([asks(["add_task", { title: "Milk" }]), says("Added.")])
      const request = message("Add milk", { key: "k" })
      const answers = yield* Effect.all(
        Array.from({ length: 10 }, () => chat.send(request)),
        {
          concurrency: "unbounded"
        }
      )
      const last = yield* chat.send(request)
      assert.strictEqual(new Set([...answers, last].map((answer) => answer.body)).size, 1)
      assert.strictEqual(answers.filter((answer) => !answer.replayed).length, 1)
      assert.strictEqual(last.replayed, true)
      assert.strictEqual(model.prompts.length, 2)
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
      const reused = yield* Effect.flip(chat.send(message("Add bread", { key: "k" })))
      assert.strictEqual(reused._tag, "IdempotencyKeyReused")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("finishes a turn whose client has gone", () =>
    Effect.gen(function* () {
      const thinking = yield* Deferred.make<void>()
      const { chat } = yield* instance([
        () => Effect.as(Deferred.await(thinking), asks(["add_task", { title: "Milk" }])),
        says("Added.")
      ])
      const fiber = yield* Effect.forkChild(chat.send(message("Add milk", { key: "k" })))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      yield* Deferred.succeed(thinking, undefined)
      const reply = replyOf(yield* chat.send(message("Add milk", { key: "k" })))
      assert.strictEqual(reply.message, "Added.")
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("lets a second message wait for nobody: the conversation is busy", () =>
    Effect.gen(function* () {
      const thinking = yield* Deferred.make<void>()
      const { chat, model } = yield* instance([says("Hi.")])
      const { conversationId } = replyOf(yield* chat.send(message("Hello")))
      yield* model.extend(() => Effect.as(Deferred.await(thinking), says("One.")))
      const fiber = yield* Effect.forkChild(chat.send(message("One", { conversationId })))
      yield* Effect.yieldNow
      const busy = yield* Effect.flip(chat.send(message("Two", { conversationId })))
      assert(busy._tag === "ConversationBusy")
      assert.isAbove(busy.retryAfterMillis, 0)
      yield* Deferred.succeed(thinking, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* talk(conversationId)).length, 4)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("does not wait for a running turn for longer than 25 seconds", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([hangs], { shutdownGrace: Duration.zero })
      const request = message("Hello", { key: "k" })
      yield* Effect.forkChild(Effect.exit(chat.send(request)))
      const waiting = yield* Effect.forkChild(Effect.flip(chat.send(request)))
      yield* TestClock.adjust("24 seconds")
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "TurnInProgress")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("tells nothing of a conversation that is gone", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const { chat, model } = yield* instance([says("Hi.")])
      const { conversationId } = replyOf(yield* chat.send(message("Hello", { key: "k" })))
      yield* model.extend((prompt) =>
        Effect.as(Effect.orDie(repo.remove(ada.id, conversationId)), says(`Too late: ${prompt.messages.length}`))
      )
      const during = yield* Effect.flip(chat.send(message("And?", { conversationId })))
      assert.strictEqual(during._tag, "ConversationNotFound")
      assert.strictEqual((yield* Effect.flip(chat.send(message("Hello", { key: "k" }))))._tag, "ConversationNotFound")
      assert.strictEqual(
        (yield* Effect.flip(chat.send(message("And?", { conversationId }))))._tag,
        "ConversationNotFound"
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("does not begin anew what was erased while it ran", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const { chat, model } = yield* instance([
        () => Effect.as(Effect.orDie(repo.eraseUser(ada.id)), asks(["add_task", { title: "Milk" }]))
      ])
      for (const request of [message("Add milk"), message("Add milk", { key: "k" })]) {
        const error = yield* Effect.flip(chat.send(request))
        assert.strictEqual(error._tag, "ConversationNotFound")
        yield* model.extend(() => Effect.as(Effect.orDie(repo.eraseUser(ada.id)), says("Too late.")))
      }
      assert.strictEqual(model.prompts.length, 2)
      assert.deepStrictEqual(yield* tasksOfAda, [])
      assert.deepStrictEqual((yield* repo.list(ada.id, { limit: 10, after: Option.none() })).items, [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("limits the turns of a user", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([says("1"), says("2")], { turnsPerMinute: 1 })
      yield* chat.send(message("one"))
      const limited = yield* Effect.flip(chat.send(message("two")))
      assert(limited._tag === "RateLimited")
      assert.strictEqual(limited.retryAfterMillis, 60_000)
      yield* TestClock.adjust("1 minute")
      yield* chat.send(message("two"))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("limits how many turns of a user run at once", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([], { turnsAtOnce: 1 })
      const thinking = yield* Deferred.make<void>()
      yield* model.extend(() => Effect.as(Deferred.await(thinking), says("1")))
      yield* model.extend(() => Effect.succeed(says("2")))
      const first = yield* Effect.forkChild(chat.send(message("one")))
      yield* TestClock.adjust("1 second")
      const refused = yield* Effect.flip(chat.send(message("two")))
      assert(refused._tag === "TooManyTurns")
      assert.strictEqual(refused.turnsAtOnce, 1)
      yield* Deferred.succeed(thinking, undefined)
      yield* Fiber.join(first)
      yield* chat.send(message("two"))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("limits how many conversations a user has", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([says("1"), says("2")], { maxConversations: 1 })
      const { conversationId } = replyOf(yield* chat.send(message("one")))
      const refused = yield* Effect.flip(chat.send(message("two")))
      assert(refused._tag === "TooManyConversations")
      assert.strictEqual(refused.limit, 1)
      yield* chat.send(message("two", { conversationId }))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("limits how many tasks the model can add, and tells it so", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance(
        [asks(["add_task", { title: "Milk" }], ["add_task", { title: "Bread" }]), says("Only milk found room.")],
        { maxTasks: 1 }
      )
      const { toolCalls } = replyOf(yield* chat.send(message("Add milk and bread")))
      assert.deepStrictEqual(
        toolCalls.map((call) => call.status),
        ["success", "error"]
      )
      assert.deepStrictEqual(toolCalls[1]?.result, {
        success: false,
        error: "The limit of 1 tasks is reached: one must be deleted before another is added."
      })
      assert.strictEqual(model.prompts.length, 2)
    }).pipe(Effect.provide(repositories))
  )
})

describe("Turns", () => {
  it.effect("takes up a turn that another instance left behind, from its last step", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turn = yield* leftBehind("Add milk")
      const { model } = yield* instance([says("Milk is on the list.")])
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(model.prompts.length, 0)
      yield* TestClock.adjust("4 seconds")
      yield* until(Effect.map(talk(turn.claim.conversationId), (rows) => rows.length === 2))
      assert.deepStrictEqual(yield* talk(turn.claim.conversationId), [
        ["user", "Add milk"],
        ["assistant", "Milk is on the list."]
      ])
      assert.include(model.prompts[0]?.system, "Ada")
      assert.deepStrictEqual(yield* repo.abandoned(10, leaseMillis), [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("finishes an abandoned turn before a new message of its conversation", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turn = yield* leftBehind("One")
      yield* repo.expireLeases
      const { chat } = yield* instance([says("1"), says("2")])
      const { conversationId } = turn.claim
      yield* chat.send(message("Two", { conversationId }))
      assert.deepStrictEqual(
        (yield* talk(conversationId)).map(([, content]) => content),
        ["One", "1", "Two", "2"]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("waits for whoever took its turn away, and writes nothing itself", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const first = yield* instance([hangs])
      const fiber = yield* Effect.forkChild(first.chat.send(message("Add milk", { key: "k" })))
      yield* Effect.yieldNow
      yield* repo.expireLeases // as if the first instance had been frozen
      const second = yield* instance([asks(["add_task", { title: "Milk" }]), says("Added.")])
      const answer = yield* second.chat.send(message("Add milk", { key: "k" }))
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* TestClock.adjust("10 seconds") // the next renewal tells the first one that it lost its turn
      assert.deepStrictEqual(yield* Fiber.join(fiber), { body: answer.body, replayed: true })
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
      assert.strictEqual(first.model.prompts.length, 1)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("gives a turn up for good that nobody finished three times", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turn = yield* leftBehind("Crash me")
      for (let attempt = 2; attempt <= 3; attempt++) {
        yield* repo.expireLeases
        const taken = yield* repo.takeUp(turn.claim, yield* uuidV7, policy)
        assert.strictEqual(taken._tag, "Claimed")
      }
      const { model } = yield* instance([])
      yield* TestClock.adjust("20 seconds")
      yield* until(Effect.map(repo.settled([turn.claim], leaseMillis), (settled) => settled.length === 1))
      yield* until(Effect.map(repo.abandoned(1, leaseMillis), (turns) => turns.length === 0))
      assert.strictEqual(model.prompts.length, 0)
      const page = yield* repo.messages(ada.id, turn.claim.conversationId, {
        limit: 10,
        order: "asc",
        after: Option.none()
      })
      assert.deepStrictEqual(
        page.items.map((row) => row.turnStatus),
        ["failed"]
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("lets running turns end when it is drained, and admits no new ones", () =>
    Effect.gen(function* () {
      const thinking = yield* Deferred.make<void>()
      const { chat, turns } = yield* instance([() => Effect.as(Deferred.await(thinking), says("Just in time."))])
      const fiber = yield* Effect.forkChild(chat.send(message("Hello")))
      yield* Effect.yieldNow
      const draining = yield* Effect.forkChild(turns.drain)
      yield* Effect.yieldNow
      assert.strictEqual((yield* Effect.flip(turns.ready))._tag, "ShuttingDown")
      assert.strictEqual((yield* Effect.flip(chat.send(message("Me too"))))._tag, "ShuttingDown")
      assert.strictEqual(draining.pollUnsafe(), undefined)
      yield* Deferred.succeed(thinking, undefined)
      assert.strictEqual(replyOf(yield* Fiber.join(fiber)).message, "Just in time.")
      yield* Fiber.join(draining)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is drained when what was built last is closed, ahead of the server that it was built on", () =>
    Effect.gen(function* () {
      const { turns } = yield* instance([])
      const closed: Array<string> = []
      const server = Layer.effectDiscard(
        Effect.addFinalizer(() =>
          Effect.map(Effect.result(turns.ready), (ready) => void closed.push(`the server, with turns ${ready._tag}`))
        )
      )
      const drain = layerDrain.pipe(Layer.provide(server), Layer.provide(Layer.succeed(Turns, turns)))
      yield* Effect.scoped(Effect.andThen(Layer.build(drain), turns.ready))
      assert.deepStrictEqual(closed, ["the server, with turns Failure"])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("hands back what has not ended in time, and another instance goes on at once", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(instance([asks(["add_task", { title: "Milk" }]), hangs]), scope)
      const fiber = yield* Effect.forkChild(Effect.flip(first.chat.send(message("Add milk", { key: "k" }))))
      yield* Effect.yieldNow
      const closing = yield* Effect.forkChild(Scope.close(scope, Effect.void as never))
      yield* TestClock.adjust(defaultSettings.shutdownGrace)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "ShuttingDown")
      const second = yield* instance([says("Milk is on the list.")])
      const reply = replyOf(yield* second.chat.send(message("Add milk", { key: "k" })))
      assert.strictEqual(reply.message, "Milk is on the list.")
      assert.deepStrictEqual(
        reply.toolCalls.map((call) => call.toolName),
        ["add_task"]
      )
      assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("waits for a turn of another instance by polling", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turn = yield* leftBehind("Hello", { idempotencyKey: message("", { key: "k" }).idempotencyKey })
      const { chat } = yield* instance([])
      const fiber = yield* Effect.forkChild(chat.send(message("Hello", { key: "k" })))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* repo.complete(turn.claim, {
        steps: 0,
        messageId: MessageId.make(yield* uuidV7),
        content: "Hi",
        response: "{}",
        usage: { promptTokens: 1, completionTokens: 1 },
        stopped: false,
        toldFrom: 0
      })
      yield* TestClock.adjust(Duration.millis(400))
      assert.deepStrictEqual(yield* Fiber.join(fiber), { body: "{}", replayed: true })
    }).pipe(Effect.provide(repositories))
  )

  it.effect("lets those who waited have the failure, instead of asking the model again for each", () =>
    Effect.gen(function* () {
      const { chat, model } = yield* instance([overloaded, overloaded, overloaded])
      const fiber = yield* Effect.forkChild(
        Effect.replicateEffect(Effect.flip(chat.send(message("Hello", { key: "k" }))), 10, { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("10 seconds")
      const errors = yield* Fiber.join(fiber)
      assert.isTrue(errors.every((error) => error._tag === "TurnFailed" && error.retryable))
      assert.strictEqual(model.prompts.length, 3)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("does not end a turn that it has taken up again, by news of its earlier claim", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const asked = yield* Deferred.make<void>()
      const late = yield* Deferred.make<void>()
      const thought = yield* Deferred.make<void>()
      const { chat, model } = yield* Effect.provideService(
        instance([hangs, () => Effect.as(Deferred.await(thought), says("Here."))]),
        ConversationRepo,
        {
          ...repo,
          renew: (claims, lease) =>
            Effect.andThen(
              Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(late)),
              repo.renew(claims, lease)
            )
        }
      )
      const request = message("Hello", { key: "k" })
      const first = yield* Effect.forkChild(chat.send(request))
      yield* TestClock.adjust("6 seconds")
      yield* Deferred.await(asked) // the renewal of the first claim is under way
      yield* repo.expireLeases
      const second = yield* Effect.forkChild(chat.send(request))
      yield* until(Effect.sync(() => model.prompts.length === 2))
      yield* Deferred.succeed(late, undefined)
      yield* Effect.replicateEffect(Effect.yieldNow, 100) // the news is told
      yield* Deferred.succeed(thought, undefined)
      assert.strictEqual(replyOf(yield* Fiber.join(second)).message, "Here.")
      assert.strictEqual((yield* Fiber.join(first)).body, (yield* Fiber.join(second)).body)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("renews the leases of all while one of its turns cannot be interrupted", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const stuck = yield* Deferred.make<void>()
      const { chat } = yield* instance(
        [() => Effect.uninterruptible(Effect.as(Deferred.await(stuck), says("1"))), hangs],
        {
          shutdownGrace: Duration.zero
        }
      )
      yield* Effect.forkChild(Effect.exit(chat.send(message("one", { key: "one" }))))
      yield* Effect.forkChild(Effect.exit(chat.send(message("two", { key: "two" }))))
      yield* Effect.yieldNow
      const [one] = (yield* repo.list(ada.id, { limit: 1, after: Option.none() })).items
      assert(one !== undefined)
      yield* repo.expireLeases
      const [taken] = yield* repo.abandoned(1, leaseMillis)
      assert(taken !== undefined)
      yield* repo.takeUp(taken, yield* uuidV7, policy) // someone else has the one that cannot be interrupted, or the other
      for (let i = 0; i < 6; i++) {
        yield* TestClock.adjust("5 seconds")
        yield* repo.renew([{ ...taken, fence: 2 }], leaseMillis)
      }
      assert.deepStrictEqual(yield* repo.abandoned(10, leaseMillis), [])
      yield* Deferred.succeed(stuck, undefined)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("takes up all that was left behind, though one cannot be taken up", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turns = yield* Effect.forEach(Array.from({ length: 35 }), (_, i) => leftBehind(`message ${i}`))
      yield* repo.expireLeases
      const [bad] = turns
      yield* Effect.provideService(instance(Array.from({ length: 34 }, () => says("Done."))), ConversationRepo, {
        ...repo,
        takeUp: (turn, holder, rules) =>
          turn.turnId === bad?.claim.turnId ? Effect.die("a bad row") : repo.takeUp(turn, holder, rules)
      })
      const left = Effect.map(repo.abandoned(100, leaseMillis), (refs) => refs.map((ref) => ref.turnId))
      yield* TestClock.adjust("1 second") // less than the loop's pause
      yield* until(Effect.map(left, (ids) => ids.length === 1))
      assert.deepStrictEqual(yield* left, [bad?.claim.turnId])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("goes on looking for abandoned turns when the store has not answered once", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const turn = yield* leftBehind("Hello")
      let asked = 0
      yield* Effect.provideService(instance([says("Hi.")]), ConversationRepo, {
        ...repo,
        abandoned: (limit, lease) => (asked++ === 0 ? Effect.never : repo.abandoned(limit, lease))
      })
      yield* TestClock.adjust("30 seconds")
      yield* until(Effect.map(talk(turn.claim.conversationId), (rows) => rows.length === 2))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("asks a store again that has not answered for twelve seconds, and completes the turn once", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      let asked = 0
      const { chat } = yield* Effect.provideService(instance([says("Hi.")]), ConversationRepo, {
        ...repo,
        // It is carried out, and the answer does not come.
        complete: (claim, request) =>
          Effect.suspend(() =>
            asked++ === 0 ? Effect.andThen(repo.complete(claim, request), Effect.never) : repo.complete(claim, request)
          )
      })
      const fiber = yield* Effect.forkChild(chat.send(message("Hello")))
      yield* until(Effect.sync(() => asked === 1))
      yield* TestClock.adjust("13 seconds")
      const reply = replyOf(yield* Fiber.join(fiber))
      assert.strictEqual(asked, 2)
      assert.deepStrictEqual(yield* talk(reply.conversationId), [
        ["user", "Hello"],
        ["assistant", "Hi."]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("begins no more than four turns of one user at once, and lets others pass", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const open = yield* Latch.make()
      const begun: Array<UserId> = []
      const { chat } = yield* Effect.provideService(
        instance(Array.from({ length: 11 }, () => says("Hi."))),
        ConversationRepo,
        {
          ...repo,
          begin: (request, rules) => {
            begun.push(request.userId)
            return Effect.andThen(open.await, repo.begin(request, rules))
          }
        }
      )
      const bob = someone(1)
      const crowd = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.forkChild(chat.send(message("Hello")))
      )
      const other = yield* Effect.forkChild(chat.send({ ...message("Hello"), user: bob }))
      yield* until(Effect.sync(() => begun.includes(bob.id)))
      assert.deepStrictEqual(begun, [ada.id, ada.id, ada.id, ada.id, bob.id])
      yield* open.open
      yield* Effect.forEach([...crowd, other], Fiber.join)
      assert.strictEqual(begun.length, 11)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("begins no more than sixteen turns at once, and none that waits for that once it shuts down", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const open = yield* Latch.make()
      let begun = 0
      const { chat, turns } = yield* Effect.provideService(
        instance(Array.from({ length: 16 }, () => says("Hi."))),
        ConversationRepo,
        {
          ...repo,
          begin: (request, rules) => {
            begun++
            return Effect.andThen(open.await, repo.begin(request, rules))
          }
        }
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 40 }), (_, i) =>
        Effect.forkChild(Effect.result(chat.send({ ...message("Hello"), user: someone(i) })))
      )
      yield* until(Effect.sync(() => begun === 16))
      const draining = yield* Effect.forkChild(turns.drain)
      yield* open.open
      const results = yield* Effect.forEach(fibers, Fiber.join)
      yield* Fiber.join(draining)
      assert.strictEqual(begun, 16)
      const answered = results.filter(Result.isSuccess)
      const refused = results.filter(Result.isFailure).map((result) => result.failure._tag)
      assert.strictEqual(answered.length, 16)
      assert.deepStrictEqual(
        refused,
        Array.from({ length: 24 }, () => "ShuttingDown")
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("waits for a place no longer than 25 seconds behind a store that hangs, and not for who has gone", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const open = yield* Latch.make()
      let begun = 0
      const { chat } = yield* Effect.provideService(
        instance(Array.from({ length: 20 }, () => says("Hi."))),
        ConversationRepo,
        {
          ...repo,
          begin: (request, rules) => {
            begun++
            // Longer than any patience, and in nobody's power to stop.
            return Effect.andThen(Effect.uninterruptible(open.await), repo.begin(request, rules))
          }
        }
      )
      const sendOf = (n: number) =>
        Effect.forkChild(Effect.result(chat.send({ ...message("Hello"), user: someone(n) })))
      const first = yield* Effect.forEach(Array.from({ length: 16 }), (_, i) => sendOf(i))
      const send = sendOf(16)
      yield* until(Effect.sync(() => begun === 16))
      const gone = yield* send
      const waiting = yield* send
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("25 seconds")
      const result = yield* Fiber.join(waiting)
      assert.strictEqual(Result.isFailure(result) && result.failure._tag, "StorageUnavailable")
      yield* open.open
      yield* Effect.forEach(first, Fiber.join)
      // Their places are free again, and nobody stands in for those who have left.
      assert.strictEqual((yield* Effect.result(chat.send(message("Hello"))))._tag, "Success")
      assert.strictEqual(begun, 17)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("hands back a turn whose beginning was answered only after it was drained", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const answered = yield* Deferred.make<void>()
      const { chat, turns } = yield* Effect.provideService(
        instance([], { shutdownGrace: Duration.seconds(1) }),
        ConversationRepo,
        { ...repo, begin: (request, rules) => Effect.tap(repo.begin(request, rules), () => Deferred.await(answered)) }
      )
      const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
      yield* Effect.yieldNow
      const draining = yield* Effect.forkChild(turns.drain)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(draining)
      yield* Deferred.succeed(answered, undefined)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "ShuttingDown")
      assert.strictEqual((yield* repo.abandoned(10, leaseMillis)).length, 1)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("gives up a store that does not answer to the beginning of a turn", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const { chat } = yield* Effect.provideService(instance([]), ConversationRepo, {
        ...repo,
        begin: () => Effect.never
      })
      const fiber = yield* Effect.forkChild(Effect.flip(chat.send(message("Hello"))))
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "StorageUnavailable")
    }).pipe(Effect.provide(repositories))
  )
})
