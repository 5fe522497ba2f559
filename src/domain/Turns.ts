import {
  Cause,
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberMap,
  FiberSet,
  Latch,
  Layer,
  References,
  Schedule,
  Scope,
  Tracer
} from "effect"
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
import { repeatedly, soon } from "./Background.ts"
import { uuidV7 } from "./Ids.ts"
import { type LiveTurn, makeLiveTurn } from "./LiveTurn.ts"
import type { TurnId } from "./model/Conversation.ts"
import { ShuttingDown, StorageUnavailable } from "./model/Errors.ts"
import type { UserId } from "./model/User.ts"
import { makePlaces, type Place } from "./Places.ts"
import { Settings } from "./Settings.ts"
import { leaseMillis, turnPolicy } from "./TurnPolicy.ts"

const renewEvery = Duration.seconds(5)
const recoverEvery = Duration.seconds(2)
const recoverAtOnce = 10
/** A crowd begins one by one: whoever only reads must not wait behind all of it for the database. */
const beginningsAtOnce = 16
/** And one user, who may be a crowd, leaves places to others. */
const beginningsEach = 4
/** How long they wait for their turn: not for ever behind a store that hangs. */
const placePatience = Duration.seconds(25)
const pollEvery = Duration.millis(250)
const sweepEvery = Duration.hours(1)
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
    /** Starts running a claimed turn. Whoever started it may go: it runs to its end, watched from its beginning or not. */
    readonly start: (turn: ClaimedTurn, options?: { readonly watched: boolean }) => Effect.Effect<StartedTurn>
    /** The turn as it runs here; nothing if it does not. */
    readonly live: (turnId: TurnId) => LiveTurn | undefined
    /** Whether any turn runs here. */
    readonly isIdle: () => boolean
    /** Waits until nobody holds the turn any more, or until the time is over; answers whether it is so. Holds no connection. */
    readonly awaitSettled: (turn: TurnRef, patience: Duration.Duration) => Effect.Effect<boolean>
    /** Fails with `ShuttingDown` once `drain` has begun. */
    readonly ready: Effect.Effect<void, ShuttingDown>
    /** Waits until `drain` has begun. */
    readonly draining: Effect.Effect<void>
    /**
     * Runs what begins a turn of a user, when one of a few places is free, to its end even if whoever asked for it goes. One
     * user gets only some of the places. Fails with `ShuttingDown` once `drain` has begun, and with `StorageUnavailable` when
     * there was no place for too long: then nothing has begun.
     */
    readonly admit: <A, E>(
      userId: UserId,
      beginning: Effect.Effect<A, E>
    ) => Effect.Effect<A, E | ShuttingDown | StorageUnavailable>
    /**
     * Ends the service's work, once: nothing new is admitted, what is running gets the grace period to end, and what is
     * left is handed back, so that another instance takes it up at once.
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
  readonly live: LiveTurn
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
    const home = yield* Effect.context<never>()

    /**
     * A turn outlives whoever asked for it, and another instance may go on with it: it has nothing of theirs, such as a transaction
     * that is under way, but what its log and its trace are to be told by.
     */
    const atHome = <A, E>(turn: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.updateContext(turn, (caller: Context.Context<never>) =>
        Context.merge(home, Context.pick(Tracer.ParentSpan, References.CurrentLogAnnotations)(caller))
      )

    const places = makePlaces(beginningsAtOnce, beginningsEach)
    const beginnings = yield* FiberSet.make<unknown, unknown>()
    const fibers = yield* FiberMap.make<TurnId, void, never>()
    const running = new Map<TurnId, RunningTurn>()
    const waiting = new Map<TurnId, { readonly turn: TurnRef; readonly signals: Set<Deferred.Deferred<void>> }>()
    /** Open while anybody waits: nothing is polled for nobody. */
    const awaited = yield* Latch.make()
    let state: "open" | "draining" | "drained" = "open"
    const draining = yield* Deferred.make<void>()

    const ready = Effect.suspend(() => (state === "open" ? Effect.void : Effect.fail(new ShuttingDown())))

    const signal = (turnId: TurnId) =>
      Effect.suspend(() => {
        const signals = waiting.get(turnId)?.signals ?? []
        waiting.delete(turnId)
        return Effect.forEach(signals, (signal) => Deferred.succeed(signal, undefined), { discard: true })
      })

    const handBack = (claims: ReadonlyArray<Claim>) =>
      repo.handBack(claims).pipe(
        Effect.retry({ schedule: Schedule.exponential("100 millis"), times: 4 }),
        Effect.timeoutOrElse({
          duration: "5 seconds",
          orElse: () => Effect.fail(new StorageUnavailable({ operation: "Turns.handBack" }))
        }),
        Effect.catchCause((cause) => Effect.logWarning("Turns could not be handed back: their leases run out", cause))
      )

    const start = Effect.fnUntraced(function* (turn: ClaimedTurn, options?: { readonly watched: boolean }) {
      const { claim } = turn
      if (state === "drained") {
        yield* handBack([claim])
        return { end: Effect.fail(new ShuttingDown()) }
      }
      const live = makeLiveTurn(turn)
      if (options?.watched === true) live.watch()
      const entry: RunningTurn = {
        claim,
        live,
        deadline: (yield* Clock.currentTimeMillis) + Duration.toMillis(settings.turnTimeout),
        end: yield* Deferred.make<TurnEnd, StorageUnavailable | ShuttingDown>()
      }
      running.set(claim.turnId, entry)
      const ended = (exit: Exit.Exit<TurnEnd, StorageUnavailable>) =>
        Effect.suspend(() => {
          if (running.get(claim.turnId) === entry) running.delete(claim.turnId)
          // Whoever watches goes on with it elsewhere.
          if (!live.isOver()) live.end(undefined)
          return Effect.andThen(Deferred.done(entry.end, endOf(exit)), signal(claim.turnId))
        })
      // An earlier claim of this instance on the same turn is over: its fiber makes way.
      yield* FiberMap.run(
        fibers,
        claim.turnId,
        atHome(agent.run(turn, live)).pipe(
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

    /** An interrupted turn was lost to someone else, or is handed back to the others. */
    const endOf = (
      exit: Exit.Exit<TurnEnd, StorageUnavailable>
    ): Exit.Exit<TurnEnd, StorageUnavailable | ShuttingDown> => {
      if (!Exit.hasInterrupts(exit)) return exit
      return state === "drained" ? Exit.fail(new ShuttingDown()) : Exit.succeed({ _tag: "Lost" })
    }

    const claims = (turns: Iterable<RunningTurn>) => [...turns].map((turn) => turn.claim)

    const renew = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const held = [...running.values()].filter((turn) => now < turn.deadline)
      if (held.length === 0) return
      const lost = yield* repo.renew(claims(held), leaseMillis).pipe(
        // Well before the leases are over it is tried once more, should the connection have died.
        Effect.timeoutOrElse({ duration: "4 seconds", orElse: () => Effect.fail(renewalTimedOut) }),
        Effect.retry({ times: 1 })
      )
      for (const entry of held) {
        const { turnId } = entry.claim
        // Not a later claim of this instance on the same turn; and whoever cannot be interrupted at once holds up nobody.
        if (lost.includes(turnId) && running.get(turnId) === entry) {
          yield* Effect.forkIn(FiberMap.remove(fibers, turnId), scope)
        }
      }
    })

    const toItsEnd = <A, E>(beginning: Effect.Effect<A, E>) => FiberSet.run(beginnings, Effect.scoped(beginning))

    // One after the other, and past those who wait for a place.
    const takeUp = <A, E>(beginning: Effect.Effect<A, E>): Effect.Effect<A, E | ShuttingDown> =>
      Effect.flatMap(ready, () => Effect.flatMap(toItsEnd(beginning), Fiber.join))

    /** Takes up a page of abandoned turns; answers whether there may be more. */
    const recoverSome = Effect.gen(function* () {
      const turns = yield* soon(repo.abandoned(recoverAtOnce, leaseMillis))
      // What still runs here is past its time, and about to end by itself.
      const taken = yield* Effect.forEach(
        turns.filter((turn) => !running.has(turn.turnId)),
        (turn) =>
          takeUp(
            Effect.gen(function* () {
              const outcome = yield* soon(repo.takeUp(turn, yield* uuidV7, policy))
              if (outcome._tag === "Claimed") yield* start(outcome.turn)
              return outcome._tag !== "Running"
            })
          ).pipe(
            // One that cannot be taken up must not keep the others from it.
            Effect.catchCause((cause) =>
              Effect.as(Effect.logWarning("An abandoned turn could not be taken up", cause), false)
            )
          )
      )
      return turns.length === recoverAtOnce && taken.some((done) => done)
    })

    const recover = Effect.gen(function* () {
      while (state === "open" && (yield* recoverSome));
    })

    const poll = Effect.gen(function* () {
      // At once, or somebody could come between the look and the closing, and wait for a poll that does not come.
      yield* Effect.sync(() => waiting.size === 0 && awaited.closeUnsafe())
      yield* awaited.await
      const turns = [...waiting.values()].map((entry) => entry.turn).filter((turn) => !running.has(turn.turnId))
      if (turns.length === 0) return
      const settled = yield* soon(repo.settled(turns, leaseMillis))
      yield* Effect.forEach(settled, signal, { discard: true })
    })

    /** Waits for a place among those that begin, as long as nothing has begun that somebody would have to go on with. */
    const seated = (place: Place) =>
      Effect.suspend(() =>
        place.takeIfFree()
          ? Effect.void
          : Effect.timeoutOrElse(place.take, {
              duration: placePatience,
              orElse: () => Effect.fail(new StorageUnavailable({ operation: "Turns.admit" }))
            })
      )

    const admit = <A, E>(
      userId: UserId,
      beginning: Effect.Effect<A, E>
    ): Effect.Effect<A, E | ShuttingDown | StorageUnavailable> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          yield* ready
          const place = places.of(userId)
          yield* Effect.onError(restore(seated(place)), () => place.release)
          const fiber = yield* toItsEnd(Effect.ensuring(Effect.andThen(ready, beginning), place.release))
          return yield* restore(Fiber.join(fiber))
        })
      )

    yield* repeatedly("Renewing leases", renewEvery, renew)
    yield* repeatedly("Taking up abandoned turns", recoverEvery, recover)
    yield* repeatedly("Waiting for turns of other instances", pollEvery, poll)
    yield* repeatedly("Sweeping", sweepEvery, soon(repo.sweep(Duration.toMillis(forgetAfter))))

    const awaitSettled = Effect.fnUntraced(function* (turn: TurnRef, patience: Duration.Duration) {
      const settled = yield* Deferred.make<void>()
      const entry = waiting.get(turn.turnId) ?? { turn, signals: new Set() }
      entry.signals.add(settled)
      waiting.set(turn.turnId, entry)
      yield* awaited.open
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

    const drain = yield* Effect.cached(
      Effect.gen(function* () {
        state = "draining"
        yield* Deferred.succeed(draining, undefined)
        if (running.size > 0) {
          yield* Effect.logInfo(
            `Shutting down: ${running.size} running turns have ${Duration.format(settings.shutdownGrace)} to end`
          )
        }
        yield* Effect.andThen(FiberSet.awaitEmpty(beginnings), FiberMap.awaitEmpty(fibers)).pipe(
          Effect.timeoutOrElse({ duration: settings.shutdownGrace, orElse: () => Effect.void })
        )
        state = "drained"
        const left = claims(running.values())
        if (left.length === 0) return
        yield* Effect.logInfo(`Shutting down: ${left.length} turns are handed back`)
        // Whoever cannot be interrupted in time is handed back as well: its fence is over then.
        yield* FiberMap.clear(fibers).pipe(Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.void }))
        yield* handBack(left)
      })
    )
    yield* Scope.addFinalizer(scope, drain)

    return Turns.of({
      start,
      live: (turnId) => running.get(turnId)?.live,
      isIdle: () => running.size === 0,
      awaitSettled,
      ready,
      draining: Deferred.await(draining),
      admit,
      drain
    })
  })
)

/**
 * Has the turns drained when it is closed. What is built last is closed first: over the server that answers their clients, it
 * lets them be told how their turns ended, or that another instance goes on with them.
 *
 * @example
 * ```ts
 * Turns.layerDrain.pipe(Layer.provide(server), Layer.provide(Turnkeeper.layer))
 * ```
 */
export const layerDrain: Layer.Layer<never, never, Turns> = Layer.effectDiscard(
  Effect.gen(function* () {
    const turns = yield* Turns
    yield* Effect.addFinalizer(() => turns.drain)
  })
)

const renewalTimedOut = new StorageUnavailable({ operation: "Turns.renew" })
