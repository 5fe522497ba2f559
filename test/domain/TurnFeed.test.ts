import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ChatRequest } from "../../src/domain/Chat.ts"
import { uuidV7 } from "../../src/domain/Ids.ts"
import { TurnId } from "../../src/domain/model/Conversation.ts"
import { StorageUnavailable } from "../../src/domain/model/Errors.ts"
import { UserId } from "../../src/domain/model/User.ts"
import type { EventPlace, TurnEvent } from "../../src/domain/TurnEvents.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { ModelFailed } from "../../src/ports/LLM.ts"
import { asks, type Line, says } from "../../src/testing/ScriptedModel.ts"
import {
  ada,
  instance as makeInstance,
  message,
  replyOf,
  repositories,
  talk,
  tasksOfAda,
  until
} from "../support/instance.ts"

/** An instance that does not wait at its end for a model that says nothing. */
const instance = (script: ReadonlyArray<Line>) => makeInstance(script, { shutdownGrace: Duration.zero })

type Instance = Effect.Success<ReturnType<typeof instance>>

/** What happened, as place and what of it differs. */
const told = (events: ReadonlyArray<TurnEvent>) =>
  events.map((event) => {
    const place = `${event.attempt}.${event.step}.${event.position}`
    switch (event._tag) {
      case "Text":
        return [place, "Text", event.text]
      case "ToolCallBegun":
        return [place, "ToolCallBegun", event.call.toolName]
      case "ToolCallDone":
        return [place, "ToolCallDone", event.call.status]
      default:
        return [place, event._tag]
    }
  })

/** A model that makes its answer in pieces, and then comes to this. */
const inPieces =
  (pieces: ReadonlyArray<string>, end: ReturnType<typeof says> | ModelFailed): Line =>
  (_, onText) => {
    for (const piece of pieces) onText?.(piece)
    return "_tag" in end ? Effect.fail(end) : Effect.succeed(end)
  }

/** A model that says so much, and then nothing until it is let go on; and what came of it. */
const halting = Effect.fnUntraced(function* (text: string, rest = "") {
  const asked = yield* Deferred.make<void>()
  const goOn = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const line: Line = (_, onText) =>
    Effect.sync(() => onText?.(text)).pipe(
      Effect.andThen(Deferred.succeed(asked, undefined)),
      Effect.andThen(Deferred.await(goOn)),
      Effect.as(says(text + rest)),
      Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
    )
  return {
    line,
    asked: Deferred.await(asked),
    goOn: Deferred.succeed(goOn, undefined),
    interrupted: Deferred.await(interrupted)
  }
})

/** Follows a turn of Ada's, and collects what is told. */
const following = Effect.fnUntraced(function* ({ feed }: Instance, turnId: TurnId, after?: EventPlace) {
  const events: Array<TurnEvent> = []
  const fiber = yield* Stream.unwrap(feed.follow(ada.id, turnId, Option.fromUndefinedOr(after))).pipe(
    Stream.runForEach((event) => Effect.sync(() => void events.push(event))),
    Effect.forkChild({ startImmediately: true })
  )
  return { events, fiber }
})

/** All that is told of a turn from its beginning to its end. */
const watched = Effect.fnUntraced(function* (on: Instance, request: ChatRequest) {
  const { turnId } = yield* on.chat.open(request)
  const { events, fiber } = yield* following(on, turnId)
  yield* TestClock.adjust("10 seconds")
  yield* Fiber.join(fiber)
  return events
})

const endOf = (events: ReadonlyArray<TurnEvent>) => {
  const last = events.at(-1)
  return last?._tag === "Completed" || last?._tag === "Stopped"
    ? replyOf({ body: last.body, replayed: false })
    : assert.fail(`it ended with ${last?._tag}`)
}

describe("whoever follows a turn", () => {
  it.effect("is told of the text as it is made, of the tools, and of the end", () =>
    Effect.gen(function* () {
      const here = yield* instance([
        inPieces(["Let me ", "see."], {
          ...asks(["add_task", { title: "Milk" }], ["complete_task", { task_id: 7 }]),
          text: "Let me see."
        }),
        inPieces(["Do", "ne"], says("Done."))
      ])
      const events = yield* watched(here, message("Add milk"))
      // What has come together is told together.
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.11", "Text", "Let me see."],
        ["1.0.12", "ToolCallBegun", "add_task"],
        ["1.0.13", "ToolCallBegun", "complete_task"],
        ["1.0.14", "ToolCallDone", "success"],
        ["1.0.15", "ToolCallDone", "error"],
        ["1.1.0", "StepDone"],
        ["1.1.5", "Text", "Done."],
        ["1.1.6", "Completed"]
      ])
      const [begun] = events
      const reply = endOf(events)
      assert(begun?._tag === "Begun")
      assert.deepStrictEqual([begun.conversationId, begun.turnId], [reply.conversationId, reply.turnId])
      const done = events.flatMap((event) => (event._tag === "ToolCallDone" ? [event.call.id] : []))
      assert.deepStrictEqual(
        done,
        reply.toolCalls.map(({ id }) => id)
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told each piece when it is made", () =>
    Effect.gen(function* () {
      const model = yield* halting("Once", " upon a time")
      const here = yield* instance([model.line])
      const { turnId } = yield* here.chat.open(message("Tell me a story"))
      const { events, fiber } = yield* following(here, turnId)
      yield* model.asked
      yield* until(Effect.sync(() => events.length === 2))
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.4", "Text", "Once"]
      ])
      yield* model.goOn
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told(events).slice(2), [
        ["1.0.16", "Text", " upon a time"],
        ["1.0.17", "Completed"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told when what the model said holds no longer", () =>
    Effect.gen(function* () {
      const model = yield* halting("Hel", "lo")
      const here = yield* instance([
        inPieces(["Once upon"], new ModelFailed({ reason: "unreachable" })),
        inPieces([], new ModelFailed({ reason: "overloaded" })),
        model.line
      ])
      const { turnId } = yield* here.chat.open(message("Hello"))
      const { events, fiber } = yield* following(here, turnId)
      yield* TestClock.adjust("10 seconds")
      yield* model.asked
      // Again at the place of the lost text, and of the new one.
      const again = [
        yield* following(here, turnId, { attempt: 1, step: 0, position: 4 }),
        yield* following(here, turnId, { attempt: 1, step: 0, position: 11 })
      ]
      yield* model.goOn
      yield* Effect.forEach([{ fiber }, ...again], (one) => Fiber.join(one.fiber))
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.9", "Text", "Once upon"],
        ["1.0.10", "Restarted"],
        ["1.0.13", "Text", "Hel"],
        ["1.0.15", "Text", "lo"],
        ["1.0.16", "Completed"]
      ])
      const rest = [
        ["1.0.15", "Text", "lo"],
        ["1.0.16", "Completed"]
      ]
      assert.deepStrictEqual(
        again.map((one) => told(one.events)),
        [
          [["1.0.10", "Restarted"], ["1.0.13", "Text", "Hel"], ...rest],
          [["1.0.13", "Text", "el"], ...rest]
        ]
      )
      // When it is over, that is still so.
      const late = yield* following(here, turnId, { attempt: 1, step: 0, position: 4 })
      yield* Fiber.join(late.fiber)
      assert.deepStrictEqual(told(late.events), [
        ["1.0.10", "Restarted"],
        ["1.0.15", "Text", "Hello"],
        ["1.0.16", "Completed"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told of the whole when the pieces were something else", () =>
    Effect.gen(function* () {
      const model = yield* halting("Nonsense")
      const line: Line = (prompt, onText) =>
        typeof model.line === "function" ? Effect.as(model.line(prompt, onText), says("Hello")) : assert.fail()
      const here = yield* instance([line])
      const { turnId } = yield* here.chat.open(message("Hello"))
      const { events, fiber } = yield* following(here, turnId)
      yield* model.asked
      yield* until(Effect.sync(() => events.length === 2))
      yield* model.goOn
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told(events).slice(1), [
        ["1.0.8", "Text", "Nonsense"],
        ["1.0.9", "Restarted"],
        ["1.0.14", "Text", "Hello"],
        ["1.0.15", "Completed"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told what is stored, whatever the model says and wherever its pieces are cut", () =>
    Effect.gen(function* () {
      const raw = "a\u0000b\ud83d\ude00 \ud83d c \udc00"
      const pieces = ["a\u0000", "b\ud83d", "\ude00 ", "\ud83d", " c \udc00"]
      const here = yield* instance([
        (_, onText) =>
          Effect.as(
            Effect.forEach(pieces, (piece) =>
              Effect.andThen(
                Effect.sync(() => onText?.(piece)),
                Effect.sleep(10)
              )
            ),
            says(raw)
          )
      ])
      const events = yield* watched(here, message("Hello"))
      const texts = events.flatMap((event) => (event._tag === "Text" ? [event.text] : []))
      assert.strictEqual(texts.join(""), endOf(events).message)
      assert.isAbove(texts.length, 2)
      assert.isTrue(texts.every((text) => text.isWellFormed()))
      assert.isTrue(events.every((event) => event._tag !== "Restarted"))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told of a failure with what did take effect, and of the same turn when it is taken up", () =>
    Effect.gen(function* () {
      const here = yield* instance([
        { ...asks(["add_task", { title: "Milk" }]), text: "One moment." },
        inPieces(["Milk"], new ModelFailed({ reason: "bad_answer" })),
        new ModelFailed({ reason: "bad_answer" }),
        new ModelFailed({ reason: "bad_answer" }),
        says("Milk is on the list.")
      ])
      const request = message("Add milk", { key: "k" })
      const { turnId } = yield* here.chat.open(request)
      const first = yield* following(here, turnId)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(first.fiber)
      const committed = [
        ["11", "Text", "One moment."],
        ["12", "ToolCallBegun", "add_task"],
        ["13", "ToolCallDone", "success"]
      ]
      const at = (attempt: number) => committed.map(([position, ...rest]) => [`${attempt}.0.${position}`, ...rest])
      assert.deepStrictEqual(told(first.events), [
        ["1.0.0", "Begun"],
        ...at(1),
        ["1.1.0", "StepDone"],
        ["1.1.4", "Text", "Milk"],
        ["1.1.5", "Restarted"],
        ["1.1.6", "Failed"]
      ])
      const failed = first.events.at(-1)
      assert(failed?._tag === "Failed")
      assert.deepStrictEqual(
        [failed.turn.failure.reason, failed.turn.retryable, failed.turn.calls.length],
        ["bad_answer", true, 1]
      )
      // Told from the store, a failure is the same.
      const stored = yield* following(here, turnId, { attempt: 1, step: 1, position: 0 })
      yield* Fiber.join(stored.fiber)
      assert.deepStrictEqual(stored.events, [{ ...failed, position: 1 }])
      // Under its key it goes on: whoever saw the failure sees that it holds no longer, and others all of it.
      assert.deepStrictEqual(yield* here.chat.open(request), { turnId, replayed: false })
      const rest = yield* following(here, turnId, { attempt: 1, step: 1, position: 6 })
      const all = yield* following(here, turnId)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach([rest, all], ({ fiber }) => Fiber.join(fiber))
      const end = [
        ["2.1.20", "Text", "Milk is on the list."],
        ["2.1.21", "Completed"]
      ]
      assert.deepStrictEqual(told(rest.events), [["2.1.0", "Restarted"], ...end])
      assert.deepStrictEqual(told(all.events), [["2.0.0", "Begun"], ...at(2), ["2.1.0", "StepDone"], ...end])
      // And once it is over, by the same request again.
      assert.deepStrictEqual(yield* here.chat.open(request), { turnId, replayed: true })
      assert.deepStrictEqual(told(yield* watched(here, request)), told(all.events))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("of a turn that was begun without watching has the model answer in pieces from the next time on", () =>
    Effect.gen(function* () {
      const first = yield* Deferred.make<void>()
      const wanted: Array<boolean> = []
      const here = yield* instance([
        (_, onText) => {
          wanted.push(onText !== undefined)
          return Effect.as(Deferred.await(first), asks(["list_tasks", {}]))
        },
        (_, onText) => {
          wanted.push(onText !== undefined)
          return Effect.succeed(says("Nothing to do."))
        }
      ])
      const sending = yield* Effect.forkChild(here.chat.send(message("What is there?", { key: "k" })))
      yield* until(Effect.sync(() => wanted.length === 1))
      const { turnId } = yield* here.chat.open(message("What is there?", { key: "k" }))
      const { events, fiber } = yield* following(here, turnId)
      yield* Deferred.succeed(first, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(wanted, [false, true])
      assert.strictEqual((yield* Fiber.join(sending)).body, JSON.stringify(yield* bodyOf(events)))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("who follows nothing pays for nothing", () =>
    Effect.gen(function* () {
      const wanted: Array<boolean> = []
      const { chat } = yield* instance([
        (_, onText) => {
          wanted.push(onText !== undefined)
          return Effect.succeed(says("Hello"))
        }
      ])
      yield* chat.send(message("Hello"))
      assert.deepStrictEqual(wanted, [false])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("of another user's turn, of one that is not there or is deleted is told nothing", () =>
    Effect.gen(function* () {
      const model = yield* halting("Hi")
      const [here, there] = [yield* instance([model.line]), yield* instance([])]
      const { turnId } = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const unknown = TurnId.make(yield* uuidV7)
      const bob = UserId.make("bob")
      const own = yield* following(there, turnId)
      yield* until(Effect.sync(() => own.events.length === 1))
      for (const one of [here, there]) {
        for (const [asker, id] of [
          [bob, turnId],
          [ada.id, unknown]
        ] as const) {
          const error = yield* Effect.flip(Effect.scoped(one.feed.follow(asker, id, Option.none())))
          assert.strictEqual(error._tag, "TurnNotFound")
          assert.strictEqual((yield* Effect.flip(one.feed.stop(asker, id)))._tag, "TurnNotFound")
        }
      }
      const [begun] = own.events
      assert(begun?._tag === "Begun")
      yield* (yield* ConversationRepo).remove(ada.id, begun.conversationId)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(own.fiber)))._tag, "TurnNotFound")
    }).pipe(Effect.provide(repositories))
  )
})

const bodyOf = (events: ReadonlyArray<TurnEvent>) =>
  Effect.sync((): unknown => {
    const last = events.at(-1)
    return last?._tag === "Completed" ? JSON.parse(last.body) : assert.fail()
  })

describe("whoever follows a turn of another instance", () => {
  it.effect("is told the same, a moment later", () =>
    Effect.gen(function* () {
      const first = yield* halting("Let me ", "see.")
      const second = yield* halting("Do", "ne.")
      const here = yield* instance([
        (prompt, onText) =>
          typeof first.line === "function"
            ? Effect.map(first.line(prompt, onText), ({ text }) => ({ ...asks(["add_task", { title: "Milk" }]), text }))
            : assert.fail(),
        second.line
      ])
      const there = yield* instance([])
      const { turnId } = yield* here.chat.open(message("Add milk"))
      yield* first.asked
      const { events, fiber } = yield* following(there, turnId)
      // Who has seen more than this instance knows is told nothing twice.
      const ahead = yield* following(there, turnId, { attempt: 1, step: 0, position: 5 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.7", "Text", "Let me "]
      ])
      assert.deepStrictEqual(told(ahead.events), [["1.0.7", "Text", "e "]])
      yield* first.goOn
      yield* second.asked
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(told(events).slice(2), [
        ["1.0.11", "Text", "see."],
        ["1.0.12", "ToolCallBegun", "add_task"],
        ["1.0.13", "ToolCallDone", "success"],
        ["1.1.0", "StepDone"],
        ["1.1.2", "Text", "Do"]
      ])
      yield* second.goOn
      yield* TestClock.adjust("2 seconds")
      yield* Effect.forEach([fiber, ahead.fiber], (one) => Fiber.join(one))
      assert.deepStrictEqual(told(events).slice(7), [
        ["1.1.5", "Text", "ne."],
        ["1.1.6", "Completed"]
      ])
      assert.deepStrictEqual(told(ahead.events).slice(1), told(events).slice(2))
      // What is told from one place after the other can be told from the last of them.
      const again = yield* following(there, turnId)
      yield* Fiber.join(again.fiber)
      assert.deepStrictEqual(told(again.events).at(-1), told(events).at(-1))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told what could not be told at once, or is gone from the store", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const model = yield* halting("Hi")
      let failures = 1
      let gone = false
      const here = yield* Effect.provideService(instance([model.line]), ConversationRepo, {
        ...repo,
        tell: (told) =>
          Effect.suspend(() =>
            failures-- > 0 ? Effect.fail(new StorageUnavailable({ operation: "test" })) : repo.tell(told)
          ),
        watched: Effect.map(repo.watched, (all) => all.map((one) => ({ ...one, told: one.told && !gone })))
      })
      const there = yield* instance([])
      const { turnId } = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const { events } = yield* following(there, turnId)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(told(events).slice(1), [["1.0.2", "Text", "Hi"]])
      gone = true
      failures = -1000
      const before = failures
      yield* TestClock.adjust("1 second")
      assert.isBelow(failures, before)
    }).pipe(Effect.provide(repositories))
  )

  it.effect("goes on with it when it is taken up, here or elsewhere", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const model = yield* halting("Mine")
      const here = yield* instance([model.line])
      const { turnId } = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const local = yield* following(here, turnId)
      yield* until(Effect.sync(() => local.events.length === 2))
      yield* TestClock.adjust("1 second")
      yield* repo.expireLeases
      // It is taken up at once, and the first instance learns of that when it renews its lease.
      const there = yield* instance([says("Theirs")])
      const distant = yield* following(there, turnId, { attempt: 1, step: 0, position: 2 })
      yield* TestClock.adjust("12 seconds")
      yield* Effect.forEach([local, distant], ({ fiber }) => Fiber.join(fiber))
      const rest = [
        ["2.0.0", "Restarted"],
        ["2.0.6", "Text", "Theirs"],
        ["2.0.7", "Completed"]
      ]
      assert.deepStrictEqual(told(local.events), [["1.0.0", "Begun"], ["1.0.4", "Text", "Mine"], ...rest])
      assert.deepStrictEqual(told(distant.events), rest)
      yield* model.interrupted
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is sent elsewhere when that instance ends, and so is whoever followed what it hands back", () =>
    Effect.gen(function* () {
      const model = yield* halting("Hi")
      const here = yield* instance([model.line])
      const there = yield* instance([])
      const { turnId } = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const local = yield* following(here, turnId)
      const distant = yield* following(there, turnId)
      yield* until(Effect.sync(() => distant.events.length === 1))
      yield* Effect.forkChild(there.turns.drain)
      assert.strictEqual((yield* Effect.flip(Fiber.join(distant.fiber)))._tag, "ShuttingDown")
      yield* Effect.forkChild(here.turns.drain)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(local.fiber)))._tag, "ShuttingDown")
      const last = local.events.at(-1)
      const next = yield* instance([says("Hi again")])
      const again = yield* following(next, turnId, last)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(again.fiber)
      assert.deepStrictEqual(told(again.events), [
        ["2.0.0", "Restarted"],
        ["3.0.8", "Text", "Hi again"],
        ["3.0.9", "Completed"]
      ])
    }).pipe(Effect.provide(repositories))
  )
})

describe("a turn that is stopped", () => {
  for (const where of ["here", "elsewhere"] as const) {
    it.effect(`and runs ${where} ends with what was said, and keeps what was done`, () =>
      Effect.gen(function* () {
        const model = yield* halting("Milk is")
        const here = yield* instance([asks(["add_task", { title: "Milk" }]), model.line, says("Yes?")])
        const there = where === "here" ? here : yield* instance([])
        const request = message("Add milk", { key: "k" })
        const { turnId } = yield* here.chat.open(request)
        yield* model.asked
        const sending = yield* Effect.forkChild(here.chat.send(request), { startImmediately: true })
        const { events, fiber } = yield* following(here, turnId)
        const stopping = yield* Effect.forkChild(there.feed.stop(ada.id, turnId), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        const stopped = yield* Fiber.join(stopping)
        yield* model.interrupted
        assert.deepStrictEqual([stopped.status, stopped.calls.length], ["stopped", 1])
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(told(events).slice(-2), [
          ["1.1.7", "Text", "Milk is"],
          ["1.1.8", "Stopped"]
        ])
        const reply = endOf(events)
        assert.deepStrictEqual([reply.message, reply.stopped, reply.toolCalls.length], ["Milk is", true, 1])
        assert.deepStrictEqual(reply.usage, { promptTokens: 10, completionTokens: 5, totalTokens: 15 })
        const answer = yield* Fiber.join(sending)
        assert.deepStrictEqual(replyOf(answer), reply)
        // It is as final as any answer, and the conversation goes on.
        assert.deepStrictEqual(yield* there.chat.send(request), { body: answer.body, replayed: true })
        assert.strictEqual((yield* there.feed.stop(ada.id, turnId)).status, "stopped")
        const { conversationId } = reply
        assert.strictEqual(replyOf(yield* here.chat.send(message("And?", { conversationId }))).message, "Yes?")
        assert.deepStrictEqual(yield* talk(conversationId), [
          ["user", "Add milk"],
          ["assistant", "Milk is"],
          ["user", "And?"],
          ["assistant", "Yes?"]
        ])
        assert.deepStrictEqual(
          here.model.prompts.at(-1)?.messages.map((entry) => entry.role),
          ["user", "assistant", "tool", "assistant", "user"]
        )
        assert.deepStrictEqual(yield* tasksOfAda, [["Milk", false]])
        // Told from the store, it is the same.
        const late = yield* following(there, turnId)
        yield* Fiber.join(late.fiber)
        assert.deepStrictEqual(told(late.events), told(events))
      }).pipe(Effect.provide(repositories))
    )
  }

  it.effect("before the model has said anything has an empty reply, of which the model is told", () =>
    Effect.gen(function* () {
      const model = yield* halting("")
      const here = yield* instance([model.line, says("Yes?")])
      const { turnId } = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const { body, conversationId, status } = yield* here.feed.stop(ada.id, turnId)
      assert.deepStrictEqual([status, replyOf({ body: body ?? "", replayed: false }).message], ["stopped", ""])
      yield* here.chat.send(message("And?", { conversationId }))
      const [, reply] = here.model.prompts.at(-1)?.messages ?? []
      assert.include(reply?.content, "stopped")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("while its instance is gone is stopped by whoever takes it up", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const model = yield* halting("Hi")
      const gone = yield* Effect.scoped(
        Effect.gen(function* () {
          const here = yield* Effect.provideService(instance([model.line]), ConversationRepo, {
            ...repo,
            handBack: () => Effect.never,
            watched: Effect.succeed([])
          })
          const { turnId } = yield* here.chat.open(message("Hello"))
          yield* model.asked
          const closing = yield* Effect.forkDetach(here.turns.drain)
          yield* TestClock.adjust("60 seconds")
          yield* Fiber.join(closing)
          return turnId
        })
      ).pipe(Effect.forkChild)
      yield* TestClock.adjust("2 minutes")
      const turnId = yield* Fiber.join(gone)
      const asked: Array<string> = []
      const there = yield* instance([
        () => {
          asked.push("asked")
          return Effect.never
        }
      ])
      const stopping = yield* Effect.forkChild(there.feed.stop(ada.id, turnId), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(stopping)).status, "stopped")
    }).pipe(Effect.provide(repositories))
  )

  it.effect("too late stays as it is, and one that nobody can stop is told of", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const model = yield* halting("Hi")
      const here = yield* Effect.provideService(instance([says("Done"), model.line]), ConversationRepo, {
        ...repo,
        watched: Effect.succeed([])
      })
      const there = yield* instance([])
      const { turnId } = replyOf(yield* here.chat.send(message("Hello")))
      assert.strictEqual((yield* there.feed.stop(ada.id, turnId)).status, "completed")
      const other = yield* here.chat.open(message("Hello"))
      yield* model.asked
      const stopping = yield* Effect.forkChild(Effect.flip(there.feed.stop(ada.id, other.turnId)), {
        startImmediately: true
      })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(stopping))._tag, "StorageUnavailable")
    }).pipe(Effect.provide(repositories))
  )
})
