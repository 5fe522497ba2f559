import assert from "node:assert/strict"
import { Effect, Option, Queue, Schedule, Stream } from "effect"
import { uuidV7 } from "../domain/Ids.ts"
import { ConversationId, MessageId, TurnId } from "../domain/model/Conversation.ts"
import { UserId } from "../domain/model/User.ts"
import { ConversationRepo } from "../ports/ConversationRepo.ts"
import { TurnNews } from "../ports/TurnNews.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

/** A turn that runs, for somebody to watch. */
const newTurn = Effect.gen(function* () {
  const repo = yield* ConversationRepo
  const outcome = yield* repo.begin(
    {
      userId: UserId.make(yield* uuidV7),
      turnId: TurnId.make(yield* uuidV7),
      holder: yield* uuidV7,
      idempotencyKey: Option.none(),
      fingerprint: "Hello",
      conversationId: Option.none(),
      newConversationId: ConversationId.make(yield* uuidV7),
      title: "Chat",
      messageId: MessageId.make(yield* uuidV7),
      content: "Hello",
      context: { userName: "Ada" },
      begun: false
    },
    {
      leaseMillis: 60_000,
      historyMessages: 20,
      maxAttempts: 3,
      turnsPerMinute: null,
      turnsAtOnce: null,
      maxConversations: null
    }
  )
  Expect.isTagged(outcome, "Claimed")
  return outcome.turn.claim
})

/** Watches a turn that nobody watches yet: only that is news. */
const watch = Effect.gen(function* () {
  const repo = yield* ConversationRepo
  const claim = yield* newTurn
  yield* repo.watch([{ ...claim, stop: false }], 60_000)
  return claim
})

const tell = Effect.gen(function* () {
  const repo = yield* ConversationRepo
  const claim = yield* watch
  yield* repo.tell([{ claim, steps: 0, told: { from: 0, text: "Hi", calls: [] } }])
})

/** What comes, until the stream ends. */
const hearing = Effect.gen(function* () {
  const queue = yield* Queue.unbounded<"watched" | "told" | "the end">()
  yield* Effect.flatMap(
    TurnNews,
    Stream.runForEach((news) => Queue.offer(queue, news))
  ).pipe(
    Effect.onExit(() => Queue.offer(queue, "the end")),
    Effect.forkScoped
  )
  return queue
})

/** Does something over and over until this is told: who has only begun to listen may miss the first time. */
const hears = <E, R>(
  queue: Queue.Dequeue<"watched" | "told" | "the end">,
  expected: "watched" | "told",
  said: Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.raceFirst(
    Effect.gen(function* () {
      while (true) {
        const news = yield* Queue.take(queue)
        if (news === expected) return
        assert.notStrictEqual(news, "the end", "the news have ended")
      }
    }),
    Effect.andThen(
      Effect.repeat(said, { schedule: Schedule.spaced("100 millis"), times: 100 }),
      Effect.sync(() => assert.fail(`"${expected}" was expected, and has not come`))
    )
  )

const obligation = obligationsOf("TurnNews")

/**
 * What every `TurnNews` must do that tells of anything at all: news may be missing, and the default tells none. An instance may
 * hear of what it has said itself.
 */
export const obligations: ReadonlyArray<Obligation<ConversationRepo>> = [
  obligation(
    "tells that somebody watches a turn",
    Effect.gen(function* () {
      yield* hears(yield* hearing, "watched", watch)
    }).pipe(Effect.scoped)
  ),

  obligation(
    "tells that something is told of a turn",
    Effect.gen(function* () {
      yield* hears(yield* hearing, "told", tell)
    }).pipe(Effect.scoped)
  ),

  obligation(
    "tells each who listens, again and again, and never ends",
    Effect.gen(function* () {
      const listeners = [yield* hearing, yield* hearing]
      for (let i = 0; i < 5; i++) {
        for (const queue of listeners) {
          yield* hears(queue, "watched", watch)
          yield* hears(queue, "told", tell)
        }
      }
    }).pipe(Effect.scoped)
  )
]
