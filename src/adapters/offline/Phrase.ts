import type { TaskStatus } from "../../domain/model/Task.ts"

/** How a user points at tasks. */
export type Reference =
  | { readonly kind: "numbers"; readonly ids: ReadonlyArray<number> }
  /** "the first one": its place in what was shown last, from 1; -1 is the last. */
  | { readonly kind: "ordinal"; readonly position: number }
  /** "it", "them": what was spoken of last. */
  | { readonly kind: "focus" }
  | { readonly kind: "all"; readonly status: TaskStatus }
  /** `every`: all tasks that fit are meant, not one of them. */
  | { readonly kind: "title"; readonly words: string; readonly every: boolean }
  | { readonly kind: "nothing" }

/** Reads how some words point at tasks: "task 3", "2 and 4", "the last one", "it", "all completed tasks", "the dentist one". */
export const parseReference = (text: string): Reference => {
  const words = withoutEnd(text).replace(WHERE, "").trim()
  const numbers = parseNumbers(words)
  if (numbers.length > 0) return { kind: "numbers", ids: numbers }
  const position = parseOrdinal(words)
  if (position !== 0) return { kind: "ordinal", position }
  if (FOCUS.test(words)) return { kind: "focus" }
  if (ALL.test(words)) return { kind: "all", status: statusIn(words) }
  const every = EVERY.test(words)
  const title = unquoted(words.replace(EVERY, "").replace(BEFORE, "").replace(AFTER, ""))
  return title === "" || NOTHING.test(words) ? { kind: "nothing" } : { kind: "title", words: title, every }
}

/**
 * A message in the form that all reading of it expects: well-formed, without NUL, of bounded length, and with no two
 * spaces or line breaks in a row, on which patterns would otherwise spend seconds.
 */
export const tidied = (message: string): string =>
  message.slice(0, LONGEST).toWellFormed().replaceAll("\0", "").replace(BREAKS, "\n").replace(BLANKS, " ").trim()

/** Curly quotes and apostrophes become straight ones; the length stays. */
export const straightened = (text: string): string => text.replace(APOSTROPHES, "'").replace(QUOTES, '"')

/** Without the spaces and the punctuation that end a sentence. */
export const withoutEnd = (text: string): string => text.trim().replace(END, "").trim()

/** Without the quotes around it, and without what ends a sentence. */
export const unquoted = (text: string): string => {
  const bare = withoutEnd(text)
  return (QUOTED.exec(bare)?.[2] ?? bare).trim()
}

/** With a capital at its beginning, if that is a lower-case letter of an ordinary word ("iPhone" stays). */
export const capitalized = (text: string): string =>
  INNER_CAPITAL.test(text)
    ? text
    : text.replace(FIRST, (letter) => (letter.toUpperCase().length === letter.length ? letter.toUpperCase() : letter))

/** Whether the words are nothing but a time: "Tuesday 3pm", "tomorrow at 5", "next week". */
export const isWhen = (text: string): boolean => {
  const words = timeWords(text)
  return (
    words.length > 0 &&
    words.every((word) => TIME.test(word) || LINK.test(word)) &&
    words.some((word) => TIME.test(word))
  )
}

/** A title with another time in it: "Call mum tomorrow" and "Tuesday 3pm" make "Call mum Tuesday 3pm". */
export const withWhen = (title: string, when: string): string => {
  const words = title.trim().split(SPACES)
  const at = words.findIndex((_, index) => index > 0 && isWhen(words.slice(index).join(" ")))
  return [...(at < 0 ? words : words.slice(0, at)), when].join(" ")
}

/** No message of a user is longer; a prompt from elsewhere may be. */
const LONGEST = 4000
const BREAKS = /\s*[\r\n\u2028\u2029]\s*/gu
const BLANKS = /[^\S\n]+/gu
const SPACES = /\s+/u
const APOSTROPHES = /[‘’ʼ]/gu
const QUOTES = /[“”„«»]/gu
const END = /[\s.!?…,;]+$/u
const QUOTED = /^(["'`])([^"`]*)\1$/su
const FIRST = /^\p{Ll}/u
const INNER_CAPITAL = /^\p{Ll}\S*\p{Lu}/u

const WHERE =
  /\s+(?:(?:from|on|off|in|of)(?: off| of)? )(?:my|the|our|this|that) (?:(?:to-?do|to do|task|shopping|grocery) )*(?:lists?|tasks|to-?dos)$|\s+for me$/iu
const FOCUS =
  /^(?:it|that|this|these|those|them|both|both of them|all of (?:them|these|those)|them all|(?:that|this|the|the same|the other) (?:one|task|item)|(?:these|those|both) (?:ones|tasks)|that)$/iu
const ALL =
  /^(?:(?:all|every|everything|each)(?: of)?(?: (?:my|the|our|these|those))?|(?=(?:completed|done|finished|pending|open|incomplete|unfinished|remaining)\b)|(?:my|the) (?=(?:completed|done|finished|pending|open|incomplete|unfinished|remaining)\b))\s*(?:(?:completed|complete|done|finished|pending|open|incomplete|unfinished|remaining|uncompleted|outstanding|not done)?(?: and (?:open|done))?)\s*(?:tasks?|to-?dos?|items?|ones|things|reminders|stuff)?(?:(?: that| which)?(?: are| is|'s)? (?:completed|complete|done|finished|pending|open|left))?$/iu
const EVERY =
  /^(?:all|every)(?: of)?(?: (?:my|the))?(?= )(?: (?:tasks?|to-?dos?|items?|ones))?(?: (?:about|with|for|containing|called|named|that mention))? /iu
const BEFORE =
  /^(?:(?:the|my|an?|that|this|our) )?(?:(?:tasks?|to-?dos?|items?|reminders?|ones?)(?: (?:called|named|titled|about|with|for|to|that says|saying))?\s*[:,]?\s+(?=\S))?(?:the |my |an? )?/iu
const AFTER = /(?:\s+(?:tasks?|to-?dos?|items?|reminders?|ones?))+$/iu
const NOTHING = /^(?:(?:the|my|an?|some|another|any)\s*)?(?:tasks?|to-?dos?|items?|reminders?|ones?|something)?$/iu
const DONE_WORD = /\b(?:completed?|done|finished)\b/iu
const NOT_DONE_WORD = /\b(?:pending|open|incomplete|unfinished|remaining|uncompleted|outstanding|not done|left)\b/iu

const statusIn = (words: string): TaskStatus => {
  if (NOT_DONE_WORD.test(words)) return "pending"
  return DONE_WORD.test(words) ? "completed" : "all"
}

/* Numbers. */

const NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
const NUMBERED =
  /^(?:(?:the |my )?(?:tasks?|items?|to-?dos?|numbers?|nos?\.?|nr\.?|ids?|reminders?) ?)?(?:(?:numbers?|nos?\.?|nr\.?|ids?) ?)?#?(?=\d)/iu
const NAMED =
  /^(?:(?:the |my )?(?:tasks?|items?|to-?dos?|numbers?|no\.?) ?)(?:number |no\.? ?)?(?=(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)/iu
const SEPARATORS = /(?:\s*(?:,|&|\+|\band\b|\bor\b)\s*|\s+)(?:(?:and|tasks?|items?|numbers?|no\.?)\s+)*#?/iu
const ONE_NUMBER = /^\d{1,9}$/u
const RANGE = /^(\d{1,9})(?:-|–|\.\.)(\d{1,9})$/u
const SPELT_RANGE = /^(\d{1,9})\s+(?:to|through|until|thru)\s+(\d{1,9})$/iu
const WITH_TITLE =
  /^(?:the |my )?(?:task|item|to-?do|number)s? ?(?:number |no\.? ?)?#?(\d{1,9})\s*[:,(-]?\s+(?=["'(\p{L}])(?!and\b|or\b)/iu
const LONGEST_RANGE = 100

/** The task numbers, if the words are nothing but those; "task 3 (buy milk)" is 3. */
const parseNumbers = (words: string): ReadonlyArray<number> => {
  const named = WITH_TITLE.exec(words)
  if (named !== null) return [Number(named[1])]
  const bare = words.replace(NUMBERED, "").replace(NAMED, "")
  const range = SPELT_RANGE.exec(bare)
  if (range !== null) return span(Number(range[1]), Number(range[2]))
  const isNamed = bare !== words
  const parts = bare.split(SEPARATORS).map((part) => parseNumber(part, isNamed))
  return parts.some((part) => part.length === 0) ? [] : [...new Set(parts.flat())]
}

const parseNumber = (part: string, named: boolean): ReadonlyArray<number> => {
  if (ONE_NUMBER.test(part)) return [Number(part)]
  const range = RANGE.exec(part)
  if (range !== null) return span(Number(range[1]), Number(range[2]))
  const at = NUMBER_WORDS.indexOf(part.toLowerCase())
  return named && at >= 0 ? [at + 1] : []
}

const span = (first: number, last: number): ReadonlyArray<number> =>
  last < first || last - first >= LONGEST_RANGE
    ? []
    : Array.from({ length: last - first + 1 }, (_, index) => first + index)

/* Places. */

const ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
const ORDINAL =
  /^(?:the |my )?(?:very )?(first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|latest|newest|final|top|bottom|\d{1,2}(?:st|nd|rd|th))(?: (?:one|task|item|to-?do|entry))?$/iu
const LAST = /^(?:last|latest|newest|final|bottom)$/iu
const TOP = /^top$/iu

/** From 1, -1 for the last, 0 for none. */
const parseOrdinal = (words: string): number => {
  const word = ORDINAL.exec(words)?.[1]?.toLowerCase()
  if (word === undefined) return 0
  if (LAST.test(word)) return -1
  if (TOP.test(word)) return 1
  const at = ORDINALS.indexOf(word)
  return at >= 0 ? at + 1 : Number.parseInt(word, 10)
}

/* Words of time. No date is worked out of them: tasks have none. */

const TIME =
  /^(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tues?|wed|thu(?:rs)?|fri|sat|sun|january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec|today|tonight|tomorrow|morning|afternoon|evening|night|noon|midday|midnight|weeks?|months?|years?|weekend|days?|hours?|minutes?|mins?|hrs?|soon|later|now|o'clock|eod|\d{1,2}(?::\d\d)?(?:am|pm)|\d{1,2}:\d\d|\d{1,2}(?:st|nd|rd|th)|\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?)$/iu
const LINK =
  /^(?:at|on|by|from|until|till|in|the|of|to|and|before|after|next|this|coming|every|each|last|end|early|late|am|pm|an?|\d{1,4}|-)$/iu
const TIME_EDGES = /^[("']+|[)"',.;!?]+$/gu

const timeWords = (text: string): ReadonlyArray<string> =>
  text
    .trim()
    .split(SPACES)
    .map((word) => word.replace(TIME_EDGES, ""))
    .filter((word) => word !== "")
