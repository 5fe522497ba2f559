import assert from "node:assert/strict"
import { inspect, isDeepStrictEqual } from "node:util"
import { Cause, Effect, Exit, Option } from "effect"

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

/** That something comes to hold, within seconds: what a store or a provider does by itself, by its own clock. */
export const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let i = 0; i < 1000; i++) {
      if (yield* holds) return
      yield* Effect.sleep("5 millis")
    }
    assert.fail(`${what}: that was expected, and has not come`)
  })

/** What may go wrong with an operation of a store. */
interface Tagged {
  readonly _tag: string
}

/** What an effect fails with, if it does. */
export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.map(Effect.result(effect), (result) =>
    result._tag === "Failure"
      ? result.failure
      : assert.fail(`a failure was expected, and came ${inspect(result.success)}`)
  )

/** That each of these operations fails as one does whose store is out of reach. */
export const allUnavailable = Effect.fnUntraced(function* (
  operations: Readonly<Record<string, Effect.Effect<unknown, Tagged>>>
) {
  for (const [name, operation] of Object.entries(operations)) {
    const exit = yield* Effect.exit(Effect.asVoid(operation))
    const failure = Option.getOrUndefined(Exit.findErrorOption(exit))
    const came = exit._tag === "Success" ? "an answer" : Cause.pretty(exit.cause)
    assert.strictEqual(
      failure?._tag,
      "StorageUnavailable",
      `StorageUnavailable was expected of ${name}, and came ${came}`
    )
  }
})
