import assert from "node:assert/strict"
import { describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Simulation from "./Simulation.ts"

export const simulate = Simulation.simulate

/** How many seeds are one test. */
const slice = 100
/** How long they may take, in milliseconds. */
const patience = 300_000

/** Which simulations are run. */
export interface Seeds {
  /** How many. */
  readonly seeds: number
  /** The first one; by default 1. */
  readonly from?: number
}

/**
 * Registers simulations as tests of vitest, so many seeds each. A seed that fails is named, and falls out the same by `simulate`.
 */
export const suite = <E>(
  name: string,
  store: Layer.Layer<ConversationRepo | TaskTools, E>,
  { from = 1, seeds }: Seeds
): void => {
  describe(`Several instances on one store, and everything going wrong: ${name}`, () => {
    for (let first = from; first < from + seeds; first += slice) {
      const last = Math.min(first + slice, from + seeds) - 1
      it.live(
        `leaves each turn exactly once: seeds ${first} to ${last}`,
        () =>
          Effect.gen(function* () {
            for (let seed = first; seed <= last; seed++) {
              const { violations } = yield* Simulation.simulate({ seed, store })
              assert.ok(violations.length === 0, `seed ${seed}:\n  ${violations.join("\n  ")}`)
            }
          }),
        patience
      )
    }
  })
}
