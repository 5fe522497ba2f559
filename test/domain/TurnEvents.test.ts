import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { asks, type Line, says } from "../../src/adapters/memory/ScriptedModel.ts"
import type { TurnEvent } from "../../src/domain/TurnEvents.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { ModelFailed } from "../../src/ports/LLM.ts"
import { instance, message, replyOf, repositories } from "../support/instance.ts"

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

describe("a watcher", () => {
  it.effect("is told of the text as it is made, and of the tools", () =>
    Effect.gen(function* () {
      const events: Array<TurnEvent> = []
      const { chat } = yield* instance([
        inPieces(["Let me ", "see."], {
          ...asks(["add_task", { title: "Milk" }], ["complete_task", { task_id: 7 }]),
          text: "Let me see."
        }),
        inPieces(["Do", "ne"], says("Done."))
      ])
      const reply = replyOf(yield* chat.send({ ...message("Add milk"), watch: (event) => events.push(event) }))
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.1", "Text", "Let me "],
        ["1.0.2", "Text", "see."],
        ["1.0.3", "ToolCallBegun", "add_task"],
        ["1.0.4", "ToolCallBegun", "complete_task"],
        ["1.0.5", "ToolCallDone", "success"],
        ["1.0.6", "ToolCallDone", "error"],
        ["1.1.0", "StepDone"],
        ["1.1.1", "Text", "Do"],
        ["1.1.2", "Text", "ne"],
        ["1.1.3", "Text", "."]
      ])
      const [begun] = events
      assert(begun?._tag === "Begun")
      assert.deepStrictEqual([begun.conversationId, begun.turnId], [reply.conversationId, reply.turnId])
      const done = events.flatMap((event) => (event._tag === "ToolCallDone" ? [event.call.id] : []))
      assert.deepStrictEqual(
        done,
        reply.toolCalls.map(({ id }) => id)
      )
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told when what the model said holds no longer", () =>
    Effect.gen(function* () {
      const events: Array<TurnEvent> = []
      const { chat } = yield* instance([
        inPieces(["Once upon"], new ModelFailed({ reason: "unreachable" })),
        inPieces([], new ModelFailed({ reason: "overloaded" })),
        inPieces(["Hel", "lo"], says("Hello"))
      ])
      const sending = yield* Effect.forkChild(chat.send({ ...message("Hello"), watch: (event) => events.push(event) }))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(sending)
      assert.deepStrictEqual(told(events), [
        ["1.0.0", "Begun"],
        ["1.0.1", "Text", "Once upon"],
        ["1.0.2", "Restarted"],
        ["1.0.3", "Text", "Hel"],
        ["1.0.4", "Text", "lo"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told of the whole when the pieces were something else", () =>
    Effect.gen(function* () {
      const events: Array<TurnEvent> = []
      const { chat } = yield* instance([inPieces(["Nonsense"], says("Hello"))])
      yield* chat.send({ ...message("Hello"), watch: (event) => events.push(event) })
      assert.deepStrictEqual(told(events).slice(2), [
        ["1.0.2", "Restarted"],
        ["1.0.3", "Text", "Hello"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("of a turn that is taken up is told first of what was committed", () =>
    Effect.gen(function* () {
      const { chat } = yield* instance([
        { ...asks(["add_task", { title: "Milk" }]), text: "One moment." },
        new ModelFailed({ reason: "bad_answer" }),
        new ModelFailed({ reason: "bad_answer" }),
        new ModelFailed({ reason: "bad_answer" }),
        says("Milk is on the list.")
      ])
      const request = message("Add milk", { key: "k" })
      const failing = yield* Effect.forkChild(Effect.flip(chat.send(request)))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "TurnFailed")
      const events: Array<TurnEvent> = []
      yield* chat.send({ ...request, watch: (event) => events.push(event) })
      assert.deepStrictEqual(told(events), [
        ["2.0.0", "Begun"],
        ["2.0.1", "Text", "One moment."],
        ["2.0.2", "ToolCallBegun", "add_task"],
        ["2.0.3", "ToolCallDone", "success"],
        ["2.1.0", "StepDone"],
        ["2.1.1", "Text", "Milk is on the list."]
      ])
      const nothing: Array<TurnEvent> = []
      const replay = yield* chat.send({ ...request, watch: (event) => nothing.push(event) })
      assert.isTrue(replay.replayed)
      assert.deepStrictEqual(nothing, [])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told what is stored, whatever the model says and wherever its pieces are cut", () =>
    Effect.gen(function* () {
      const events: Array<TurnEvent> = []
      const raw = "a\u0000b\ud83d\ude00 \ud83d c \udc00"
      const { chat } = yield* instance([inPieces(["a\u0000", "b\ud83d", "\ude00 ", "\ud83d", " c \udc00"], says(raw))])
      const reply = replyOf(yield* chat.send({ ...message("Hello"), watch: (event) => events.push(event) }))
      const texts = events.flatMap((event) => (event._tag === "Text" ? [event.text] : []))
      assert.strictEqual(texts.join(""), reply.message)
      assert.isTrue(texts.every((text) => text.isWellFormed()))
      assert.isTrue(events.every((event) => event._tag !== "Restarted"))
    }).pipe(Effect.provide(repositories))
  )

  it.effect("is told that its text holds no longer when someone else goes on", () =>
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const events: Array<TurnEvent> = []
      const { chat } = yield* Effect.provideService(instance([inPieces(["Mine"], says("Mine"))]), ConversationRepo, {
        ...repo,
        complete: (claim, request) =>
          Effect.andThen(
            repo.complete(claim, { ...request, content: "Theirs", response: JSON.stringify({ message: "Theirs" }) }),
            Effect.succeed({ _tag: "Lost" } as const)
          )
      })
      const { body } = yield* chat.send({ ...message("Hello"), watch: (event) => events.push(event) })
      assert.strictEqual(body, '{"message":"Theirs"}')
      assert.deepStrictEqual(told(events).slice(1), [
        ["1.0.1", "Text", "Mine"],
        ["1.0.2", "Restarted"]
      ])
    }).pipe(Effect.provide(repositories))
  )

  it.effect("that nobody is makes the model answer as a whole", () =>
    Effect.gen(function* () {
      const wanted: Array<boolean> = []
      const line: Line = (_, onText) => {
        wanted.push(onText !== undefined)
        return Effect.succeed(says("Hello"))
      }
      const { chat } = yield* instance([line, line])
      yield* chat.send(message("Hello"))
      yield* chat.send({ ...message("Hello"), watch: () => undefined })
      assert.deepStrictEqual(wanted, [false, true])
    }).pipe(Effect.provide(repositories))
  )
})
