import assert from "node:assert/strict"
import { inspect, isDeepStrictEqual } from "node:util"

/** That a value of a union is the one of this tag. */
export function isTagged<A extends { readonly _tag: string }, Tag extends A["_tag"]>(
  value: A,
  tag: Tag
): asserts value is Extract<A, { readonly _tag: Tag }> {
  if (value._tag !== tag) assert.fail(`${tag} was expected, and came ${value._tag}`)
}

/** That something is there. */
export function isThere<A>(value: A | undefined): asserts value is A {
  if (value === undefined) assert.fail("something was expected, and nothing came")
}

/** That a number is in a range, both of its ends included. */
export const isWithin = (value: number, [from, to]: readonly [from: number, to: number]): void =>
  assert.ok(from <= value && value <= to, `${from} to ${to} was expected, and came ${value}`)

/** That a list has just these, in any order. */
export const hasAll = <A>(actual: Iterable<A>, expected: Iterable<A>): void =>
  assert.deepStrictEqual([...actual].toSorted(), [...expected].toSorted())

/** That a text has no such part. */
export const lacks = (text: string, part: string): void =>
  assert.ok(!text.includes(part), `${JSON.stringify(part)} was not expected in ${text}`)

/** That a list has something that is equal to this. */
export const includes = <A>(list: ReadonlyArray<A>, expected: A): void =>
  assert.ok(
    list.some((one) => isDeepStrictEqual(one, expected)),
    `${inspect(expected)} was expected among ${inspect(list)}`
  )
