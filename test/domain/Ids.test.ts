import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { uuidV7 } from "../../src/domain/Ids.ts"

describe("uuidV7", () => {
  it.effect("makes UUIDs of version 7, whatever the dice say", () =>
    Effect.gen(function* () {
      const isUuid = Schema.is(Schema.String.check(Schema.isUUID(7)))
      yield* TestClock.adjust(1_700_000_000_000.75)
      for (const extreme of [0, 1 - Number.EPSILON / 2]) {
        const id = yield* Effect.provideService(uuidV7, Random.Random, {
          nextDoubleUnsafe: () => extreme,
          nextIntUnsafe: () => extreme
        })
        assert.isTrue(isUuid(id), id)
      }
      const ids = yield* Effect.replicateEffect(uuidV7, 10_000)
      assert.isTrue(ids.every(isUuid))
      assert.strictEqual(new Set(ids).size, ids.length)
    })
  )

  it.effect("sorts by time", () =>
    Effect.gen(function* () {
      const ids: Array<string> = []
      for (let i = 0; i < 50; i++) {
        ids.push(yield* uuidV7)
        yield* TestClock.adjust(37)
      }
      assert.deepStrictEqual(ids, ids.toSorted())
      assert.strictEqual(ids[1]?.slice(0, 13), "00000000-0025")
    })
  )
})
