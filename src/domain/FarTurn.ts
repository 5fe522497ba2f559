import { Effect, Schema } from "effect"
import type { ConversationRepo, Glance, StoredTurn, TurnRef } from "../ports/ConversationRepo.ts"
import { makeChanges, nothingTold, type Watched } from "./LiveTurn.ts"
import type { ShuttingDown, StorageUnavailable, TurnNotFound } from "./model/Errors.ts"
import type { Told } from "./model/Turn.ts"
import type { TurnAccount, TurnEnding } from "./TurnEvents.ts"

/** Why a turn can be followed no longer. */
export type FeedError = TurnNotFound | StorageUnavailable | ShuttingDown

/** A turn as the store tells of it, for those who watch it where it does not run. */
export interface FarTurn extends Watched {
  readonly ref: TurnRef
  /** How many watch it. */
  watchers: number
  /** Reads anew what is committed. */
  readonly read: Effect.Effect<void, TurnNotFound | StorageUnavailable>
  /** Takes in what was seen of it; reads it anew where that shows more than is known. */
  readonly see: (glance: Glance | undefined) => Effect.Effect<void>
  /** Ends the watching. */
  readonly fail: (error: FeedError) => void
  /** Why it was ended. */
  readonly failure: () => FeedError | undefined
}

export const makeFarTurn = (repo: ConversationRepo["Service"], first: StoredTurn): FarTurn => {
  const { turnId, userId } = first
  const changes = makeChanges()
  let status = first.status
  let account = toAccount(first)
  let failure: FeedError | undefined

  const read = Effect.map(repo.turn(userId, turnId), (turn) => {
    const before = account
    status = turn.status
    account = toAccount(turn)
    if (status === "running" && isSameStep(account, before)) account = { ...account, current: before.current }
    changes.call()
  })
  const fail = (error: FeedError): void => {
    failure = error
    changes.call()
  }
  const isKnown = (glance: Glance): boolean =>
    glance.status === status && glance.attempt === account.attempt && glance.steps === account.steps.length
  return {
    ref: { userId, conversationId: first.conversationId, turnId },
    watchers: 0,
    account: () => account,
    isOver: () => failure !== undefined || account.ending !== undefined,
    version: changes.version,
    onChange: changes.add,
    read,
    see: (glance) =>
      Effect.suspend(() => {
        const known = glance !== undefined && isKnown(glance) ? Effect.void : read
        return Effect.match(known, {
          onFailure: (error) => {
            // A store that is away for a moment is asked again.
            if (error._tag === "TurnNotFound") fail(error)
          },
          onSuccess: () => {
            // Of a turn that is over, what was told while it ran is still there to be seen.
            if (glance === undefined || glance.told === null || status !== "running" || !isKnown(glance)) return
            // Whoever watches is not woken for nothing, four times a second.
            if (isSame(glance.told, account.current)) return
            account = { ...account, current: glance.told }
            changes.call()
          }
        })
      }),
    fail,
    failure: () => failure
  }
}

const isSame = (one: Told, other: Told): boolean =>
  one.from === other.from && one.text === other.text && one.calls.length === other.calls.length

const isSameStep = (one: TurnAccount, other: TurnAccount): boolean =>
  one.attempt === other.attempt && one.steps.length === other.steps.length

const toAccount = (turn: StoredTurn): TurnAccount => {
  const ending = toEnding(turn)
  return {
    conversationId: turn.conversationId,
    turnId: turn.turnId,
    attempt: turn.attempt,
    skipped: 0,
    steps: turn.steps.map(({ content, toldFrom }, i) => ({
      from: toldFrom,
      text: content,
      calls: turn.calls.filter((call) => call.step === i + 1)
    })),
    current: turn.body === null ? nothingTold : { from: turn.toldFrom, text: decodeText(turn.body).message, calls: [] },
    ending
  }
}

const decodeText = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ message: Schema.String })))

const toEnding = (turn: StoredTurn): TurnEnding | undefined => {
  if (turn.body !== null) return { _tag: turn.status === "stopped" ? "Stopped" : "Completed", body: turn.body }
  if (turn.failure === null) return undefined
  const { calls, conversationId, failure, retryable, turnId, usage, userId } = turn
  return { _tag: "Failed", turn: { userId, conversationId, turnId, failure, retryable, usage, calls } }
}
