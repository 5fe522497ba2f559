import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import { simulate } from "../../src/testing/Simulation.ts"

describe("a simulation", () => {
  it.live("finds no more what it has found before", () =>
    Effect.gen(function* () {
      // A store that did not answer once stopped an instance from ever looking for abandoned turns again.
      for (const seed of [13_020, 17_318, 17_653]) {
        assert.deepStrictEqual((yield* simulate({ seed, store: Memory.layer })).violations, [], `seed ${seed}`)
      }
    })
  )

  it.live("falls out the same for the same seed", () =>
    Effect.gen(function* () {
      const [first, second] = [
        yield* simulate({ seed: 42, store: Memory.layer }),
        yield* simulate({ seed: 42, store: Memory.layer })
      ]
      assert.deepStrictEqual([...first.counts], [...second.counts])
      assert.isAbove(first.counts.size, 0)
    })
  )
})
