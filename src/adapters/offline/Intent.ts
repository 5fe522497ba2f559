import type { TaskStatus } from "../../domain/model/Task.ts"
import {
  capitalized,
  isWhen,
  NUMBER,
  parseReference,
  type Reference,
  straightened,
  unquoted,
  withoutEnd
} from "./Phrase.ts"

/** What of a task is to change. `when` are words of time that take the place of those in the title; no description is `null`. */
export interface Change {
  readonly title?: string
  readonly description?: string | null
  readonly when?: string
}

/** A task as the user words it. */
export interface Wording {
  readonly title: string
  readonly description?: string
}

/** One way to read "change X to Y": there are several when X or Y may have a "to" in it. */
export interface Reading {
  readonly reference: Reference
  readonly change: Change
}

/** What a user wants. */
export type Intent =
  | { readonly kind: "add"; readonly tasks: ReadonlyArray<Wording>; readonly reminder: boolean }
  | { readonly kind: "list"; readonly status: TaskStatus; readonly dated: boolean }
  /** `vague`: so little was said that it is to be asked about before it is done. */
  | { readonly kind: "find" | "complete" | "delete"; readonly reference: Reference; readonly vague?: true }
  /** `field` is what is to be asked for when no reading says what to write. */
  | { readonly kind: "update"; readonly readings: ReadonlyArray<Reading>; readonly field: "title" | "description" }
  /** To mark a task as open again, to take something back: no tool can. */
  | { readonly kind: "reopen" }
  /** To have a deleted task back: no tool can, but it can be added anew. */
  | { readonly kind: "restore"; readonly reference: Reference }
  /** "all except": what is meant is not clear enough to delete by. */
  | { readonly kind: "exception" }
  | { readonly kind: "refrain" | "help" | "greeting" | "thanks" | "farewell" | "yes" | "no" }
  | { readonly kind: "unknown"; readonly text: string; readonly question: boolean }

/**
 * Tells what a tidied message asks for: one intent, or several in their order ("add milk and mark task 2 as done"). Any text
 * is taken; what is not understood is one intent of kind `unknown`.
 */
export const recognize = (message: string): ReadonlyArray<Intent> => {
  // Same length, so that what is found in the one can be taken from the other.
  const text = straightened(message)
  const asSaid = (part: string): string => {
    const at = text.indexOf(part)
    return at < 0 ? part : message.slice(at, at + part.length)
  }
  return read(text).map((intent) => finished(intent, asSaid))
}

/** Splits what a user says a new task should be into the tasks that it clearly is. */
export const wordings = (text: string): ReadonlyArray<Wording> =>
  newTasks(straightened(text), false).map((task) => sized(task, (part) => part))

/** The change that some words ask for when they are all that is said. */
export const changeTo = (text: string): Change => finishedChange(titleChange(withoutEnd(text)), (part) => part)

/* What is read from where: the first rule that gives an intent wins. */

type Read = (a: string, b: string) => Intent | undefined
type Rule = readonly [pattern: RegExp, read: Read]

const firstOf = (rules: ReadonlyArray<Rule>, text: string): Intent | undefined => {
  for (const [pattern, toIntent] of rules) {
    const match = pattern.exec(text)
    const intent = match === null ? undefined : toIntent(match[1] ?? "", match[2] ?? "")
    if (intent !== undefined) return intent
  }
  return undefined
}

const TASKS = "(?:tasks?|to-?dos?|to do(?: item)?s?|items?|reminders?|entry|entries)"
const MY_LIST =
  "(?:my|the|our|this|that) (?:(?:to-?dos?|to do|tasks?|shopping|grocery|whole|entire) )*(?:lists?|tasks?|to-?dos?|agenda|plate)"
const DONE = "(?:done|completed?|finished|ticked(?: off)?|checked(?: off)?|closed)"
const FIELD = "(?:descriptions?|desc|details?|notes?|comments?)"

const rx = (source: string): RegExp => new RegExp(source, "isu")

/* The order of reading: small talk, politeness taken off, commands, statements. */

const LINE_BREAK = /\n/u
const BULLET = /^(?:[-*•–]|\d{1,3}[.)]|\[[ x]?\])\s+/iu

const read = (text: string): ReadonlyArray<Intent> => {
  const lines = text.split(LINE_BREAK).filter((line) => line !== "")
  return lines.length > 1 ? readLines(lines) : readLine(text)
}

const readLines = (lines: ReadonlyArray<string>): ReadonlyArray<Intent> => {
  const [head = "", ...rest] = lines
  const first = readLine(head)
  const only = first.length === 1 ? first[0] : undefined
  if (only?.kind === "add" && rest.every((line) => BULLET.test(line))) {
    return [{ ...only, tasks: [...only.tasks, ...rest.flatMap((line) => oneTask(line.replace(BULLET, "")))] }]
  }
  if (only?.kind === "add" && only.tasks.length === 0) {
    return [{ ...only, tasks: rest.flatMap((line) => oneTask(line.replace(BULLET, ""))) }]
  }
  const all = lines.map(readLine)
  if (all.every((intents) => intents.every(isCommand))) return all.flat()
  if (only?.kind === "add" && only.tasks.length === 1) {
    return [{ ...only, tasks: only.tasks.map((task) => withDescription(task, rest.join("\n"))) }]
  }
  return readLine(lines.join(" "))
}

const isCommand = (intent: Intent): boolean =>
  ["add", "list", "complete", "delete", "update", "reopen", "restore", "find", "exception"].includes(intent.kind)

const NEXT =
  /\s*(?:[.;!]|,?\s+and\s+then\s|,\s*then\s|,?\s+and\s+also\s|,?\s+and\s|,|\s+then\s)\s*(?=(?:please\s+|also\s+)?(?:add|create|delete|remove|mark|complete|tick|check off|show|list|rename|change|update|set|remind me)\s)/giu
const ABOUT_TASKS =
  /^(?:please |also )*(?:add|remind me|create)\b|\b(?:tasks?|to-?dos?|list|one|it)\b|\d|\b(?:done|complete|completed|finished)$/iu
const MOST_CLAUSES = 5

const readLine = (line: string): ReadonlyArray<Intent> => {
  const clauses = line.includes('"') ? [line] : line.split(NEXT).filter((clause) => clause.trim() !== "")
  if (
    clauses.length > 1 &&
    clauses.length <= MOST_CLAUSES &&
    clauses.slice(1).every((clause) => ABOUT_TASKS.test(clause))
  ) {
    const intents = clauses.map(readClause)
    if (intents.every(isCommand)) return intents
  }
  return [readClause(line)]
}

const readClause = (clause: string): Intent => {
  let text = withoutEnd(clause)
  for (;;) {
    const talk = firstOf(SMALL_TALK, text)
    if (talk !== undefined) return talk
    const shorter = POLITE.reduce((rest, pattern) => rest.replace(pattern, ""), text).trim()
    if (shorter === text || shorter === "") break
    text = shorter
  }
  return command(text) ?? { kind: "unknown", text, question: QUESTION.test(text) || ASKS.test(clause) }
}

const command = (text: string): Intent | undefined => firstOf(COMMANDS, text)

const ASKS = /\?\s*$/u
const QUESTION =
  /^(?:what|whats|what's|which|who|whose|whom|when|where|why|how|is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|shall|may|might)\b/iu

const POLITE: ReadonlyArray<RegExp> = [
  /^(?:hi|hello|hey|howdy|yo|good (?:morning|afternoon|evening))(?: (?:there|again|turnkeeper|bot))?[\s,.!:;-]+/iu,
  /^(?:please|pls|plz|kindly|ok|okay|alright|all right|also|and|then|now|actually|oh|oops|whoops|sorry|um+|uh+|hmm+|just|maybe|perhaps|yes|yeah|sure|turnkeeper)[\s,.!:;-]+/iu,
  /^(?:so|well|great|perfect|cool|nice|thanks|thank you|thx|right|awesome|no|nope|(?:no )?(?:wait|hold on|hang on))\s*[,.!:;-]+\s*/iu,
  /^(?:can|could|would|will) (?:you|u|we)(?: please| kindly| just| also)* /iu,
  /^(?:can|could|may) i(?: please| just| also)* (?=(?:see|add|get|have|delete|remove|change|rename|view|mark)\b)/iu,
  /^i(?:'d| would) (?:like|love|want) you to /iu,
  /^i (?:want|need) you to /iu,
  /^i(?: just)? wanted to /iu,
  /^(?:let's|lets|let us|go ahead and|help me to|help me) /iu,
  /[\s,]+(?:please|pls|plz|thanks|thank you|thx)$/iu
]

const say =
  (kind: "refrain" | "help" | "greeting" | "thanks" | "farewell" | "yes" | "no" | "reopen" | "exception"): Read =>
  () => ({ kind })

const NO =
  "(?:n|no|nope|nah|no way|don'?t(?: do (?:it|that))?|do not|stop(?: (?:it|that))?|cancel(?: (?:it|that))?|never ?mind|forget (?:it|that|about it)|leave (?:it|them)|none(?: of (?:them|these|those))?|neither|keep (?:it|them)|not (?:now|yet)|nothing|wait|hold on|hang on)"

const SMALL_TALK: ReadonlyArray<Rule> = [
  [
    /^(?:h(?:i|ello|ey|owdy|iya)|yo|greetings|good (?:morning|afternoon|evening|day))(?: (?:there|again|turnkeeper|bot|everyone|all))?$/iu,
    say("greeting")
  ],
  [/^(?:what'?s up|how are you(?: doing)?(?: today)?|how'?s it going|sup)$/iu, say("greeting")],
  [
    /^(?:(?:ok|okay|great|perfect|cool|nice|good|awesome)[,.! ]+)?(?:many )?(?:thanks|thank you|thankyou|thx|ty|cheers|much appreciated)(?:,? (?:so much|a lot|very much|again|you|a bunch|for .{1,80}))?$/iu,
    say("thanks")
  ],
  [
    /^(?:great|perfect|awesome|cool|nice|excellent|wonderful|amazing|well done|good job|nice one|good|brilliant|lovely|great job|you're the best)$/iu,
    say("thanks")
  ],
  [
    /^(?:(?:good)?bye(?: bye)?|see you(?: later| soon)?|good ?night|ciao|that'?s (?:it|all)|(?:that'?s (?:it|all)|(?:i'm|i am)(?: all)? (?:done|finished)|(?:all )?done) for (?:now|today|tonight|the day))$/iu,
    say("farewell")
  ],
  [
    /^(?:y|yes|yeah|yep|yup|sure|ok|okay|confirm(?:ed)?|correct|right|absolutely|definitely|of course|exactly|do (?:it|so|that)|go ahead|go for it|please do|i'?m sure|i am sure|that'?s right|that one)(?:[\s,.!]+(?:yes|please|go ahead|do it|do that|do so|i'?m sure|sure|correct|thanks|(?:delete|remove|clear|add|complete) (?:it|them|them all|all|everything|all of them|that|those)))*$/iu,
    say("yes")
  ],
  [rx(String.raw`^${NO}(?:[\s,.!]+(?:${NO}|please|thanks|thank you))*$`), say("no")],
  [
    /^(?:help(?: me)?(?: please)?|commands?|options|menu|instructions|usage|(?:i )?need (?:some )?help|(?:can|could) you help(?: me)?(?: out)?|who are you|what are you|what is this|what'?s this|tell me (?:about yourself|what you can do)|what are your (?:features|capabilities|commands)|are you (?:an? )?(?:bot|human|robot|ai|real|person).*)$/iu,
    say("help")
  ],
  [/^what (?:else )?(?:can|could|do|will) you (?:do|help)\b/iu, say("help")],
  [/^what (?:can|could|should|do) i (?:say|ask)\b/iu, say("help")],
  [
    /^(?:(?:(?:tell|show|teach|explain)(?: to)?(?: me)?|(?:(?:i want|i need|i(?:'d| would) like) to|let me|i don'?t|do you) know) )?how (?:can|could|do|does|would|should|to|i|you)\b(?! i have| we have)/iu,
    say("help")
  ]
]

/* Commands. */

const on =
  (kind: "complete" | "delete" | "find"): Read =>
  (words) => {
    const reference = parseReference(words)
    return reference.kind === "nothing" && words.trim() !== "" && !NO_REFERENCE.test(words)
      ? undefined
      : { kind, reference }
  }

/** Said to be done rather than asked for: of all tasks, that is not taken at its word. */
const toldOf: Read = (words) => {
  const reference = parseReference(words)
  return reference.kind === "all" ? { kind: "complete", reference, vague: true } : on("complete")(words, "")
}

/** A bare "delete", a bare "done": what was spoken of last may be meant, or something else. */
const onNothing =
  (kind: "complete" | "delete"): Read =>
  () => ({ kind, reference: { kind: "focus", many: false }, vague: true })

const NO_REFERENCE = /^(?:an?|some|the|my|another)?\s*(?:tasks?|to-?dos?|items?|one|something)$/iu

/** Only a task's number, "it" or "the first one": words would fit too much else. */
const onExplicit =
  (kind: "complete" | "find"): Read =>
  (words) => {
    const reference = parseReference(words)
    return ["numbers", "ordinal", "focus"].includes(reference.kind) ? { kind, reference } : undefined
  }

const list: Read = (words, status) => ({
  kind: "list",
  status: statusOf(`${words} ${status}`),
  dated: DATED.test(`${words} ${status}`)
})

const DATED =
  /\b(?:today|tonight|tomorrow|this week|next week|due|overdue|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b/iu
const OPEN =
  /\b(?:pending|open|left|remain(?:s|ing)?|incomplete|unfinished|outstanding|undone|still|not (?:yet )?(?:done|completed?|finished)|haven't|have not|active|uncompleted|due|next|to do\b(?! list| item)|should i|must i|need to)\b/iu
const CLOSED = /\b(?:done|completed?|finished|finish|ticked|checked off|closed|accomplished|accomplish)\b/iu

const statusOf = (text: string): TaskStatus => {
  if (OPEN.test(text)) return "pending"
  return CLOSED.test(text) ? "completed" : "all"
}

const REFRAIN: ReadonlyArray<Rule> = [[/^(?:do not|don'?t|never) (?!(?:let me )?forget)/iu, say("refrain")]]

const ACCIDENT =
  "(?:by (?:accident|mistake)|accidentally|mistakenly|unintentionally|wrong (?=(?:one|task|item|thing)s?\\b))"
const IN_PASSING = rx(String.raw`\s*\b(?:${ACCIDENT}|deleted\b)`)

const toRestore: Read = (words) => ({
  kind: "restore",
  reference: parseReference(words.replace(IN_PASSING, ""))
})

const REOPEN: ReadonlyArray<Rule> = [
  [/^(?:un-?delete|restore|bring back)\b(.*)$/isu, toRestore],
  [
    /^(?:bring|get|put) (it|that|this|them|those|all of them|(?:the |my )?(?:deleted )?tasks?(?: ?#?\d+)?) back$/iu,
    toRestore
  ],
  [rx(String.raw`^(?:i|we)\b(?=.*\b${ACCIDENT}).*?\b(?:deleted|removed|erased|cleared|wiped)\b(.*)$`), toRestore],
  [/^(?:i|we) (?:didn'?t|did not) (?:mean|want|intend) to (?:delete|remove|erase|clear|wipe)\b(.*)$/isu, toRestore],
  [
    rx(
      String.raw`^(?:i|we)\b(?=.*\b${ACCIDENT}).*\b(?:completed|finished|marked|ticked|checked|closed|changed|renamed|updated)\b`
    ),
    say("reopen")
  ],
  [/^(?:un-?(?:check|mark|complete|tick|do)|re-?open|undo|reactivate)\b/iu, say("reopen")],
  [
    /^(?:mark|set|change|make|put|flag|move)\b.*\b(?:not (?:done|completed?|finished)|undone|incomplete|uncompleted|unfinished|open|pending|active|(?:as|to) to ?do)$/isu,
    say("reopen")
  ],
  [
    /^(?:delete|remove|erase|complete|mark|finish|clear|tick|check|wipe|empty)\b.*\b(?:except|excluding|other than|apart from|besides|but not|all but|everything but)\b/isu,
    say("exception")
  ]
]

/* Adding. */

/** "task one": to be added by that name. */
const COUNTED = `${TASKS} ?#?${NUMBER}`
const ARTICLE = String.raw`(?:(?:an?|another|one more|the|my|these|this|the following|following|some|a few|several|\d{1,2}|two|three|four|five) )?(?:(?:new|following|extra|additional|quick) )?`

const adds =
  (reminder: boolean): Read =>
  (text) => ({ kind: "add", tasks: newTasks(text, false), reminder })

const ADD: ReadonlyArray<Rule> = [
  // "Remind me what I have to do" asks for the list, which other rules read.
  [
    /^remind me (.{1,60}?) to (.+)$/isu,
    (when, what) =>
      isWhen(when) ? { kind: "add", tasks: newTasks(`${what} ${when}`, false), reminder: true } : undefined
  ],
  [
    /^remind me (?!what|which|how many|of my|about my (?:tasks|list)|again$)(?:that i (?:need|have) to |not to forget to |to |about |of |that )?(.+)$/isu,
    adds(true)
  ],
  [/^(?:do not|don'?t|never) (?:let me )?forget (?:to |about |that )?(.+)$/isu, adds(true)],
  [/^(?:remember (?:to|that)|make sure (?:that )?(?:i|to)) (.+)$/isu, adds(true)],
  [rx(`^(?:(?:add|create|insert|make) (?:an? )?(?:new )?|(?:an? )?new )(${COUNTED})$`), adds(false)],
  [
    rx(`^(?:add|create|make|set|set up)(?: me| for me)? ${ARTICLE}reminders?(?: for me)?(?: to| about| for|:)? (.+)$`),
    adds(true)
  ],
  [
    rx(
      String.raw`^(?:add|create|make|insert|set up|include|enter|write|log|save|register)(?: me| for me)? ${ARTICLE}(${TASKS}(?! ?#?\d+\b| lists?\b)\b.*)$`
    ),
    (text) => afterNoun(text)
  ],
  [rx(String.raw`^(?:an? )?new (${TASKS}(?! ?#?\d+\b| lists?\b)\b.*)$`), (text) => afterNoun(text)],
  [rx(String.raw`^(${TASKS}\s*:.+)$`), (text) => afterNoun(text)],
  [/^(?:todo|to-do) (?!lists?\b|items?\b)(.+)$/isu, adds(false)],
  [
    rx(String.raw`^add (?:to|on|onto) ${MY_LIST}\s*[:,-]?\s*(.*)$`),
    (text) => ({ kind: "add", tasks: newTasks(text, true), reminder: false })
  ],
  [/^(?:add|insert|include|remind me)$/iu, () => ({ kind: "add", tasks: [], reminder: false })],
  [/^(?:add|insert|include)\s*:?\s+(.+)$/isu, adds(false)],
  [
    rx(String.raw`^(?:put|throw|stick|get|save|create|write|have)\s+(.+ (?:to|on|onto|in|into) ${MY_LIST})$`),
    adds(false)
  ],
  [
    /^(?:(?:make|take) a note (?:to|of|about|that)|note to self|note(?: down)?|write down|jot down|put down)\s*[:,-]?\s+(.+)$/isu,
    adds(false)
  ]
]

const NOUN = rx(
  String.raw`^(${TASKS}(?: items?)?)(?: for me)?(?: (?:to|on|in|onto) ${MY_LIST})?(?: (?:called|named|titled|that says|which says|saying|with (?:the )?(?:title|name)(?: of)?|for me to|to|for|about))?\s*[:,–—-]?\s*(.*)$`
)
const PLURAL = /s$/iu

const afterNoun = (text: string): Intent | undefined => {
  const match = NOUN.exec(text)
  if (match === null) return undefined
  return { kind: "add", tasks: newTasks(match[2] ?? "", PLURAL.test(match[1] ?? "")), reminder: false }
}

const TO_MY_LIST = rx(String.raw`\s+(?:to|on|onto|in|into) ${MY_LIST}(?:,? too|,? as well)?$`)
const AS_TASK = rx(String.raw`\s+as (?:an? )?(?:new )?${TASKS}$`)
const FOR_ME = /(")\s+for me$/iu
const SOMETHING =
  /^(?:something|one|it|this|that|things?|a few things|some things?|stuff|another|another one|more|(?:it|that|them) (?:again|back)|:)?$/iu
const QUOTED = /"([^"]+)"/gu
const BETWEEN_QUOTED = /^(?:[\s,;&]|\band\b)*$/iu
const WITH_DESCRIPTION =
  /^(.+?)[,;]?\s+(?:with|and)\s+(?:an?\s+|the\s+)?(?:(?:description|desc)(?:\s+(?:of|as|saying|that says))?\s*[:=]?|(?:details?|notes?)\s*(?:[:=]|saying|that says|(?=")))\s*(.+)$/isu
const COLON_DESCRIPTION = /^(.+?)[\s,;.(–-]+(?:description|desc|details?|notes?)\s*[:=]\s*(.+?)\)?$/isu

/** The tasks in what follows "add". `plural`: the user spoke of tasks, so that a list may be of two. */
const newTasks = (text: string, plural: boolean): ReadonlyArray<Wording> => {
  const rest = withoutEnd(text).replace(AS_TASK, "").replace(TO_MY_LIST, "").replace(FOR_ME, "$1")
  if (SOMETHING.test(rest)) return []
  const described = WITH_DESCRIPTION.exec(rest) ?? COLON_DESCRIPTION.exec(rest)
  if (described !== null) {
    return [withDescription({ title: unquoted(described[1] ?? "") }, unquoted(described[2] ?? ""))]
  }
  return separated(rest, plural).flatMap(oneTask)
}

const oneTask = (text: string): ReadonlyArray<Wording> => {
  const title = unquoted(text)
  return title === "" ? [] : [{ title }]
}

const withDescription = (task: Wording, description: string): Wording => ({
  title: task.title,
  description: task.description === undefined ? description : `${task.description}\n${description}`
})

const SEMICOLONS = /\s*;\s*/u
const COMMAS = /\s*,\s*(?:and\s+|&\s*)?|\s+and\s+(?=\S+(?:\s\S+){0,5}$)/iu
const COMMA = /,/u
const MOST_WORDS = 6
const SPACES = /\s+/u

/**
 * A list is split only where it clearly is one: quoted parts, semicolons, or three or more short items that are alike
 * (all begin with a verb, or none does). "Buy bread and butter" is one task, and so is "buy milk, eggs and bread".
 */
const separated = (text: string, plural: boolean): ReadonlyArray<string> => {
  const quoted = Array.from(text.matchAll(QUOTED), (match) => match[1] ?? "")
  if (quoted.length > 1 && BETWEEN_QUOTED.test(text.replace(QUOTED, ""))) return quoted
  if (text.includes('"')) return [text]
  const parts = text.split(SEMICOLONS).filter((part) => part !== "")
  if (parts.length > 1) return parts
  const items = text.split(COMMAS).filter((part) => part !== "")
  if (plural) return items
  return items.length > 2 && COMMA.test(text) && areAlike(items) ? items : [text]
}

const TASK_VERBS = new Set(
  "add answer apply arrange ask assemble attend back bake book borrow bring build buy call cancel change charge check choose clean clear collect complete contact cook create cut decide do donate draft drop eat email empty exchange feed file fill find finish fix follow fold get give go hang help hire install invite iron learn make meet mop mow move order organise organize pack paint pay phone pick plan plant post practice practise prepare print process put read refill register remove renew rent repair replace reply research reserve return review ring run schedule sell send set share shop sign sort start stop study submit sweep take talk tell test text thank tidy train try turn update upload vacuum visit wait walk wash watch water wipe wrap write".split(
    " "
  )
)

const areAlike = (items: ReadonlyArray<string>): boolean => {
  const verbs = items.filter((item) => TASK_VERBS.has(item.split(SPACES)[0]?.toLowerCase() ?? "")).length
  return (
    (verbs === 0 || verbs === items.length) &&
    items.every((item) => item.split(SPACES).length <= MOST_WORDS && !isWhen(item))
  )
}

/* Listing and finding. */

const SHOW_WORDS = String.raw`\b(?:${TASKS}|lists?|everything|all|agenda|them|pending|open|left|remaining|unfinished|outstanding|completed|done|finished)\b`

/** "Do I have anything to do" */
const DO = /^do$/iu

const FIND: ReadonlyArray<Rule> = [
  [
    rx(
      `^(?:show|list|display|find|search|get|give me|see)(?: me)?(?: for)?(?: all| every| any)?(?: of)?(?: my| the)? ?(?:${TASKS}|anything|everything) (?:about|with|for|containing|related to|on|that mention|mentioning|matching|named|called) (.+)$`
    ),
    (words) => (isWhen(words) ? list(`${words} still`, "") : { kind: "find", reference: parseReference(words) })
  ],
  [/^(?:find|search(?: for)?|look for|look up)\s+(.+)$/isu, on("find")],
  [
    /^(?:show|view|display|see|open|read|get|give me|describe|(?:what is|what's|whats)(?! \d+ ?[^\d\s])|tell me about|details? (?:of|for|on|about)|show details? (?:of|for))\s+(?:me\s+)?(?:the details? (?:of|for)\s+)?(.+)$/isu,
    onExplicit("find")
  ],
  [
    rx(
      String.raw`^(?:do i have|have i got|is there|are there|did i add|have i added) (?:an?|any|some)?\s*(?:${TASKS}|thing|things|anything|something)?\s*(?:about|for|to|with|called|named|regarding) (.+)$`
    ),
    (words) =>
      isWhen(words) || DO.test(words) ? list(`${words} still`, "") : { kind: "find", reference: parseReference(words) }
  ],
  [rx(`^(?:is|are|was|were) (?!any|there|all)(.+?) (?:already )?${DONE}$`), on("find")],
  [/^(?:did|have) i (?:already )?(?:finish(?:ed)?|do(?:ne)?|completed?) (.+)$/isu, on("find")]
]

/** "What should I do next", and not "what did I just do" or "what should I wear". */
const MINE =
  /^what (?:(?:else |all )?(?:do|should|must|can|will|am) i (?:still |now |next |first )?(?:do|have|need|got|get|want|buy|start|tackle|work|focus|plan|supposed|forgetting|missing)\b|(?:have|did) i\b.*\b(?:got|left|have to|need|want|plan|planned|forget|forgotten|forgot|miss|missed)\b)/iu

const LIST: ReadonlyArray<Rule> = [
  [
    rx(
      "^((?:(?:all|my|the|of|every|open|pending|done|completed|finished|current|remaining|unfinished|incomplete|uncompleted|outstanding|active|to-?do|to do|task) )*(?:tasks|to-?dos|to-?do lists?|to do lists?|task lists?|lists?|items|todo|to do))$"
    ),
    list
  ],
  [/^((?:completed|pending|open|incomplete|unfinished|uncompleted|remaining|outstanding)(?: ones)?)$/iu, list],
  [rx(`^(?:show|list|display|view|print|see)(?: me)?( .*${SHOW_WORDS}.*)$`), list],
  [/^(?:show|list|display|view)(?: me)?( what.*)?$/isu, list],
  [
    rx(
      String.raw`^(?:see|read|give|tell|get|have|fetch|pull up|open|check|look at|go over|go through|review|bring up|make|what about|remind)(?: me)?(?: again)?( .*\b(?:tasks|to-?dos|lists?|agenda|what i(?:'ve| have| need| still| should| must)?|what's left|what is left|what remains)\b.*)$`
    ),
    list
  ],
  [
    /^(what(?:'s|s| is| are| else is)?(?: still)? (?:left|remaining|pending|open|next|up next|outstanding|unfinished|due|done|completed|finished|there to do|to do|to be done|incomplete|undone|remains)\b.*)$/isu,
    list
  ],
  [rx(`^(what(?:'s|s| is| do i have| have i got)? (?:on|in) (?:my|the|our) .*)$`), list],
  [
    /^(what (?:(?:else |all )?(?:do|should|must|can|will|am)|have|did) i\b.*)$/isu,
    (words) => {
      if (CLOSED.test(words)) return list(words, "")
      return MINE.test(words) ? list(words, "still") : undefined
    }
  ],
  [
    rx(
      String.raw`^((?:what|which|whats|what's|how many|how much)\b.*\b(?:${TASKS}|lists?|left|remaining|pending|unfinished|outstanding|done|completed|finished|ones)\b.*)$`
    ),
    list
  ],
  [
    rx(
      String.raw`^((?:do i have|have i got|is there|are there|is|are|got|any)(?: still)? ?(?:any|anything|something|more|other|some|all|${TASKS})\b.*)$`
    ),
    (words) => list(words, CLOSED.test(words) ? "" : "still")
  ],
  [/^(?:show|list|display|view)(?: me)? (.+)$/isu, on("find")],
  [/^(anything (?:left|to do|else|open|pending|due|on)\b.*)$/isu, (words) => list(words, "still")]
]

/* Completing. */

const COMPLETE: ReadonlyArray<Rule> = [
  [rx(`^(?:mark|set|flag) (?:as )?${DONE}$`), () => ({ kind: "complete", reference: { kind: "focus", many: false } })],
  [rx(String.raw`^mark (?:as )?${DONE}\s*:?\s+(.+)$`), on("complete")],
  [
    rx(
      String.raw`^(?:mark|set|flag|tick|check|change|update|put|move|make|call|consider|report|record|cross)\s+(.+?)(?: off)?(?: (?:as|to be|to|is|are|being))?(?: all)? ${DONE}$`
    ),
    on("complete")
  ],
  [/^(?:tick|check|cross|strike|scratch|mark) off (.+)$/isu, on("complete")],
  [rx(`^(?:tick|check|cross|strike|scratch|mark) (.+?) off(?: (?:of )?${MY_LIST})?$`), on("complete")],
  [/^(?:(?:i'm|i am|we're|we are|i've|i have) )?(?:done|finished|complete|completed)$/iu, onNothing("complete")],
  [/^did (it|that)(?: already)?$/iu, on("complete")],
  [/^(?:(?:i'm|i am|we're|we are) )?(all) (?:done|finished|complete|completed)$/iu, toldOf],
  [
    /^(?:i|we)(?:'ve| have|'m| am)?(?: (?:just|already|now|finally|also))* (?:done|finished|completed|did|ticked off|checked off|crossed off|accomplished|closed|through)(?: with| doing| up)?\s+(.+?)(?: already)?$/isu,
    toldOf
  ],
  [/^(?:complete|finish|accomplish|conclude|resolve|close|tick)\s*[:,]?\s+(.+)$/isu, on("complete")],
  [/^(?:done with|finished with|done|finished|completed)\s*[:,]?\s+(.+?)(?: already)?$/isu, toldOf],
  [/^(?:check|mark|do|cross|strike)\s+(.+)$/isu, onExplicit("complete")]
]

const PAST: Readonly<Record<string, string>> = {
  ate: "eat",
  bought: "buy",
  brought: "bring",
  built: "build",
  cleaned: "clean",
  fed: "feed",
  found: "find",
  gave: "give",
  got: "get",
  hung: "hang",
  made: "make",
  met: "meet",
  paid: "pay",
  read: "read",
  sent: "send",
  sold: "sell",
  swept: "sweep",
  told: "tell",
  took: "take",
  washed: "wash",
  went: "go",
  wrote: "write"
}

/** What is said to be the case: read last, since almost any text may end in "done". */
const STATEMENTS: ReadonlyArray<Rule> = [
  [
    rx(
      String.raw`^(?!what|which|who|how|is |are |did |have |has |do |does |show|list|i |we |nothing|no |not )(.+?)(?<!\bnot|n't)(?: (?:is|are|was|were|has been|have been|got|gets)|'s)?(?: (?:now|already|all|both))* (?:${DONE}|taken care of|sorted)$`
    ),
    toldOf
  ],
  [
    /^(?:(?:i|we)(?:'ve| have)? |(?=bought|paid|called|sent|took|wrote|went|washed|cleaned|made))(?:(?:just|already|now|finally|also) )*(?!need|want)([a-z]+) (.+)$/isu,
    (verb, rest) => {
      const present = Object.hasOwn(PAST, verb.toLowerCase()) ? PAST[verb.toLowerCase()] : undefined
      if (present === undefined && !REGULAR_PAST.test(verb)) return undefined
      return { kind: "complete", reference: parseReference(`${present ?? verb} ${rest}`) }
    }
  ]
]

const REGULAR_PAST = /^[a-z]{2,}ed$/iu

/* Deleting. */

const DELETE: ReadonlyArray<Rule> = [
  [
    rx(
      `^(?:clear|empty|wipe|clean|reset|delete|remove|erase|purge|scrap|trash)(?: out| up)? (?:all (?:of )?)?(?:${MY_LIST}|tasks|to-?dos|everything|lists?)(?: (?:on|from|in) ${MY_LIST})?$`
    ),
    () => ({ kind: "delete", reference: { kind: "all", status: "all" } })
  ],
  [rx(`^take (.+?) off(?: (?:of )?${MY_LIST})?$`), on("delete")],
  [/^(?:delete|remove|erase|drop|scrap|discard|trash|clear)$/iu, onNothing("delete")],
  [
    /^(?:delete|remove|erase|drop|scrap|discard|trash|bin|get rid of|forget about|forget|cancel|throw (?:away|out)|clear out|clear|wipe|purge|dismiss|del|rm|eliminate|clean up)\s+(.+)$/isu,
    on("delete")
  ]
]

/* Changing. */

const TO = /\s(?:to say|to read|to be|to|as|into|with|by|->|=>|→)\s+|\s*[:=→]\s+/giu
const UNTIL = /\s(?:back to|forward to|to|until|till|for|by|on)\s+/giu
const MOST_CONNECTORS = 20
const MOST_READINGS = 6

const readings = (
  text: string,
  connector: RegExp,
  change: (value: string) => Change | undefined
): ReadonlyArray<Reading> => {
  const all = [...text.matchAll(connector)]
    .slice(0, MOST_CONNECTORS)
    .map((match) => {
      const reference = parseReference(text.slice(0, match.index))
      const value = change(text.slice(match.index + match[0].length))
      return reference.kind === "nothing" || value === undefined ? undefined : { reference, change: value }
    })
    .filter((reading) => reading !== undefined)
  const explicit = all.find((reading) => reading.reference.kind !== "title")
  return explicit === undefined ? all.slice(0, MOST_READINGS) : [explicit]
}

const update = (all: ReadonlyArray<Reading>, field: "title" | "description"): Intent | undefined =>
  all.length === 0 ? undefined : { kind: "update", readings: all, field }

const describe: Read = (words, description) => {
  const reference = parseReference(words)
  return reference.kind === "nothing"
    ? undefined
    : {
        kind: "update",
        readings: [{ reference, change: toDescription(description) }],
        field: "description"
      }
}

/** Names a task, but not what to make of it. */
const unsaid =
  (field: "title" | "description"): Read =>
  (words) => ({ kind: "update", readings: [{ reference: parseReference(words), change: {} }], field })

const toDescription = (value: string): Change => ({ description: unquoted(value) })

const TITLE_AND_DESCRIPTION =
  /^(.+?)[,;]?\s+(?:and|with)\s+(?:(?:set|change|update)\s+)?(?:the\s+|its\s+|an?\s+)?(?:description|desc)\s*(?:to|as|of|:|=)?\s+(.+)$/isu

const titleChange = (value: string): Change => {
  const both = TITLE_AND_DESCRIPTION.exec(value)
  if (both !== null) return { title: unquoted(both[1] ?? ""), description: unquoted(both[2] ?? "") }
  const title = unquoted(value)
  return isWhen(title) ? { when: title } : { title }
}

const toWhen = (value: string): Change | undefined => (isWhen(value) ? { when: value } : undefined)

const EDIT = "(?:update|change|edit|set|modify|rewrite|replace|give|make)"
const TO_VALUE = String.raw`\s*(?:(?:to say|to read|to be|to|as|of|into|with|saying)\s+|[:=]\s*)`

const UPDATE: ReadonlyArray<Rule> = [
  [
    rx(String.raw`^(?:rename|retitle|reword|rephrase)\s+(.+)$`),
    (text) => update(readings(text, TO, titleChange), "title") ?? unsaid("title")(text, "")
  ],
  [
    rx(`^${EDIT} (?:the )?(?:title|name|text|wording) (?:of|for|on) (.+)$`),
    (text) => update(readings(text, TO, titleChange), "title") ?? unsaid("title")(text, "")
  ],
  [
    /^make (it|that(?: one)?|this(?: one)?|(?:task|number|#) ?\d+) (.+)$/isu,
    (words, value) =>
      isWhen(value) ? update([{ reference: parseReference(words), change: { when: value } }], "title") : undefined
  ],
  [
    /^(?:move|reschedule|postpone|push|shift|delay|defer|bring forward|change the (?:date|time|day) (?:of|for))\s+(.+)$/isu,
    (text) => update(readings(text.replace(FURTHER, ""), UNTIL, toWhen), "title")
  ],
  [
    /^(?:set|make|turn|fix|correct|replace)\s+(.+)$/isu,
    (text) => {
      const found = readings(text, TO, titleChange)
      return found.some((reading) => reading.reference.kind === "title") ? undefined : update(found, "title")
    }
  ],
  [
    /^(?:change|update|edit|modify)\s+(.+)$/isu,
    (text) => update(readings(text, TO, titleChange), "title") ?? unsaid("title")(text, "")
  ],
  [/^(?:change|update|edit|modify|rename)$/iu, unsaid("title")]
]

const FURTHER = /\s(?:back|forward|out)(?=\s(?:to|until|till)\s)/iu

const DESCRIBE: ReadonlyArray<Rule> = [
  [
    rx(
      `^${EDIT} (?!(?:the |its )?(?:description|desc) )(.+?)(?:'s|s')? (?:(?:the|an?|its|new) )*(?:title|name)${TO_VALUE}(.+)$`
    ),
    (words, value) => {
      const reference = parseReference(words)
      return reference.kind === "nothing" ? undefined : update([{ reference, change: titleChange(value) }], "title")
    }
  ],
  [
    rx(`^(?:remove|delete|clear|erase|empty) (?:the |its )?${FIELD} (?:of|from|for|on) (.+)$`),
    (words) => describe(words, "")
  ],
  [
    rx(`^${EDIT} (?:the )?${FIELD} (?:of|for|on|in) (.+)$`),
    (text) => update(readings(text, TO, toDescription), "description") ?? unsaid("description")(text, "")
  ],
  [
    rx(
      String.raw`^(?:add|write|put|append|attach) (?:an? |the |another |this )?${FIELD} (?:to|for|on|of) (.+?)\s*(?:\s(?:saying(?: that)?|that says|which says|as|to say)\s|[:=]\s+|\s-\s|,\s*)(.+)$`
    ),
    describe
  ],
  [
    rx(
      String.raw`^(?:add|write|put|append|attach) (?:an? |the |another |this )?${FIELD}:? (.+) (?:to|for|on) ((?:task|number|item|#|the |my |it\b|that\b|\d).*)$`
    ),
    (description, words) => describe(words, description)
  ],
  [
    rx(
      String.raw`^(?:add|write|put|append|attach) (?:an? |the |another )?${FIELD} (?:to|for|on|of) ((?:task|number|item|#|the |it\b|that\b|\d).*)$`
    ),
    unsaid("description")
  ],
  [rx(`^${EDIT} (.+?)(?:'s|s')? (?:(?:with|the|an?|its|new) )*${FIELD}${TO_VALUE}(.+)$`), describe],
  [rx(`^${EDIT} (.+?) with (?:(?:the|an?|new) )*(?:description|desc)(?: of)?[:=]? (.+)$`), describe],
  [/^describe (.+?) as (.+)$/isu, describe],
  [rx(`^(?:update|change|edit|modify) (.+?)(?:'s|s')? (?:the )?${FIELD}$`), unsaid("description")]
]

/* What a person has to do or wants to: a task, unless it plainly is a command. What has to be done is not done yet. */

const NEED =
  /^(?:(?:i|we)(?:'ve|'ll)? )?(?:(?:really|also|still|just|probably|will) )*(?:need to|have to|have got to|got to|gotta|must|should|ought to|am supposed to|had better)(?! i\b| we\b| you\b) (.+)$/isu
const WANT = /^(?:i|we)(?:'d| would)?(?: (?:really|also|just))* (?:want|like|love|wish|plan|intend)(?:ed)? to (.+)$/isu
const NEED_THING = /^(?:i|we)(?: really| also| still)? need (?!to\b|help|you\b|it\b|that\b|some help|a list)(.+)$/isu

const obligation = (text: string, wanted: boolean): Intent => {
  const meant = command(text)
  if (meant === undefined || !isPlain(meant, text, wanted)) {
    return { kind: "add", tasks: newTasks(text, false), reminder: false }
  }
  return meant.kind === "complete" && !wanted ? { ...meant, vague: true } : meant
}

const MENTIONS_TASKS = /\b(?:tasks?|to-?dos?|one)\b|\bas (?:done|completed?|finished)$|\boff (?:my|the) .*list$/iu

const isPlain = (intent: Intent, text: string, wanted: boolean): boolean => {
  if (intent.kind === "complete" || intent.kind === "delete" || intent.kind === "find") {
    return intent.reference.kind !== "title" || MENTIONS_TASKS.test(text) || (wanted && intent.kind === "delete")
  }
  if (intent.kind === "update") {
    return wanted || MENTIONS_TASKS.test(text) || intent.readings.some((reading) => reading.reference.kind !== "title")
  }
  return intent.kind === "add" || intent.kind === "list"
}

const OBLIGATIONS: ReadonlyArray<Rule> = [
  [NEED, (text) => obligation(text, false)],
  [WANT, (text) => obligation(text, true)],
  [NEED_THING, adds(false)]
]

const COMMANDS: ReadonlyArray<Rule> = [
  ...REFRAIN,
  ...DESCRIBE,
  ...REOPEN,
  ...ADD,
  ...FIND,
  ...LIST,
  ...COMPLETE,
  ...DELETE,
  ...UPDATE,
  ...OBLIGATIONS,
  ...STATEMENTS
]

/* The words as they are to be stored. */

const TITLE_LENGTH = 255
const DESCRIPTION_LENGTH = 2000

const finished = (intent: Intent, asSaid: (part: string) => string): Intent => {
  if (intent.kind === "add") return { ...intent, tasks: intent.tasks.map((task) => sized(task, asSaid)) }
  if (intent.kind === "unknown") return { ...intent, text: asSaid(intent.text) }
  if (intent.kind !== "update") return intent
  return {
    ...intent,
    readings: intent.readings.map(({ reference, change }) => ({ reference, change: finishedChange(change, asSaid) }))
  }
}

const finishedChange = (change: Change, asSaid: (part: string) => string): Change => {
  const { description, title, ...rest } = change
  const text = cut(asSaid(description ?? ""), DESCRIPTION_LENGTH)[0]
  const described: Change = description === undefined ? rest : { ...rest, description: text === "" ? null : text }
  return title === undefined || title === ""
    ? described
    : { ...described, ...sized(text === "" ? { title } : { title, description: text }, asSaid) }
}

/** A title too long to be one goes on in the description. */
const sized = (task: Wording, asSaid: (part: string) => string): Wording => {
  const [title, rest] = cut(capitalized(asSaid(task.title)), TITLE_LENGTH)
  const parts = [rest, ...(task.description === undefined ? [] : [asSaid(task.description)])].filter(
    (part) => part !== ""
  )
  return parts.length === 0 ? { title } : { title, description: cut(parts.join("\n"), DESCRIPTION_LENGTH)[0] }
}

const LAST_SPACE = /^(.{150,}\S)\s\S*$/su

/** The first `length` code points, to the end of a word if there is one near, and what is left. */
const cut = (text: string, length: number): readonly [string, string] => {
  const points = Array.from(text)
  if (points.length <= length) return [text, ""]
  const start = points.slice(0, length).join("")
  const whole = LAST_SPACE.exec(start)?.[1] ?? start
  return [whole.trim(), text.slice(whole.length).trim()]
}
