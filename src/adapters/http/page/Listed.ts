/** A list of which the first pages are here. */
export interface Listed<Entry> {
  readonly entries: ReadonlyArray<Entry>
  /** Where it goes on; `null` at its end. */
  readonly cursor: string | null
  readonly loaded: boolean
}

interface Identified {
  readonly id: number | string
}

const idsOf = (entries: ReadonlyArray<Identified>): ReadonlySet<number | string> => new Set(entries.map(({ id }) => id))

/** A list with its next page. What is known already is not there twice. */
export const withNext = <Entry extends Identified>(
  known: Listed<Entry>,
  next: ReadonlyArray<Entry>,
  cursor: string | null
): Listed<Entry> => {
  const ids = idsOf(known.entries)
  return { entries: [...known.entries, ...next.filter(({ id }) => !ids.has(id))], cursor, loaded: true }
}

/** A list whose beginning was read anew: what comes behind that stays as it was. */
export const withBeginning = <Entry extends Identified>(
  known: Listed<Entry>,
  beginning: ReadonlyArray<Entry>,
  cursor: string | null,
  isBehind: (entry: Entry, last: Entry) => boolean
): Listed<Entry> => {
  const fresh = { entries: beginning, cursor, loaded: true }
  const last = beginning.at(-1)
  if (last === undefined || cursor === null) return fresh
  const ids = idsOf(known.entries)
  // With nothing in common, there may be entries between the two that nobody has read.
  if (!beginning.some(({ id }) => ids.has(id))) return fresh
  const freshIds = idsOf(beginning)
  const behind = known.entries.filter((entry) => !freshIds.has(entry.id) && isBehind(entry, last))
  return behind.length === 0 ? fresh : { entries: [...beginning, ...behind], cursor: known.cursor, loaded: true }
}
