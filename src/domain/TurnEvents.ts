import type { Claim, ClaimedTurn, StoredCall } from "../ports/ConversationRepo.ts"
import type { OnText } from "../ports/LLM.ts"
import type { ConversationId, TurnId } from "./model/Conversation.ts"
import { toStorable } from "./model/Text.ts"

/**
 * Where in a turn something happened: in which attempt at it (its fence, which only grows), behind how many committed steps,
 * and as which event since then, from 0. Later events have later places.
 */
export interface EventPlace {
  readonly attempt: number
  readonly step: number
  readonly position: number
}

/** What happens while a turn runs. How it ended is its answer, and no event of its running. */
export type TurnEvent = EventPlace &
  (
    | { readonly _tag: "Begun"; readonly conversationId: ConversationId; readonly turnId: TurnId }
    /** More of what the model says. */
    | { readonly _tag: "Text"; readonly text: string }
    /** What the model said since the last step holds no longer: it is asked once more. */
    | { readonly _tag: "Restarted" }
    | { readonly _tag: "ToolCallBegun"; readonly call: Pick<StoredCall, "id" | "toolName" | "arguments"> }
    /** The call has taken effect, and is committed. */
    | { readonly _tag: "ToolCallDone"; readonly call: StoredCall }
    /** All up to here is committed, and `step` is the number of that step. */
    | { readonly _tag: "StepDone" }
  )

type WithoutPlace<E> = E extends unknown ? Omit<E, keyof EventPlace> : never

/** What is told of events, at once and one after the other. It must not wait, or the turn would. */
export type Watcher = (event: TurnEvent) => void

/** Tells a watcher what happens, each event with its place. */
export interface Teller {
  /** The model says more; absent if nobody listens. */
  readonly text: OnText | undefined
  /** The model is about to be asked: what it said in vain before holds no longer. */
  readonly ask: () => void
  /** The model has said all: what was not told yet is told now. */
  readonly said: (text: string) => void
  readonly callsBegun: (calls: ReadonlyArray<Pick<StoredCall, "id" | "toolName" | "arguments">>) => void
  readonly stepDone: (calls: ReadonlyArray<StoredCall>) => void
}

const endsInHalf = /[\ud800-\udbff]$/

const silence: Teller = {
  text: undefined,
  ask: () => undefined,
  said: () => undefined,
  callsBegun: () => undefined,
  stepDone: () => undefined
}

/** Begins to tell of one attempt at a turn: of what earlier ones have committed, to begin with. */
export const makeTeller = ({ claim, history, seq }: ClaimedTurn, watch?: Watcher): Teller => {
  if (watch === undefined) return silence
  const teller = tellerOf(claim, watch)
  for (const step of history.steps) {
    if (step.seq !== seq) continue
    const calls = history.calls.filter((call) => call.seq === seq && call.step === step.step)
    teller.said(step.content)
    teller.callsBegun(calls)
    teller.stepDone(calls)
  }
  return teller
}

const tellerOf = (claim: Claim, watch: Watcher): Teller => {
  let step = 0
  let position = 0
  let shown = ""
  /** The first half of a character whose second is still to come. */
  let half = ""
  const tell = (event: WithoutPlace<TurnEvent>): void => {
    watch({ attempt: claim.fence, step, position, ...event })
    position++
  }
  tell({ _tag: "Begun", conversationId: claim.conversationId, turnId: claim.turnId })

  // Told is what is stored, which is not always what the model has said.
  const show = (more: string): void => {
    if (more === "") return
    shown += more
    tell({ _tag: "Text", text: more })
  }
  const text = (more: string): void => {
    const all = half + more
    half = endsInHalf.test(all) ? all.slice(-1) : ""
    show(toStorable(half === "" ? all : all.slice(0, -1)))
  }
  const ask = (): void => {
    half = ""
    if (shown === "") return
    shown = ""
    tell({ _tag: "Restarted" })
  }
  return {
    text,
    ask,
    said: (raw) => {
      const all = toStorable(raw)
      if (!all.startsWith(shown)) ask()
      half = ""
      show(all.slice(shown.length))
    },
    callsBegun: (calls) => {
      for (const { arguments: args, id, toolName } of calls) {
        tell({ _tag: "ToolCallBegun", call: { id, toolName, arguments: args } })
      }
    },
    stepDone: (calls) => {
      for (const call of calls) tell({ _tag: "ToolCallDone", call })
      step++
      position = 0
      shown = ""
      tell({ _tag: "StepDone" })
    }
  }
}
