import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { makeLiveTurn } from "../../src/domain/LiveTurn.ts"
import { ConversationId, ToolCallId, TurnId } from "../../src/domain/model/Conversation.ts"
import { noUsage } from "../../src/domain/model/Turn.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { type EventPlace, eventsAfter, type TurnAccount, type TurnEvent } from "../../src/domain/TurnEvents.ts"
import type { ClaimedTurn, StoredCall } from "../../src/ports/ConversationRepo.ts"

const claimed: ClaimedTurn = {
  claim: {
    userId: UserId.make("ada"),
    conversationId: ConversationId.make("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    turnId: TurnId.make("01935d3b-0000-7000-8000-000000000001"),
    fence: 4
  },
  seq: 1,
  steps: 0,
  usage: noUsage,
  context: { userName: "Ada" },
  pending: null,
  history: { messages: [], steps: [], calls: [] }
}

const call = (n: number): StoredCall => ({
  id: ToolCallId.make(`01935d3b-0000-7000-8000-${String(n).padStart(12, "0")}`),
  seq: 1,
  step: 1,
  position: 0,
  providerCallId: "c",
  toolName: "add_task",
  arguments: "{}",
  result: "{}",
  status: "success"
})

/** What may happen to a turn while it runs: the model says more, fails and is asked again, or asks for tools. */
const Happening = Schema.Union([
  Schema.TaggedStruct("says", { text: Schema.String }),
  Schema.TaggedStruct("fails", {}),
  Schema.TaggedStruct("saysOtherwise", { text: Schema.String }),
  Schema.TaggedStruct("calls", {
    number: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))
  })
])

const Life = Schema.Struct({
  happenings: Schema.Array(Happening).check(Schema.isMaxLength(12)),
  ending: Schema.Literals(["Completed", "Stopped", "Failed"])
})

/** Lets a turn happen, and calls back at each moment at which somebody could look at it. */
const live = ({ ending, happenings }: typeof Life.Type, look: (account: TurnAccount) => void) => {
  const turn = makeLiveTurn(claimed)
  let calls = 0
  const moment = () => look(structuredClone(turn.account()))
  moment()
  for (const happening of happenings) {
    switch (happening._tag) {
      case "says":
        turn.watch()
        turn.onText()?.(happening.text)
        break
      case "fails":
        turn.ask()
        break
      case "saysOtherwise":
        turn.said(happening.text)
        break
      case "calls": {
        const asked = Array.from({ length: happening.number }, () => call(calls++))
        turn.callsBegun(asked)
        moment()
        turn.stepDone(turn.told().text, asked)
        break
      }
    }
    moment()
  }
  const { text } = turn.told()
  turn.end(
    ending === "Failed"
      ? {
          _tag: "Failed",
          turn: { ...claimed.claim, failure: { code: "step_limit" }, retryable: false, usage: noUsage, calls: [] }
        }
      : { _tag: ending, body: JSON.stringify({ message: text }) }
  )
  moment()
}

/** What somebody sees who has been told these events, and nothing else. */
const screen = (events: ReadonlyArray<TurnEvent>) => {
  let steps: Array<unknown> = []
  let step = { text: "", begun: [] as Array<string>, done: [] as Array<string> }
  let ending: string | undefined
  let begun = 0
  for (const event of events) {
    switch (event._tag) {
      case "Begun":
        begun++
        steps = []
        step = { text: "", begun: [], done: [] }
        break
      case "Text":
        step.text += event.text
        break
      case "Restarted":
        step = { text: "", begun: [], done: [] }
        break
      case "ToolCallBegun":
        step.begun.push(event.call.id)
        break
      case "ToolCallDone":
        step.done.push(event.call.id)
        break
      case "StepDone":
        steps.push(step)
        step = { text: "", begun: [], done: [] }
        break
      default:
        ending = event._tag
    }
  }
  // What is not committed when a turn fails is of no meaning.
  return { steps, last: ending === "Failed" ? undefined : step, ending, begun }
}

/** The same events, in which text is in one piece where nothing else came between. */
const joined = (events: ReadonlyArray<TurnEvent>) => {
  const all: Array<TurnEvent> = []
  for (const event of events) {
    const last = all.at(-1)
    if (event._tag === "Text" && last?._tag === "Text") all[all.length - 1] = { ...event, text: last.text + event.text }
    else all.push(event)
  }
  return all
}

const isLater = (a: EventPlace, b: EventPlace) => a.step > b.step || (a.step === b.step && a.position > b.position)

describe("the events of a turn", () => {
  it.effect.prop(
    "are the same for whoever was there, and for whoever came back, wherever the connection was lost",
    [Life],
    ([life]) =>
      Effect.sync(() => {
        const moments: Array<TurnAccount> = []
        live(life, (account) => moments.push(account))
        const heard: Array<TurnEvent> = []
        for (const moment of moments) heard.push(...eventsAfter(moment, heard.at(-1)))
        const last = moments.at(-1)
        assert(last !== undefined)
        // What somebody is told who comes at the end has all that holds, and nothing that does not.
        const late = eventsAfter(last, undefined)
        assert.deepStrictEqual(screen(late), screen(heard))
        for (const [i, event] of heard.entries()) {
          const before = heard[i - 1]
          if (before !== undefined && event._tag !== "Begun") assert.isTrue(isLater(event, before), event._tag)
          const told = heard.slice(0, i + 1)
          const missed = eventsAfter(last, event)
          const all = [...told, ...missed]
          assert.deepStrictEqual(screen(all), screen(heard))
          assert.isAtLeast(missed.length, 1)
          const rest = heard.slice(i + 1)
          // Of what was said in vain meanwhile only that is told that it holds no longer.
          if (rest.length > 0 && rest.every(({ _tag }) => _tag !== "Restarted") && life.ending !== "Failed") {
            assert.deepStrictEqual(joined(missed), joined(rest))
          }
        }
      })
  )

  it("are told from the middle of a text on", () => {
    const account: TurnAccount = {
      conversationId: claimed.claim.conversationId,
      turnId: claimed.claim.turnId,
      attempt: 4,
      skipped: 0,
      steps: [{ from: 2, text: "One moment.", calls: [call(1)] }],
      current: { from: 0, text: "Done.", calls: [] },
      ending: { _tag: "Completed", body: "{}" }
    }
    const at = (place: Partial<EventPlace>) =>
      eventsAfter(account, { attempt: 4, step: 0, position: 0, ...place }).map((event) => [
        `${event.attempt}.${event.step}.${event.position}`,
        event._tag === "Text" ? event.text : event._tag
      ])
    const rest = [
      ["4.0.14", "ToolCallBegun"],
      ["4.0.15", "ToolCallDone"],
      ["4.1.0", "StepDone"],
      ["4.1.5", "Done."],
      ["4.1.6", "Completed"]
    ]
    assert.deepStrictEqual(at({ position: 6 }), [["4.0.13", "moment."], ...rest])
    assert.deepStrictEqual(at({ position: 14 }), rest.slice(1))
    // Of the text before position 2 nothing holds.
    assert.deepStrictEqual(at({ position: 1 }), [["4.0.2", "Restarted"], ["4.0.13", "One moment."], ...rest])
    assert.deepStrictEqual(at({ position: 0 }), [["4.0.13", "One moment."], ...rest])
    // Nor of that which an earlier attempt said.
    assert.deepStrictEqual(at({ attempt: 3, position: 6 }), [
      ["4.0.2", "Restarted"],
      ["4.0.13", "One moment."],
      ...rest
    ])
    assert.deepStrictEqual(at({ attempt: 3 }), [["4.0.13", "One moment."], ...rest])
    assert.deepStrictEqual(at({ attempt: 3, step: 1, position: 3 }), [
      ["4.1.0", "Restarted"],
      ["4.1.5", "Done."],
      ["4.1.6", "Completed"]
    ])
    // The end is told to whoever has missed it only, but to nobody nothing.
    assert.deepStrictEqual(at({ step: 1, position: 5 }), [["4.1.6", "Completed"]])
    assert.deepStrictEqual(at({ step: 1, position: 6 }), [["4.1.6", "Completed"]])
    // A place that was never told.
    for (const place of [{ attempt: 5 }, { step: 2 }]) {
      assert.deepStrictEqual(at(place), [["4.0.0", "Begun"], ["4.0.13", "One moment."], ...rest])
    }
  })
})
