import { Clock, Effect, Random } from "effect"

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

/**
 * A new UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds by the `Clock`, so that ids sort by age and
 * new rows land side by side, and 74 bits of `Random`. Ids are no secrets: nothing is found by an id alone.
 *
 * Both are read from the fiber in one go: a turn has eight ids.
 */
export const uuidV7: Effect.Effect<string> = Effect.withFiber((fiber) => {
  const random = fiber.getRef(Random.Random)
  const below = (bound: number) => Math.floor(random.nextDoubleUnsafe() * bound)
  const time = hex(Math.floor(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()), 12)
  const a = below(0x1000)
  const b = 0x8000 + below(0x4000)
  const c = below(0x1000000)
  const d = below(0x1000000)
  return Effect.succeed(`${time.slice(0, 8)}-${time.slice(8)}-7${hex(a, 3)}-${hex(b, 4)}-${hex(c, 6)}${hex(d, 6)}`)
})
