import { assert, describe, it } from "@effect/vitest"
import { type Listed, withBeginning, withNext } from "../../../../src/adapters/http/page/Listed.ts"

interface Entry {
  readonly id: number
  readonly title?: string
}

const listed = (ids: ReadonlyArray<number>, cursor: string | null): Listed<Entry> => ({
  entries: ids.map((id) => ({ id })),
  cursor,
  loaded: true
})
const entries = (...ids: ReadonlyArray<number>) => ids.map((id) => ({ id }))
const isBehind = (entry: Entry, last: Entry) => entry.id > last.id
const idsOf = ({ entries, cursor }: Listed<Entry>) => [...entries.map(({ id }) => id), cursor]

describe("a list of which the first pages are here", () => {
  it("has nothing twice when the next page tells of what is known", () => {
    assert.deepStrictEqual(idsOf(withNext(listed([1, 2, 6], "2"), entries(3, 4, 6), null)), [1, 2, 6, 3, 4, null])
    // The same page, asked for twice.
    const once = withNext(listed([1, 2], "2"), entries(3, 4), "4")
    assert.deepStrictEqual(idsOf(withNext(once, entries(3, 4), "4")), [1, 2, 3, 4, "4"])
  })

  it("keeps its further pages when its beginning is read anew", () => {
    const known = listed([1, 2, 3, 4], "4")
    const fresh = [{ id: 1, title: "changed" }, { id: 2 }]
    const { entries: merged, cursor } = withBeginning(known, fresh, "2", isBehind)
    assert.deepStrictEqual(merged, [{ id: 1, title: "changed" }, { id: 2 }, { id: 3 }, { id: 4 }])
    assert.strictEqual(cursor, "4")
  })

  it("lets go of what is gone from its beginning, and of all behind its end", () => {
    assert.deepStrictEqual(idsOf(withBeginning(listed([1, 2, 3, 4], "4"), entries(1, 3), "3", isBehind)), [
      1,
      3,
      4,
      "4"
    ])
    assert.deepStrictEqual(idsOf(withBeginning(listed([1, 2, 3, 4], "4"), entries(1, 2), null, isBehind)), [1, 2, null])
    assert.deepStrictEqual(idsOf(withBeginning(listed([1, 2], "2"), [], null, isBehind)), [null])
  })

  it("begins anew where entries may be missing between what is known and what was read", () => {
    assert.deepStrictEqual(idsOf(withBeginning(listed([8, 9], "9"), entries(1, 2), "2", isBehind)), [1, 2, "2"])
  })
})
