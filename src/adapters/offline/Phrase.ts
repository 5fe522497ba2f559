import type { TaskStatus } from "../../domain/model/Task.ts"

/** How a user points at tasks. */
export type Reference =
  | { readonly kind: "numbers"; readonly ids: ReadonlyArray<number> }
  /** "the first one": its place in what was shown last, from 1; -1 is the last. */
  | { readonly kind: "ordinal"; readonly position: number }
  /** "it", "them": what was spoken of last. `many`: all of it, if it was several. */
  | { readonly kind: "focus"; readonly many: boolean }
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
  if (FOCUS.test(words)) return { kind: "focus", many: MANY.test(words) }
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

/**
 * A title with another time in it: "Call mum tomorrow" and "Tuesday 3pm" make "Call mum Tuesday 3pm", "Paris on Dec 3"
 * and "Dec 5" make "Paris on Dec 5".
 */
export const withWhen = (title: string, when: string): string => {
  const words = title.trim().split(SPACES)
  const at = words.findIndex((_, index) => index > 0 && isWhen(words.slice(index).join(" ")))
  if (at < 0) return [...words, when].join(" ")
  return [...words.slice(0, at), ...preposition(words[at] ?? "", when), when].join(" ")
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
const MANY = /^(?:these|those|them|both|all)\b/iu
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
/** A number in figures or in words, as a pattern. */
export const NUMBER = String.raw`(?:\d{1,9}|${NUMBER_WORDS.join("|")})`
const NUMBERED =
  /^(?:(?:the |my )?(?:tasks?|items?|to-?dos?|numbers?|nos?\.?|nr\.?|ids?|reminders?) ?)?(?:(?:numbers?|nos?\.?|nr\.?|ids?) ?)?#?(?=\d)/iu
const NAMED =
  /^(?:(?:the |my )?(?:tasks?|items?|to-?dos?|numbers?|no\.?) ?)(?:number |no\.? ?)?(?=(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)/iu
const SEPARATORS = /(?:\s*(?:,|&|\+|\band\b|\bor\b)\s*|\s+)(?:(?:and|tasks?|items?|numbers?|no\.?)\s+)*#?/iu
const ONE_NUMBER = /^\d{1,9}$/u
/** "2-5", "2 – 5", "from 2 to 5", "2 through task 5" */
const RANGE = new RegExp(
  String.raw`(?<![\p{L}\d])(?:from )?(${NUMBER})(?: ?(?:-|–|—|\.{2,3}) ?| (?:up to|to|through|thru|until|till) )(?:(?:tasks?|items?|numbers?|no\.?) )*#?(${NUMBER})(?![\p{L}\d])`,
  "giu"
)
const WITH_TITLE =
  /^(?:the |my )?(?:task|item|to-?do|number)s? ?(?:number |no\.? ?)?#?(\d{1,9})\s*[:,(-]?\s+(?=["'(\p{L}])(?!(?:and|or|to|up|through|thru|until|till|then|plus|as|along|but|not|except|if|unless|tasks?|items?|numbers?)\b)/iu
const LONGEST_RANGE = 100

/** The task numbers, if the words are nothing but those; "task 3 (buy milk)" is 3. */
const parseNumbers = (words: string): ReadonlyArray<number> => {
  const ranged = words.replace(RANGE, "$1-$2")
  const named = WITH_TITLE.exec(ranged)
  if (named !== null) return [Number(named[1])]
  const bare = ranged.replace(NUMBERED, "").replace(NAMED, "")
  const isNamed = bare !== ranged
  const parts = bare.split(SEPARATORS).map((part) => span(part.split("-").map((end) => parseNumber(end, isNamed))))
  return parts.some((part) => part.length === 0) ? [] : [...new Set(parts.flat())]
}

/** `NaN` for what is no number. */
const parseNumber = (word: string, named: boolean): number => {
  if (ONE_NUMBER.test(word)) return Number(word)
  const at = NUMBER_WORDS.indexOf(word.toLowerCase())
  return named && at >= 0 ? at + 1 : Number.NaN
}

/** All numbers from the one end to the other; none if that is no range, or too long a one. */
const span = (ends: ReadonlyArray<number>): ReadonlyArray<number> => {
  const [least, most] = [Math.min(...ends), Math.max(...ends)]
  return ends.length <= 2 && most - least < LONGEST_RANGE
    ? Array.from({ length: most - least + 1 }, (_, index) => least + index)
    : []
}

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

const WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tues?|wed|thu(?:rs)?|fri|sat|sun"
const MONTH =
  "january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
const DATE = String.raw`\d{1,2}(?:st|nd|rd|th)|\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?`
const CLOCK = String.raw`\d{1,2}(?::\d\d)?(?:am|pm)|\d{1,2}:\d\d|noon|midday|midnight`
const LENGTH = "weeks?|months?|years?|days?|hours?|minutes?|mins?|hrs?"
const TIME = new RegExp(
  `^(?:${WEEKDAY}|${MONTH}|${DATE}|${CLOCK}|${LENGTH}|today|tonight|tomorrow|morning|afternoon|evening|night|weekend|soon|later|now|o'clock|eod)$`,
  "iu"
)
const LINK =
  /^(?:at|on|by|from|until|till|in|the|of|to|and|before|after|next|this|coming|every|each|last|end|early|late|am|pm|an?|\d{1,4}|-)$/iu
const TIME_EDGES = /^[("']+|[)"',.;!?]+$/gu

const timeWords = (text: string): ReadonlyArray<string> =>
  text
    .trim()
    .split(SPACES)
    .map((word) => word.replace(TIME_EDGES, ""))
    .filter((word) => word !== "")

/** These go with any time. */
const BOUND = /^(?:by|before|after|until|till|from)$/iu
const PLACE = /^(?:on|at|in)$/iu
const PLACES: ReadonlyArray<readonly [before: string, when: RegExp]> = [
  [
    "on",
    new RegExp(String.raw`^(?:${WEEKDAY}|(?:the )?(?:${DATE})|(?:${MONTH}) \d{1,2}|\d{1,2} (?:${MONTH}))(?!\w)`, "iu")
  ],
  ["at", new RegExp(String.raw`^(?:${CLOCK}|\d{1,2} (?:am|pm|o'clock))(?!\w)`, "iu")],
  ["in", new RegExp(String.raw`^(?:${MONTH}|(?:an?|\d{1,4}) (?:${LENGTH}))(?!\w)`, "iu")]
]

/** What to put before a time where there was `old` before another. */
const preposition = (old: string, when: string): ReadonlyArray<string> => {
  if (BOUND.test(old)) return LINKED.test(when) ? [] : [old]
  const place = PLACE.test(old) ? PLACES.find(([, times]) => times.test(when)) : undefined
  return place === undefined ? [] : [place[0]]
}

const LINKED = /^(?:on|at|in|by|before|after|until|till|from) /iu
