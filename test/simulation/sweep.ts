import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { simulate } from "../../src/testing/Simulation.ts"

const slice = 500

/** Tests that simulate these seeds, the last one included; two files share them, so that they run side by side. */
export const sweep = (first: number, last: number) =>
  describe("several instances on one store, and everything going wrong", () => {
    for (let from = first; from <= last; from += slice) {
      it.live(
        `leaves each turn exactly once: seeds ${from} to ${from + slice - 1}`,
        () =>
          Effect.gen(function* () {
            for (let seed = from; seed < from + slice; seed++) {
              const { violations } = yield* simulate(seed)
              assert.deepStrictEqual(violations, [], `seed ${seed}`)
            }
          }),
        300_000
      )
    }
  })
