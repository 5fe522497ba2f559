import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, FiberMap, Layer, Schedule, Scope } from "effect"
import {
  type Claim,
  type ClaimedTurn,
  type Completed,
  ConversationRepo,
  type Failed,
  type Lost,
  type TurnRef
} from "../ports/ConversationRepo.ts"
import { Agent } from "./Agent.ts"
import { uuidV7 } from "./Ids.ts"
import type { TurnId } from "./model/Conversation.ts"
import { ShuttingDown, type StorageUnavailable } from "./model/Errors.ts"
import { Settings } from "./Settings.ts"
import { leaseMillis, turnPolicy } from "./TurnPolicy.ts"

const renewEvery = Duration.seconds(5)
const recoverEvery = Duration.seconds(2)
const recoverAtOnce = 10
const pollEvery = Duration.millis(250)
const forgetEvery = Duration.hours(1)
/** How long the key of a deleted conversation is remembered. */
const forgetAfter = Duration.days(30)

/** How a turn that this instance ran has ended for it. */
export type TurnEnd = Completed | Failed | Lost

/**
 * The turns that this instance runs. They run on the scope of this service, not on that of a request: their leases are
 * renewed, turns that others left behind are taken up, and on the way out what is unfinished is handed back.
 */
export class Turns extends Context.Service<
  Turns,
  {
    /**
     * Starts running a claimed turn. Whoever started it may go: it runs to its end.
     */
    readonly start: (turn: ClaimedTurn) => Effect.Effect<StartedTurn>
    /** Waits until nobody holds the turn any more, or until the time is over; answers whether it is so. Holds no connection. */
    readonly awaitSettled: (turn: TurnRef, patience: Duration.Duration) => Effect.Effect<boolean>
    /** Fails with `ShuttingDown` once `drain` has begun. */
    readonly admit: Effect.Effect<void, ShuttingDown>
    /**
     * Ends the service's work: nothing new is admitted, running turns get the grace period to end, and those that are
     * left are handed back, so that another instance takes them up at once.
     */
    readonly drain: Effect.Effect<void>
  }
>()("turnkeeper/domain/Turns") {}

/** A turn that this instance runs. */
export interface StartedTurn {
  /**
   * Waits for its end; interrupting that ends the waiting only. Fails with `ShuttingDown` when the turn was handed back
   * to the other instances, and with `StorageUnavailable` when its end could not be stored.
   */
  readonly end: Effect.Effect<TurnEnd, StorageUnavailable | ShuttingDown>
}

interface RunningTurn {
  readonly claim: Claim
  /** When its attempt is over, in milliseconds; its lease is not renewed past that. */
  readonly deadline: number
  readonly end: Deferred.Deferred<TurnEnd, StorageUnavailable | ShuttingDown>
}

export const layer: Layer.Layer<Turns, never, Agent | ConversationRepo> = Layer.effect(
  Turns,
  Effect.gen(function* () {
    const agent = yield* Agent
    const repo = yield* ConversationRepo
    const settings = yield* Settings
    const policy = turnPolicy(settings)
    const scope = yield* Effect.scope

    const fibers = yield* FiberMap.make<TurnId, void, never>()
    const running = new Map<TurnId, RunningTurn>()
    const waiting = new Map<TurnId, { readonly turn: TurnRef; readonly signals: Set<Deferred.Deferred<void>> }>()
    let draining = false

    const signal = (turnId: TurnId) =>
      Effect.suspend(() => {
        const signals = waiting.get(turnId)?.signals ?? []
        waiting.delete(turnId)
        return Effect.forEach(signals, (signal) => Deferred.succeed(signal, undefined), { discard: true })
      })

    const start = Effect.fnUntraced(function* (turn: ClaimedTurn) {
      const { claim } = turn
      const entry: RunningTurn = {
        claim,
        deadline: (yield* Clock.currentTimeMillis) + Duration.toMillis(settings.turnTimeout),
        end: yield* Deferred.make<TurnEnd, StorageUnavailable | ShuttingDown>()
      }
      running.set(claim.turnId, entry)
      const ended = (exit: Exit.Exit<TurnEnd, StorageUnavailable>) =>
        Effect.suspend(() => {
          if (running.get(claim.turnId) === entry) running.delete(claim.turnId)
          // When it was handed back, that stands already.
          const told = Exit.hasInterrupts(exit)
            ? Deferred.succeed(entry.end, { _tag: "Lost" })
            : Deferred.done(entry.end, exit)
          return Effect.andThen(told, signal(claim.turnId))
        })
      // An earlier claim of this instance on the same turn is over: its fiber makes way.
      yield* FiberMap.run(
        fibers,
        claim.turnId,
        agent.run(turn).pipe(
          Effect.onExit(ended),
          Effect.asVoid,
          Effect.catchCause((cause) =>
            Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("A turn could not be ended", cause)
          ),
          Effect.scoped
        )
      )
      return { end: Deferred.await(entry.end) }
    }, Effect.uninterruptible)

    const claims = (turns: Iterable<RunningTurn>) => [...turns].map((turn) => turn.claim)

    const renew = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const held = claims([...running.values()].filter((turn) => now < turn.deadline))
      if (held.length === 0) return
      const lost = yield* repo.renew(held, leaseMillis)
      // One that ended meanwhile is not running any more either: then there is nothing to remove.
      yield* Effect.forEach(lost, (turnId) => FiberMap.remove(fibers, turnId), { discard: true })
    })

    const recover = Effect.gen(function* () {
      if (draining) return
      const turns = yield* repo.abandoned(recoverAtOnce, leaseMillis)
      yield* Effect.forEach(
        turns,
        (turn) =>
          Effect.uninterruptible(
            Effect.gen(function* () {
              if (draining) return
              const outcome = yield* repo.takeUp(turn, yield* uuidV7, policy)
              if (outcome._tag === "Claimed") yield* start(outcome.turn)
            })
          ),
        { discard: true }
      )
    })

    const poll = Effect.gen(function* () {
      const turns = [...waiting.values()].map((entry) => entry.turn).filter((turn) => !running.has(turn.turnId))
      if (turns.length === 0) return
      const settled = yield* repo.settled(turns, leaseMillis)
      yield* Effect.forEach(settled, signal, { discard: true })
    })

    const inBackground = (name: string, every: Duration.Duration, task: Effect.Effect<void, StorageUnavailable>) =>
      task.pipe(
        Effect.catchCause((cause) => Effect.logWarning(`${name} failed, and is tried again`, cause)),
        Effect.repeat(Schedule.jittered(Schedule.spaced(every))),
        Effect.forkScoped
      )
    yield* inBackground("Renewing leases", renewEvery, renew)
    yield* inBackground("Taking up abandoned turns", recoverEvery, recover)
    yield* inBackground("Waiting for turns of other instances", pollEvery, poll)
    yield* inBackground(
      "Forgetting deleted conversations",
      forgetEvery,
      repo.forgetDeleted(Duration.toMillis(forgetAfter))
    )

    const awaitSettled = Effect.fnUntraced(function* (turn: TurnRef, patience: Duration.Duration) {
      const settled = yield* Deferred.make<void>()
      const entry = waiting.get(turn.turnId) ?? { turn, signals: new Set() }
      entry.signals.add(settled)
      waiting.set(turn.turnId, entry)
      return yield* Deferred.await(settled).pipe(
        Effect.as(true),
        Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(false) }),
        Effect.ensuring(
          Effect.sync(() => {
            entry.signals.delete(settled)
            if (entry.signals.size === 0 && waiting.get(turn.turnId) === entry) waiting.delete(turn.turnId)
          })
        )
      )
    })

    const drain = Effect.gen(function* () {
      draining = true
      yield* FiberMap.awaitEmpty(fibers).pipe(
        Effect.timeoutOrElse({ duration: settings.shutdownGrace, orElse: () => Effect.void })
      )
      const left = [...running.values()]
      if (left.length === 0) return
      yield* Effect.forEach(left, (turn) => Deferred.fail(turn.end, new ShuttingDown()), { discard: true })
      yield* FiberMap.clear(fibers)
      yield* repo.handBack(claims(left)).pipe(
        Effect.retry({ schedule: Schedule.exponential("100 millis"), times: 4 }),
        Effect.catchCause((cause) => Effect.logWarning("Turns could not be handed back: their leases run out", cause))
      )
    })
    yield* Scope.addFinalizer(scope, drain)

    return Turns.of({
      start,
      awaitSettled,
      admit: Effect.suspend(() => (draining ? Effect.fail(new ShuttingDown()) : Effect.void)),
      drain
    })
  })
)
