import { Clock, Effect, Random } from "effect"

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

/**
 * A new UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds by the `Clock`, so that ids sort by age and
 * new rows land side by side, and 74 bits of `Random`. Ids are no secrets: nothing is found by an id alone.
 */
export const uuidV7: Effect.Effect<string> = Effect.gen(function* () {
  const time = hex(Math.floor(yield* Clock.currentTimeMillis), 12)
  const a = yield* Random.nextIntBetween(0, 0xfff)
  const b = yield* Random.nextIntBetween(0, 0x3fff)
  const c = yield* Random.nextIntBetween(0, 0xffffff)
  const d = yield* Random.nextIntBetween(0, 0xffffff)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(a, 3)}-${hex(0x8000 + b, 4)}-${hex(c, 6)}${hex(d, 6)}`
})
