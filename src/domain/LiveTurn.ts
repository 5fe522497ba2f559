import { Deferred, Effect } from "effect"
import type { Claim, ClaimedTurn, StoredCall } from "../ports/ConversationRepo.ts"
import type { OnText } from "../ports/LLM.ts"
import { toStorable } from "./model/Text.ts"
import type { BegunCall, Told } from "./model/Turn.ts"
import type { CommittedStep, TurnAccount, TurnEnding } from "./TurnEvents.ts"

/** Something whose account changes, and those who wait for that. */
export interface Watched {
  readonly account: () => TurnAccount
  /** Whether the account will not change any more. */
  readonly isOver: () => boolean
  /** Grows with each change. */
  readonly version: () => number
  /** Is called at the next change, once; answers how to be called no longer. */
  readonly onChange: (listener: () => void) => () => void
}

/** How often something has changed, and those who wait for that. */
export const makeChanges = () => {
  let listeners = new Set<() => void>()
  let version = 0
  return {
    version: () => version,
    add: (listener: () => void): (() => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    call: (): void => {
      version++
      if (listeners.size === 0) return
      const called = listeners
      listeners = new Set()
      for (const listener of called) listener()
    }
  }
}

/**
 * One attempt at a turn by this instance: the agent tells it what happens, and whoever watches reads that in its own time.
 * While nobody does it costs next to nothing.
 */
export interface LiveTurn extends Watched {
  readonly claim: Claim
  /** From now on the model is to say what it says as it makes it. */
  readonly watch: () => void
  /** What the model is to be given for that; nothing while nobody watches. */
  readonly onText: () => OnText | undefined
  /** The model is about to be asked: what it said in vain before holds no longer. */
  readonly ask: () => void
  /** The model has said all. */
  readonly said: (text: string) => void
  readonly callsBegun: (calls: ReadonlyArray<BegunCall>) => void
  readonly stepDone: (text: string, calls: ReadonlyArray<StoredCall>) => void
  /** What it has said since the last step, as it may be stored. */
  readonly told: () => Told
  /** The attempt is over; with no ending if someone else goes on with the turn. */
  readonly end: (ending: TurnEnding | undefined) => void
  /** Asks the agent to come to an end with what there is. */
  readonly stop: Effect.Effect<void>
  readonly isStopping: () => boolean
  /** Waits until that is asked. */
  readonly stopping: Effect.Effect<void>
}

const endsInHalf = /[\ud800-\udbff]$/

/** Of a step of which nothing has been told yet. */
export const nothingTold: Told = { from: 0, text: "", calls: [] }

export const makeLiveTurn = ({ claim, steps: skipped }: ClaimedTurn): LiveTurn => {
  const { conversationId, fence: attempt, turnId } = claim
  const changes = makeChanges()
  const stopping = Deferred.makeUnsafe<void>()
  const steps: Array<CommittedStep> = []
  let current = nothingTold
  /** The first half of a character whose second is still to come. */
  let half = ""
  let watched = false
  let over = false
  let ending: TurnEnding | undefined

  const tell = (told: Told): void => {
    current = told
    changes.call()
  }
  // Told is what is stored, which is not always what the model has said.
  const show = (more: string): void => {
    if (more !== "") tell({ ...current, text: current.text + more })
  }
  const onText: OnText = (more) => {
    const all = half + more
    half = endsInHalf.test(all) ? all.slice(-1) : ""
    show(toStorable(half === "" ? all : all.slice(0, -1)))
  }
  const ask = (): void => {
    half = ""
    if (current.text !== "") tell({ ...nothingTold, from: current.from + current.text.length + 1 })
  }
  return {
    claim,
    account: () => ({ conversationId, turnId, attempt, skipped, steps, current, ending }),
    isOver: () => over,
    version: changes.version,
    onChange: changes.add,
    watch: () => {
      watched = true
    },
    onText: () => (watched ? onText : undefined),
    ask,
    said: (raw) => {
      const all = toStorable(raw)
      if (!all.startsWith(current.text)) ask()
      half = ""
      show(all.slice(current.text.length))
    },
    callsBegun: (calls) => tell({ ...current, calls }),
    stepDone: (text, calls) => {
      steps.push({ from: current.from, text, calls })
      tell(nothingTold)
    },
    told: () => current,
    end: (how) => {
      ending = how
      over = true
      changes.call()
    },
    stop: Effect.asVoid(Deferred.succeed(stopping, undefined)),
    isStopping: () => Deferred.isDoneUnsafe(stopping),
    stopping: Deferred.await(stopping)
  }
}
