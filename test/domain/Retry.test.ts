import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { retryFailed } from "../../src/domain/Retry.ts"

/** Fails with the number of the attempt until that is over the given one. */
const failing = (times: number) => {
  let attempts = 0
  const effect = Effect.suspend(() => {
    attempts++
    return attempts > times ? Effect.succeed(attempts) : Effect.fail(attempts)
  })
  return { effect, attempts: () => attempts }
}

describe("retryFailed", () => {
  it.effect("runs once what succeeds", () =>
    Effect.gen(function* () {
      const { attempts, effect } = failing(0)
      assert.strictEqual(yield* retryFailed({ schedule: Schedule.forever })(effect), 1)
      assert.strictEqual(attempts(), 1)
    })
  )

  it.effect("waits as the schedule says before each further attempt, the first failure not repeated", () =>
    Effect.gen(function* () {
      const { attempts, effect } = failing(2)
      const fiber = yield* Effect.forkChild(retryFailed({ schedule: Schedule.spaced("1 second") })(effect))
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(attempts(), 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(attempts(), 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), 3)
    })
  )

  it.effect("fails with the last failure after so many times", () =>
    Effect.gen(function* () {
      const { attempts, effect } = failing(10)
      assert.strictEqual(yield* Effect.flip(retryFailed({ schedule: Schedule.forever, times: 3 })(effect)), 4)
      assert.strictEqual(attempts(), 4)
    })
  )

  it.effect("leaves alone what it is not told to try again", () =>
    Effect.gen(function* () {
      const { attempts, effect } = failing(10)
      const result = retryFailed({ schedule: Schedule.forever, while: (error) => error !== 2 })(effect)
      assert.strictEqual(yield* Effect.flip(result), 2)
      assert.strictEqual(attempts(), 2)
    })
  )
})
