import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { UserId } from "../../src/domain/model/User.ts"
import { makePlaces } from "../../src/domain/Places.ts"

const [ada, bob, cleo] = [UserId.make("ada"), UserId.make("bob"), UserId.make("cleo")]

describe("Places", () => {
  it.effect("gives one user some of the places, and others the rest, in the order in which they came", () =>
    Effect.gen(function* () {
      const places = makePlaces(3, 2)
      const seated: Array<UserId> = []
      const come = (userId: UserId) =>
        Effect.forkChild(
          Effect.andThen(places.take(userId), () => Effect.sync(() => seated.push(userId))),
          {
            startImmediately: true
          }
        )
      for (const user of [ada, ada, ada, ada, bob, cleo, bob]) yield* come(user)
      assert.deepStrictEqual(seated, [ada, ada, bob])
      assert.isFalse(places.takeIfFree(cleo))
      // Bob's place goes to Cleo, who came before his second: Ada, who came before both, has all of hers.
      yield* places.release(bob)
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo])
      yield* places.release(ada)
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada])
      for (const user of [cleo, ada, ada]) yield* places.release(user)
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada, bob, ada])
      for (const user of [bob, ada]) yield* places.release(user)
      assert.isTrue(places.takeIfFree(ada) && places.takeIfFree(ada) && places.takeIfFree(bob))
      assert.isFalse(places.takeIfFree(bob))
    })
  )

  it.effect("lets users who wait have their turns", () =>
    Effect.gen(function* () {
      const places = makePlaces(1, 1)
      const seated: Array<UserId> = []
      for (const user of [ada, ada, ada, ada, bob, bob, cleo]) {
        yield* Effect.forkChild(
          Effect.andThen(places.take(user), () => Effect.sync(() => seated.push(user))),
          {
            startImmediately: true
          }
        )
      }
      for (let i = 0; i < 7; i++) {
        const last = seated.at(-1)
        assert(last !== undefined)
        yield* places.release(last)
        yield* Effect.promise(() => Promise.resolve())
      }
      assert.deepStrictEqual(seated, [ada, ada, bob, cleo, ada, bob, ada])
      assert.isTrue(places.takeIfFree(bob))
    })
  )

  it.effect("lets thousands go on who come back at once, and loses none of their places", () =>
    Effect.gen(function* () {
      const places = makePlaces(4, 4)
      for (let i = 0; i < 4; i++) assert.isTrue(places.takeIfFree(ada))
      let done = 0
      const visit = Effect.andThen(places.take(ada), () =>
        Effect.andThen(
          Effect.sync(() => done++),
          places.release(ada)
        )
      )
      const visits = yield* Effect.forEach(Array.from({ length: 5000 }), () =>
        Effect.forkChild(visit, { startImmediately: true })
      )
      for (let i = 0; i < 4; i++) yield* places.release(ada)
      yield* Effect.forEach(visits, Fiber.join)
      assert.strictEqual(done, 5000)
      for (let i = 0; i < 4; i++) assert.isTrue(places.takeIfFree(ada))
      assert.isFalse(places.takeIfFree(ada))
    })
  )

  it.effect("passes a place on whose new holder goes just then", () =>
    Effect.gen(function* () {
      const places = makePlaces(1, 1)
      assert.isTrue(places.takeIfFree(ada))
      const gone = yield* Effect.forkChild(places.take(bob), { startImmediately: true })
      const stays = yield* Effect.forkChild(places.take(cleo), { startImmediately: true })
      // Both in one go: Bob has the place already, and does not know.
      yield* places.release(ada)
      gone.interruptUnsafe()
      yield* Fiber.join(stays)
      yield* places.release(cleo)
      assert.isTrue(places.takeIfFree(ada))
    })
  )

  it.effect("gives no place to who has gone", () =>
    Effect.gen(function* () {
      const places = makePlaces(1, 1)
      assert.isTrue(places.takeIfFree(ada))
      const gone = yield* Effect.forkChild(places.take(bob), { startImmediately: true })
      const stays = yield* Effect.forkChild(places.take(cleo), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* places.release(ada)
      yield* Fiber.join(stays)
      yield* places.release(cleo)
      assert.isTrue(places.takeIfFree(bob))
    })
  )
})
