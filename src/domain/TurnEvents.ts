import type { FailedTurn, StoredCall } from "../ports/ConversationRepo.ts"
import type { ConversationId, TurnId } from "./model/Conversation.ts"
import type { BegunCall, Told } from "./model/Turn.ts"

/**
 * How far a turn has been told: in which attempt at it (its fence, which only grows), behind how many committed steps, and
 * how much since then. There each UTF-16 code unit of text counts 1, and each other event 1, so that text may be told in
 * pieces of any size. Who has been told so much goes on from there, at whichever instance.
 */
export interface EventPlace {
  readonly attempt: number
  readonly step: number
  readonly position: number
}

/** What happens to a turn, with how far it has been told then. */
export type TurnEvent = EventPlace &
  (
    | {
        /** What was told of the turn before, if anything, holds no longer: it is told from its beginning. */
        readonly _tag: "Begun"
        readonly conversationId: ConversationId
        readonly turnId: TurnId
      }
    /** More of what the model says. */
    | { readonly _tag: "Text"; readonly text: string }
    /**
     * What was told since the last step holds no longer: the model is asked once more, or by someone else. What of it took
     * effect after all is told again.
     */
    | { readonly _tag: "Restarted" }
    | { readonly _tag: "ToolCallBegun"; readonly call: BegunCall }
    /** The call has taken effect, and is committed. */
    | { readonly _tag: "ToolCallDone"; readonly call: StoredCall }
    /** All up to here is committed, and `step` is the number of that step. */
    | { readonly _tag: "StepDone" }
    | TurnEnding
  )

/** How a turn has ended. */
export type TurnEnding =
  /** With a reply: `body` is the stored answer, byte for byte. */
  | { readonly _tag: "Completed"; readonly body: string }
  /** By its user, with what the model had said until then for its reply. */
  | { readonly _tag: "Stopped"; readonly body: string }
  | { readonly _tag: "Failed"; readonly turn: FailedTurn }

/** All of a turn that can be told at a moment. */
export interface TurnAccount {
  readonly conversationId: ConversationId
  readonly turnId: TurnId
  readonly attempt: number
  /** The number of steps that were committed before the first of `steps`, of which it knows nothing. */
  readonly skipped: number
  /** What is committed, each step with the position at which its text begins. */
  readonly steps: ReadonlyArray<CommittedStep>
  readonly current: Told
  readonly ending: TurnEnding | undefined
}

export interface CommittedStep {
  readonly from: number
  readonly text: string
  readonly calls: ReadonlyArray<StoredCall>
}

/** Whether what comes behind a place can be told by an account: not of what it does not know, nor ahead of it. */
export const canTell = (account: TurnAccount, after: EventPlace | undefined): boolean =>
  after === undefined
    ? account.skipped === 0
    : after.step >= account.skipped &&
      after.step <= account.skipped + account.steps.length &&
      after.attempt <= account.attempt

type WithoutPlace<E> = E extends unknown ? Omit<E, keyof EventPlace> : never

/**
 * The events of a turn behind a place, or all of them. A place that the account cannot go on from is taken for none.
 *
 * Told in one go or in many, from one account after the other or from the last one alone: what is shown in the end is the
 * same.
 */
export const eventsAfter = (account: TurnAccount, after: EventPlace | undefined): ReadonlyArray<TurnEvent> => {
  const { attempt, conversationId, ending, skipped, turnId } = account
  const events: Array<TurnEvent> = []
  const place = { attempt, step: 0, position: 0 }
  const tell = (to: number, event: WithoutPlace<TurnEvent>): void => {
    if (to <= place.position) return
    place.position = to
    events.push({ ...place, ...event })
  }
  /** Tells what is left of a step: its text, and the calls that it asked for. */
  const tellStep = ({ calls, from, text }: Told, isOfAttempt: boolean): number => {
    if (!isOfAttempt || place.position < from) {
      // Nothing was shown that could hold no longer.
      const wasShown = place.position > 0
      place.position = from
      if (wasShown) events.push({ ...place, _tag: "Restarted" })
    }
    const end = from + text.length
    tell(end, { _tag: "Text", text: text.slice(place.position - from) })
    for (const [i, { arguments: args, id, toolName }] of calls.entries()) {
      tell(end + i + 1, { _tag: "ToolCallBegun", call: { id, toolName, arguments: args } })
    }
    return end + calls.length
  }

  let isOfAttempt = true
  if (after === undefined || !canTell(account, after)) {
    place.step = skipped
    events.push({ ...place, _tag: "Begun", conversationId, turnId })
  } else {
    place.step = after.step
    place.position = after.position
    isOfAttempt = after.attempt === attempt
  }
  for (const step of account.steps.slice(place.step - skipped)) {
    const begun = tellStep(step, isOfAttempt)
    for (const [i, call] of step.calls.entries()) tell(begun + i + 1, { _tag: "ToolCallDone", call })
    place.step++
    place.position = 0
    events.push({ ...place, _tag: "StepDone" })
    isOfAttempt = true
  }
  // A turn that failed says nothing beyond what is committed.
  if (ending?._tag === "Failed") events.push({ ...place, position: place.position + 1, ...ending })
  else {
    const told = tellStep(account.current, isOfAttempt)
    if (ending !== undefined) events.push({ ...place, position: Math.max(place.position, told + 1), ...ending })
  }
  return events
}
