/** Numbers that look random and are the same for the same seed. */
export interface Dice {
  /** A whole number from 0, below the limit. */
  readonly below: (limit: number) => number
  /** One of these. */
  readonly pick: <A>(list: readonly [A, ...ReadonlyArray<A>]) => A
  /** One of these, or what stands in for none. */
  readonly pickOr: <A>(list: ReadonlyArray<A>, none: A) => A
  /** Whether something happens that does so many times in a hundred. */
  readonly percent: (chance: number) => boolean
}

/** FNV-1a: a number for a text. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}

/** Dice that fall the same way for the same text. */
export const diceOf = (seed: string): Dice => {
  let state = hashOf(seed)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    pick: (list) => list[below(list.length)] ?? list[0],
    pickOr: (list, none) => list[below(list.length)] ?? none,
    percent: (chance) => next() * 100 < chance
  }
}
