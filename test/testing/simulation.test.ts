import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Layer } from "effect"
import { stateOf } from "../../src/adapters/memory/MemoryStore.ts"
import type { Claim, ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import type { TaskTools } from "../../src/ports/TaskTools.ts"
import * as Intercept from "../../src/testing/Intercept.ts"
import { simulate } from "../../src/testing/Simulation.ts"
import { type Right, wrong } from "./mutants/Mutant.ts"

type Store = Layer.Layer<ConversationRepo | TaskTools>

/** The first breach that is found in a store. */
const firstBreach = Effect.fnUntraced(function* (store: Store, seeds: number) {
  for (let seed = 1; seed <= seeds; seed++) {
    const [breach] = (yield* simulate({ seed, store })).violations
    if (breach !== undefined) return breach
  }
  return assert.fail(`nothing was found in ${seeds} seeds`)
})

/** The claim and the step that a turn is at, whoever asks. */
const unfenced = ({ users }: Right, claim: Claim) => {
  const turn = stateOf(users, claim.userId).turns.get(claim.turnId)
  return { claim: { ...claim, fence: turn?.fence ?? 0 }, steps: turn?.steps ?? 0 }
}

describe("a simulation of somebody's own store", () => {
  it.live("finds that there is no fence", () =>
    Effect.gen(function* () {
      const store = wrong((right) => ({
        repo: {
          step: (claim, request, work, lease) =>
            Effect.suspend(() => {
              const { claim: current, steps } = unfenced(right, claim)
              return right.repo.step(current, { ...request, steps }, work, lease)
            })
        }
      }))
      assert.isNotEmpty(yield* firstBreach(store, 20))
    })
  )

  it.live("finds that a reply is given before it is written", () =>
    Effect.gen(function* () {
      const store = wrong(({ repo }) => ({
        repo: {
          complete: (claim, request) =>
            Effect.as(Effect.forkDetach(Effect.delay(repo.complete(claim, request), "20 seconds")), {
              _tag: "Completed",
              turnId: claim.turnId,
              body: request.response
            })
        }
      }))
      assert.include(yield* firstBreach(store, 20), "answered")
    })
  )

  it.live("finds that a task is not of its step's transaction", () =>
    Effect.gen(function* () {
      const store = wrong(({ repo }) => ({
        repo: {
          step: (claim, request, { execute }, lease) =>
            Effect.flatMap(execute, (results) => repo.step(claim, request, { execute: Effect.succeed(results) }, lease))
        }
      }))
      assert.include(yield* firstBreach(store, 20), "has tasks")
    })
  )

  it.live("tells a store that cannot be simulated from one that is wrong", () =>
    Effect.gen(function* () {
      const waiting = wrong(() => ({ repo: { settled: () => Effect.never } }))
      const error = yield* Effect.flip(simulate({ seed: 1, store: waiting }))
      assert.strictEqual(error.message, "The store waits for something that is not simulated.")
      const ownClock = wrong(({ repo }) => ({
        repo: Intercept.conversationRepo(repo, (_, call) =>
          Clock.clockWith((clock) =>
            Effect.provideService(call, Clock.Clock, {
              ...clock,
              currentTimeMillisUnsafe: () => 1,
              currentTimeMillis: Effect.succeed(1)
            })
          )
        )
      }))
      const other = yield* Effect.flip(simulate({ seed: 1, store: ownClock }))
      assert.strictEqual(other.message, "The store's leases do not go by the Clock.")
    })
  )
})
