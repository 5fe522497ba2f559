import { Array, Cause, Clock, Context, Duration, Effect, Latch, Layer, Option, type Pull, Scope, Stream } from "effect"
import { ConversationRepo, type StoredTurn } from "../ports/ConversationRepo.ts"
import { TurnNews } from "../ports/TurnNews.ts"
import { repeatedly, soon } from "./Background.ts"
import { type FarTurn, type FeedError, makeFarTurn } from "./FarTurn.ts"
import type { LiveTurn, Watched } from "./LiveTurn.ts"
import type { TurnId } from "./model/Conversation.ts"
import { ShuttingDown, StorageUnavailable, type TurnNotFound } from "./model/Errors.ts"
import type { Told } from "./model/Turn.ts"
import type { UserId } from "./model/User.ts"
import { canTell, type EventPlace, eventsAfter, type TurnEvent } from "./TurnEvents.ts"
import { Turns } from "./Turns.ts"

/** How often one looks at turns that other instances run, while anybody watches one. */
const lookEvery = Duration.millis(250)
/** How many of them are read at once: one that takes long must not hold up all the others. */
const readsAtOnce = 8
/** How often one looks for who watches from afar, while any turn runs here. */
const noticeEvery = Duration.millis(500)
/** How often they are told more. */
const tellEvery = Duration.millis(100)
/** For how long somebody is taken to watch, unless that is said again. */
const watchMillis = 10_000
/** How long one waits for a turn to be stopped: for a lease to end, and for whoever takes the turn up then. */
const stopPatience = Duration.seconds(25)
/** How often it is said again that it should be. */
const stopAgain = Duration.seconds(2)

/** A turn's events, as they happen, at whichever instance it runs. */
export class TurnFeed extends Context.Service<
  TurnFeed,
  {
    /**
     * The events of a turn behind a place, or all of them; the last one tells how the turn has ended. What is committed comes
     * from the store, what is not from the instance that runs the turn. The turn goes on as it would if nobody followed it:
     * who does not keep up gets more at once. Comes back as soon as the turn is found, until whose next event it may be long.
     * The stream fails with `ShuttingDown` when this instance is about to end before the turn, and with `TurnNotFound` when
     * its conversation is deleted meanwhile.
     */
    readonly follow: (
      userId: UserId,
      turnId: TurnId,
      after: Option.Option<EventPlace>
    ) => Effect.Effect<Stream.Stream<TurnEvent, FeedError>, FeedError, Scope.Scope>
    /**
     * Ends a running turn, wherever it runs, with what the model had said until then for its reply; what is committed stays.
     * Answers how the turn then stands: it may have come to another end just before. Fails with `StorageUnavailable` when it
     * still runs after all.
     */
    readonly stop: (userId: UserId, turnId: TurnId) => Effect.Effect<StoredTurn, TurnNotFound | StorageUnavailable>
  }
>()("turnkeeper/domain/TurnFeed") {}

export const layer: Layer.Layer<TurnFeed, never, ConversationRepo | Turns> = Layer.effect(
  TurnFeed,
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const turns = yield* Turns

    const liveOf = (userId: UserId, turnId: TurnId): LiveTurn | undefined => {
      const live = turns.live(turnId)
      return live?.claim.userId === userId ? live : undefined
    }

    /* Here somebody watches turns that run elsewhere. */

    const far = new Map<TurnId, FarTurn>()
    /** Open while there are any. */
    const watching = yield* Latch.make()

    const look = Effect.gen(function* () {
      const running = () => [...far].filter(([, turn]) => !turn.isOver())
      // At once, or somebody could come between the look and the closing, and wait for a look that does not come.
      yield* Effect.sync(() => running().length === 0 && watching.closeUnsafe())
      yield* watching.await
      const watched = running()
      if (watched.length === 0) return
      const refs = watched.map(([, { ref }]) => ({ ...ref, stop: false }))
      const glances = yield* soon(repo.watch(refs, watchMillis))
      const byTurn = new Map(glances.map((glance) => [glance.turnId, glance]))
      yield* Effect.forEach(watched, ([turnId, turn]) => soon(turn.see(byTurn.get(turnId))), {
        concurrency: readsAtOnce,
        discard: true
      })
    })

    /** The turn as the store tells of it, to be watched until the scope is closed. */
    const join = Effect.fnUntraced(function* (
      userId: UserId,
      turnId: TurnId
    ): Effect.fn.Return<FarTurn, FeedError, Scope.Scope> {
      const known = () => {
        const turn = far.get(turnId)
        // A turn that failed may have been taken up since.
        return turn?.ref.userId === userId && !turn.isOver() ? turn : undefined
      }
      const read = known() ?? makeFarTurn(repo, yield* soon(repo.turn(userId, turnId)))
      return yield* Effect.acquireRelease(
        Effect.suspend(() => {
          // Others may have read it at the same time: all of them watch one.
          const turn = known() ?? read
          turn.watchers++
          if (turn.isOver()) return Effect.succeed(turn)
          far.set(turnId, turn)
          return Effect.as(watching.open, turn)
        }),
        (turn) =>
          Effect.sync(() => {
            turn.watchers--
            if (turn.watchers === 0 && far.get(turnId) === turn) far.delete(turnId)
          })
      )
    })

    const follow = (
      userId: UserId,
      turnId: TurnId,
      after: Option.Option<EventPlace>
    ): Effect.Effect<Stream.Stream<TurnEvent, FeedError>, FeedError, Scope.Scope> =>
      Effect.flatMap(Effect.scope, (scope) => {
        let place = Option.getOrUndefined(after)
        let live: LiveTurn | undefined
        let distant: FarTurn | undefined
        let ended = false

        /** Whoever can tell what comes next: the turn itself if it runs here, or else the store. */
        const source = Effect.gen(function* () {
          if (live !== undefined && live.account().ending === undefined) live = undefined
          live ??= liveOf(userId, turnId)
          if (live !== undefined && canTell(live.account(), place)) {
            live.watch()
            return live
          }
          yield* turns.ready
          distant ??= yield* Effect.provideService(join(userId, turnId), Scope.Scope, scope)
          // What others have told of it may be newer than what is known here.
          if (!canTell(distant.account(), place)) yield* soon(distant.read)
          const failure = distant.failure()
          return failure === undefined ? distant : yield* failure
        })

        const next: Pull.Pull<Array.NonEmptyReadonlyArray<TurnEvent>, FeedError> = Effect.gen(function* () {
          while (!ended) {
            const watched = yield* source
            const version = watched.version()
            const events = eventsAfter(watched.account(), place)
            if (Array.isReadonlyArrayNonEmpty(events)) {
              const last = Array.lastNonEmpty(events)
              place = last
              ended = last._tag === "Completed" || last._tag === "Stopped" || last._tag === "Failed"
              return events
            }
            yield* changeSince(watched, version)
          }
          return yield* Cause.done()
        })
        return Effect.as(source, Stream.fromPull(Effect.succeed(next)))
      })

    /* Here turns run that somebody watches from elsewhere. */

    /** Those turns, with what was told last of each. */
    let watchedFromAfar = new Map<TurnId, { readonly live: LiveTurn; told: Told | undefined }>()
    /** Open while there are any. */
    const telling = yield* Latch.make()

    const notice = Effect.gen(function* () {
      const watched: typeof watchedFromAfar = new Map()
      for (const { stop, told, turnId } of turns.isIdle() ? [] : yield* soon(repo.watched)) {
        const live = turns.live(turnId)
        if (live === undefined) continue
        live.watch()
        const known = watchedFromAfar.get(turnId)
        // What was told is gone with a crash of the store, or where nobody watched for a while.
        watched.set(turnId, told && known?.live === live ? known : { live, told: undefined })
        if (stop) yield* live.stop
      }
      watchedFromAfar = watched
      if (watchedFromAfar.size > 0) yield* telling.open
    })

    const tell = Effect.gen(function* () {
      yield* Effect.sync(() => watchedFromAfar.size === 0 && telling.closeUnsafe())
      yield* telling.await
      const news = [...watchedFromAfar.values()].filter(({ live, told }) => !live.isOver() && live.told() !== told)
      if (news.length === 0) return
      const said = news.map(({ live }) => {
        const { skipped, steps } = live.account()
        return { claim: live.claim, steps: skipped + steps.length, told: live.told() }
      })
      yield* soon(repo.tell(said))
      for (const [i, one] of news.entries()) one.told = said[i]?.told
    })

    const stop = Effect.fnUntraced(function* (userId: UserId, turnId: TurnId) {
      const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(stopPatience)
      while (true) {
        const turn = yield* soon(repo.turn(userId, turnId))
        if (turn.status !== "running") return turn
        if (until <= (yield* Clock.currentTimeMillis)) {
          return yield* new StorageUnavailable({ operation: "TurnFeed.stop" })
        }
        const live = liveOf(userId, turnId)
        if (live === undefined) yield* soon(repo.watch([{ ...turn, stop: true }], watchMillis))
        else yield* live.stop
        yield* turns.awaitSettled(turn, stopAgain)
      }
    })

    const lookNow = yield* Latch.make()
    const noticeNow = yield* Latch.make()
    yield* repeatedly("Looking at turns of other instances", lookEvery, look, lookNow)
    yield* repeatedly("Looking for who watches", noticeEvery, notice, noticeNow)
    yield* repeatedly("Telling who watches", tellEvery, tell)
    yield* (yield* TurnNews).pipe(
      Stream.runForEach((news) => (news === "told" ? lookNow.open : noticeNow.open)),
      Effect.forkScoped
    )
    yield* turns.draining.pipe(
      Effect.andThen(
        Effect.sync(() => {
          for (const turn of far.values()) turn.fail(new ShuttingDown())
        })
      ),
      Effect.forkScoped
    )

    return TurnFeed.of({ follow, stop })
  })
)

/** Waits until there is another version, or no other to come. */
const changeSince = (watched: Watched, version: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (watched.version() !== version || watched.isOver()) {
      resume(Effect.void)
      return
    }
    return Effect.sync(watched.onChange(() => resume(Effect.void)))
  })
