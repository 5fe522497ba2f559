import { distance } from "fastest-levenshtein"

/** How well the words that a person used name a task. */
export interface Match<T> {
  /** The tasks that are named as well as any other; more than one when the words do not tell them apart. */
  readonly certain: ReadonlyArray<T>
  /** When none is certain: those that may be meant, to be asked about and never to be acted on unasked. */
  readonly possible: ReadonlyArray<T>
  /** Whether the certain ones have every word that was used. */
  readonly full: boolean
}

/**
 * Finds the tasks that a person means by some words of their titles, whatever the case, the order, small spelling
 * mistakes and the words around them ("the grocries one").
 */
export const matchTasks = <T extends { readonly title: string }>(words: string, tasks: ReadonlyArray<T>): Match<T> => {
  const wanted = tokens(words)
  if (wanted.length === 0)
    return { certain: tasks.filter((task) => sameText(words, task.title)), possible: [], full: true }
  const scored = tasks.map((task) => ({ task, ...score(wanted, task.title) }))
  const certain = scored.filter((entry) => entry.asked >= CERTAIN)
  if (certain.length === 0) {
    return {
      certain: [],
      possible: scored.filter((entry) => entry.asked >= POSSIBLE && entry.content).map(taskOf),
      full: false
    }
  }
  const best = Math.max(...certain.map((entry) => entry.asked))
  const nearest = certain.filter((entry) => entry.asked >= best - 0.05)
  // "buy milk" is "Buy milk" rather than "Buy milk powder": nothing of its title is left over.
  const whole = nearest.filter((entry) => entry.covered >= FULL)
  // "call anna" is "Call Anna" rather than "Call Annabel", of which it is the beginning.
  const exact = whole.filter((entry) => entry.asked === 1 && entry.covered === 1)
  const same = exact.filter((entry) => sameText(words, entry.task.title))
  const named = [same, exact, whole].find((entries) => entries.length > 0) ?? nearest
  return { certain: named.map(taskOf), possible: [], full: best >= FULL }
}

const taskOf = <T>(entry: { readonly task: T }): T => entry.task

/** At least this share of the words must be in the title; two of three are, one of two is not. */
const CERTAIN = 0.65
const POSSIBLE = 0.5
const FULL = 0.85
const MISSPELT = 0.9

/** Enough to tell tasks apart by. */
const MOST_WORDS = 24
const WORD = /[\p{L}\p{N}]+/gu

/** Words that say nothing about which task is meant. */
const FILLERS = new Set(
  "a an the my our your this that these those it its one ones task tasks todo todos item thing reminder entry to of for about with on in at and or me i is do please list".split(
    " "
  )
)

/** What is done in many tasks: the same verb alone makes no task a candidate. */
const VERBS = new Set(
  "add ask book bring buy call check clean collect come cook do email fetch finish fix get give go make meet order pay pick plan prepare print read remind renew return review see sell send submit take talk text turn update visit wash water work write".split(
    " "
  )
)

const allWords = (text: string): ReadonlyArray<string> => text.normalize("NFKC").toLowerCase().match(WORD) ?? []

const tokens = (text: string): ReadonlyArray<string> => {
  const words = allWords(text)
  const telling = words.filter((word) => !FILLERS.has(word))
  return (telling.length > 0 ? telling : words).slice(0, MOST_WORDS)
}

const sameText = (a: string, b: string): boolean => a.trim().toLowerCase() === b.trim().toLowerCase()

interface Score {
  /** The share of the wanted words that the title has. */
  readonly asked: number
  /** The share of the title's words that were wanted. */
  readonly covered: number
  /** Whether one of the words in common is more than a common verb. */
  readonly content: boolean
}

const score = (wanted: ReadonlyArray<string>, title: string): Score => {
  const has = tokens(title)
  if (has.length === 0) return { asked: 0, covered: 0, content: false }
  const asked = wanted.map((word) => Math.max(...has.map((other) => likeness(word, other))))
  const covered = has.map((word) => Math.max(...wanted.map((other) => likeness(other, word))))
  const content = asked.some((value, index) => value > 0 && !VERBS.has(wanted[index] ?? ""))
  // "dent ist" and "Dentist": spaces go astray too.
  const together = likeness(wanted.join(""), has.join(""))
  return together > mean(asked)
    ? { asked: together, covered: together, content: true }
    : { asked: mean(asked), covered: mean(covered), content }
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** From 0 to 1: the same word, another form of it, a misspelling of it, or another word. */
const likeness = (a: string, b: string): number => {
  if (a === b || stem(a) === stem(b)) return 1
  if (isPart(a, b)) return MISSPELT
  // Most pairs end here: no mistake that is let pass changes the length by more than two letters.
  if (Math.abs(a.length - b.length) > 2) return 0
  if (isSwapped(a, b)) return MISSPELT
  return distance(a, b) <= mistakesIn(Math.min(a.length, b.length)) && (a.length > 6 || a[0] === b[0]) ? MISSPELT : 0
}

/** How many wrong letters a word of this length may have and still be the same word. */
const mistakesIn = (length: number): number => {
  if (length < 4) return 0
  return length < 7 ? 1 : 2
}

const ASCII = /^[\x20-\x7e]*$/

/** Two letters in the wrong order ("reprot") are one mistake, though an edit distance counts two. */
const isSwapped = (a: string, b: string): boolean =>
  a.length > 3 && distance(a, b) === 2 && Array.from(a).sort().join("") === Array.from(b).sort().join("")

/** Scripts without spaces have whole phrases for words, so there a part of one counts; otherwise only its beginning. */
const isPart = (part: string, whole: string): boolean =>
  ASCII.test(part) ? part.length >= 4 && whole.startsWith(part) : part.length >= 2 && whole.includes(part)

/** At least three letters stay. */
const ENDINGS = /(?<=.{3})(?:ies|ied|es|ed|ing|s|e|y)$/

const stem = (word: string): string => word.replace(ENDINGS, "")
