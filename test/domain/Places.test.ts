import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { UserId } from "../../src/domain/model/User.ts"
import { makePlaces, type Places } from "../../src/domain/Places.ts"

const [ada, bob, cleo] = [UserId.make("ada"), UserId.make("bob"), UserId.make("cleo")]

/** What goes on in microtasks has gone on. */
const settled = Effect.promise(() => Promise.resolve())

/** Those who have come and have a place, in the order in which they got it; whoever leaves gives it back. */
const visitors = (places: Places) => {
  const seated: Array<UserId> = []
  const leaving: Array<readonly [UserId, Effect.Effect<void>]> = []
  return {
    seated,
    come: (userId: UserId) => {
      const place = places.of(userId)
      leaving.push([userId, place.release])
      return Effect.forkChild(
        Effect.andThen(place.take, () => Effect.sync(() => seated.push(userId))),
        { startImmediately: true }
      )
    },
    /** The first of this user who has a place goes. */
    leave: (userId: UserId) =>
      Effect.suspend(() => {
        const at = leaving.findIndex(([user]) => user === userId)
        const [left] = leaving.splice(at, 1)
        return left === undefined ? Effect.void : Effect.andThen(left[1], settled)
      })
  }
}

/** How many of the places are free for this user. */
const freeFor = (places: Places, userId: UserId, upTo: number) =>
  Array.from({ length: upTo }, () => places.of(userId).takeIfFree()).filter((taken) => taken).length

describe("Places", () => {
  it.effect("gives one user some of the places, and others the rest, in the order in which they came", () =>
    Effect.gen(function* () {
      const places = makePlaces(3, 2)
      const { come, leave, seated } = visitors(places)
      for (const user of [ada, ada, ada, ada, bob, cleo, bob]) yield* come(user)
      assert.deepStrictEqual(seated, [ada, ada, bob])
      assert.isFalse(places.of(cleo).takeIfFree())
      // Bob's place goes to Cleo, who came before his second: Ada, who came before both, has all of hers.
      yield* leave(bob)
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo])
      yield* leave(ada)
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada])
      for (const user of [cleo, ada, ada]) yield* leave(user)
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada, bob, ada])
      for (const user of [bob, ada]) yield* leave(user)
      assert.strictEqual(freeFor(places, ada, 3) + freeFor(places, bob, 3), 3)
    })
  )

  it.effect("lets users who wait have their turns", () =>
    Effect.gen(function* () {
      const places = makePlaces(1, 1)
      const { come, leave, seated } = visitors(places)
      for (const user of [ada, ada, ada, ada, bob, bob, cleo]) yield* come(user)
      for (let i = 0; i < 7; i++) yield* leave(seated.at(-1) ?? cleo)
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada, bob, ada])
      assert.strictEqual(freeFor(places, bob, 2), 1)
    })
  )

  it.effect("lets thousands go on who come back at once, and loses none of their places", () =>
    Effect.gen(function* () {
      const places = makePlaces(4, 4)
      const first = Array.from({ length: 4 }, () => places.of(ada))
      for (const place of first) assert.isTrue(place.takeIfFree())
      let done = 0
      const visit = Effect.suspend(() => {
        const place = places.of(ada)
        return Effect.andThen(place.take, () =>
          Effect.andThen(
            Effect.sync(() => done++),
            place.release
          )
        )
      })
      const visits = yield* Effect.forEach(Array.from({ length: 5000 }), () =>
        Effect.forkChild(visit, { startImmediately: true })
      )
      for (const place of first) yield* place.release
      yield* Effect.forEach(visits, Fiber.join)
      assert.strictEqual(done, 5000)
      assert.strictEqual(freeFor(places, ada, 5), 4)
    })
  )

  it.effect(
    "has its place back from who goes, and only once, whether it was taken, waited for or just then given",
    () =>
      Effect.gen(function* () {
        const places = makePlaces(1, 1)
        const adas = places.of(ada)
        assert.isTrue(adas.takeIfFree())
        const [bobs, cleos] = [places.of(bob), places.of(cleo)]
        const gone = yield* Effect.forkChild(
          Effect.onInterrupt(bobs.take, () => bobs.release),
          {
            startImmediately: true
          }
        )
        const stays = yield* Effect.forkChild(cleos.take, { startImmediately: true })
        // Both in one go: Bob has the place already, and does not know.
        yield* adas.release
        gone.interruptUnsafe()
        yield* Fiber.join(stays)
        // Whoever goes while waiting is waited for no longer.
        const waits = yield* Effect.forkChild(adas.take, { startImmediately: true })
        yield* Fiber.interrupt(waits)
        yield* adas.release
        yield* bobs.release
        assert.strictEqual(freeFor(places, ada, 1), 0)
        yield* cleos.release
        yield* cleos.release
        assert.strictEqual(freeFor(places, ada, 2), 1)
      })
  )
})
