import type { TaskStatus } from "../../domain/model/Task.ts"
import { type Change, changeTo, type Intent, type Reading, recognize, type Wording, wordings } from "./Intent.ts"
import { parseReference, type Reference, tidied, withWhen } from "./Phrase.ts"
import { type Match, matchTasks } from "./TaskMatch.ts"

/** A task as the tools show it. */
export interface TaskView {
  readonly id: number
  readonly title: string
  readonly description?: string | null | undefined
  readonly completed: boolean
}

/** A tool that is to be run. */
export interface ToolRequest {
  readonly name: string
  readonly arguments: Readonly<Record<string, string | number | null>>
}

/** What a tool answered. */
export type Outcome =
  | { readonly kind: "task"; readonly task: TaskView }
  /** `more`: the list is longer than what it shows. */
  | { readonly kind: "tasks"; readonly tasks: ReadonlyArray<TaskView>; readonly more: boolean }
  /** It says that it succeeded, and nothing more. */
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: string }
  /** Nothing that can be read: whether it happened is not known. */
  | { readonly kind: "unclear" }

/** What one turn leaves behind for the next. */
export interface Context {
  /** The tasks that were spoken of last, in the order shown: "it", "the first one". */
  readonly focus: ReadonlyArray<TaskView>
  /** What was asked, when the reply was a question. */
  readonly question: Question | undefined
  /** The tasks that were deleted last, which can be added again. */
  readonly deleted: ReadonlyArray<TaskView>
}

/** A turn's last words. */
export interface Reply extends Context {
  readonly text: string
}

type Action = { readonly verb: "complete" | "delete" | "find" } | { readonly verb: "update"; readonly change: Change }

type Question =
  | { readonly kind: "choose"; readonly action: Action; readonly candidates: ReadonlyArray<TaskView> }
  | { readonly kind: "confirm"; readonly action: Action; readonly tasks: ReadonlyArray<TaskView> }
  | { readonly kind: "title" }
  | { readonly kind: "offer"; readonly tasks: ReadonlyArray<Wording> }
  | { readonly kind: "wording"; readonly task: TaskView; readonly field: "title" | "description" }

/**
 * One turn: asks for tools by yielding, is given what they answered, and returns what to say. It is a function of the
 * message, the context and those answers alone, so that it can be run again over a turn's recorded steps.
 */
export type Talk<A> = Generator<ReadonlyArray<ToolRequest>, A, ReadonlyArray<Outcome>>

export const nothingBefore: Context = { focus: [], question: undefined, deleted: [] }

/** No answer asks for more calls than this. */
export const MOST_CALLS = 16
/** A turn acts on no more tasks than this, which keeps it well below ten answers. */
const MOST_ACTIONS = 6 * MOST_CALLS
const MOST_SHOWN = 100

/** Holds one turn of the talk. */
export function* talk(said: string, context: Context): Talk<Reply> {
  const last = yield* respond(tidied(said), context)
  return last.deleted.length > 0 ? last : { ...last, deleted: context.deleted }
}

function* respond(message: string, context: Context): Talk<Reply> {
  const turn: Turn = { context, known: undefined, partial: false }
  const intents = recognize(message)
  const only = intents.length === 1 ? intents[0] : undefined
  if (context.question !== undefined && only !== undefined) {
    const reply = yield* answer(turn, context.question, only, message)
    if (reply !== undefined) return reply
  }
  const replies: Array<Reply> = []
  for (const intent of intents) {
    turn.context = replies.at(-1) ?? context
    replies.push(yield* carryOut(turn, intent))
  }
  return joined(replies)
}

/** What is known while a turn goes on. */
interface Turn {
  context: Context
  /** All the user's tasks, once they were listed; kept up to date with what the tools answer. */
  known: Map<number, TaskView> | undefined
  /** Whether the list was too long to be shown whole. */
  partial: boolean
}

const reply = (text: string, focus: ReadonlyArray<TaskView> = [], question?: Question): Reply => ({
  text,
  focus,
  question,
  deleted: []
})

const joined = (replies: ReadonlyArray<Reply>): Reply => ({
  text: replies.map(({ text }) => text).join("\n\n"),
  focus: replies.findLast(({ focus }) => focus.length > 0)?.focus ?? [],
  question: replies.findLast(({ question }) => question !== undefined)?.question,
  deleted: replies.flatMap(({ deleted }) => deleted)
})

const ABILITIES =
  "I can add tasks, list them, mark them as complete, change their title or description, and delete them."
const EXAMPLES =
  'Try "add buy milk", "show my tasks", "mark task 1 as done", "rename task 2 to call the dentist" or "delete task 3".'

/* What is wanted. */

function* carryOut(turn: Turn, intent: Intent): Talk<Reply> {
  switch (intent.kind) {
    case "add":
      return yield* add(turn, intent.tasks, intent.reminder)
    case "list":
      return yield* list(turn, intent.status, intent.dated)
    case "find":
    case "complete":
    case "delete":
      return yield* act(turn, { verb: intent.kind }, intent.reference, intent.vague)
    case "update":
      return yield* update(turn, intent.readings, intent.field)
    case "restore":
      return restored(intent.reference, turn.context.deleted)
    default:
      return speak(intent, turn.context)
  }
}

type Spoken = Exclude<
  Intent["kind"],
  "add" | "list" | "find" | "complete" | "delete" | "update" | "restore" | "unknown"
>

const UNCHANGED = "All right, I've left everything as it is."

const WORDS: Readonly<Record<Spoken, string>> = {
  help: `I look after your to-do list. ${ABILITIES} ${EXAMPLES}`,
  greeting: `Hello! I look after your to-do list. ${ABILITIES} What would you like to do?`,
  thanks: "You're welcome! Tell me when there is anything else to do with your tasks.",
  farewell: "Goodbye! Your list is here whenever you need it.",
  yes: `There is nothing waiting for your answer. ${ABILITIES}`,
  no: "There is nothing waiting for your answer, so there is nothing to stop. What is done stays done.",
  refrain: "All right, I've left everything as it is now. What is done stays done.",
  reopen:
    "I can't take anything back or reopen a completed task: I have no way to do that. I can add it again as a new task, if you tell me so.",
  exception:
    'I\'d rather not guess which tasks to leave out. Please tell me the numbers of the ones you mean, such as "delete tasks 2 and 5".'
}

const OFFERED = 120
/** What tells something rather than asks for it. */
const REMARK =
  /^(?:i|i'm|you|you're|he|she|it|it's|we|they|this|that|that's|there|my|your)\b|\b(?:is|are|was|were|isn't|aren't)\b/iu
const WORD_PAIR = /\p{L}{2,}\s+\S*\p{L}{2,}/u

const speak = (intent: Extract<Intent, { kind: Spoken | "unknown" }>, context: Context): Reply => {
  if ((intent.kind === "no" || intent.kind === "refrain") && context.question !== undefined)
    return reply(UNCHANGED, context.focus)
  if (intent.kind !== "unknown") return reply(WORDS[intent.kind], context.focus)
  const { question, text } = intent
  const tasks = question || text.length > OFFERED || REMARK.test(text) || !WORD_PAIR.test(text) ? [] : wordings(text)
  if (tasks.length === 1) {
    const offer = `Shall I add ${quote(tasks[0]?.title ?? "")} as a task?`
    return reply(`I can't do that myself, since I only look after your to-do list. ${offer}`, [], {
      kind: "offer",
      tasks
    })
  }
  const start = question ? "I can't help with that: I only look after your to-do list." : "I'm not sure what you mean."
  return reply(`${start} ${ABILITIES} ${EXAMPLES}`, context.focus)
}

/** A deleted task cannot be had back, but added anew. */
const restored = (reference: Reference, deleted: ReadonlyArray<TaskView>): Reply => {
  const tasks = wantedBack(reference, deleted).filter((task) => task.title !== "")
  if (tasks.length === 0)
    return reply("I can't bring back a deleted task, but I can add it again. What did it say?", [], { kind: "title" })
  const text =
    tasks.length === 1
      ? `I can't bring back a deleted task, but I can add it again. Shall I add ${tasks.map(label).join("")} as a new task?`
      : `I can't bring back deleted tasks, but I can add them again as new ones:\n${titles(tasks)}\nShall I? (yes or no)`
  return reply(text, [], { kind: "offer", tasks: tasks.map(wordingOf) })
}

const wantedBack = (reference: Reference, deleted: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> =>
  reference.kind === "nothing" || reference.kind === "focus" ? deleted : choice(reference, deleted)

const wordingOf = ({ description, title }: TaskView): Wording =>
  typeof description === "string" && description !== "" ? { title, description } : { title }

/* Answers to what was asked. */

/** "Add it again", but not "add another one". */
const POINTS = /\b(?:it|that|this|them|those|these)\b/iu

/** Gives nothing when the message is about something else. */
function* answer(turn: Turn, question: Question, intent: Intent, message: string): Talk<Reply | undefined> {
  switch (question.kind) {
    case "choose":
      return yield* choose(turn, question, intent, message)
    case "confirm":
      return yield* confirm(turn, question, intent, message)
    case "offer":
      return intent.kind === "yes" || (intent.kind === "add" && intent.tasks.length === 0 && POINTS.test(message))
        ? yield* add(turn, question.tasks, false)
        : undefined
    case "title":
      return isWording(intent) ? yield* add(turn, wordings(message), false) : undefined
    case "wording":
      return isWording(intent) ? yield* perform(turn, rewording(question.field, message), [question.task]) : undefined
  }
}

const rewording = (field: "title" | "description", message: string): Action => ({
  verb: "update",
  change: field === "title" ? changeTo(message) : { description: message.trim() }
})

/** Asked for words, a person may say what would elsewhere be a request ("finish the report"), but not "delete task 3". */
const isWording = (intent: Intent): boolean => {
  switch (intent.kind) {
    case "unknown":
      return !intent.question
    case "complete":
    case "delete":
    case "find":
      return intent.reference.kind === "title"
    case "update":
      return intent.readings.every((reading) => reading.reference.kind === "title")
    default:
      return false
  }
}

function* choose(
  turn: Turn,
  question: Extract<Question, { kind: "choose" }>,
  intent: Intent,
  message: string
): Talk<Reply | undefined> {
  const { action, candidates } = question
  if (intent.kind === "yes" && candidates.length === 1) return yield* perform(turn, action, candidates)
  // "Delete the first one" answers "which one shall I delete?" as well as "the first one" does.
  const named = isClear(intent) && intent.kind === action.verb ? intent.reference : undefined
  if (named === undefined && intent.kind !== "unknown" && intent.kind !== "yes") return undefined
  const chosen = NEGATION.test(message) ? [] : choice(named ?? parseReference(message), candidates)
  if (chosen.length > 0 && (action.verb !== "update" || chosen.length === 1)) {
    return yield* perform(turn, action, chosen)
  }
  if (named !== undefined) return undefined
  return reply(
    `I'm not sure which one you mean. Please answer with a number:\n${lines(candidates)}`,
    candidates,
    question
  )
}

type Acting = Extract<Intent, { kind: "find" | "complete" | "delete" }>

const isClear = (intent: Intent): intent is Acting =>
  (intent.kind === "find" || intent.kind === "complete" || intent.kind === "delete") && intent.vague !== true

/** "not the first one" says which it is not. */
const NEGATION = /\b(?:not|except|but|without|other than)\b|n't\b/iu

const choice = (reference: Reference, candidates: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> => {
  switch (reference.kind) {
    case "numbers": {
      const chosen = candidates.filter((task) => reference.ids.includes(task.id))
      return chosen.length === reference.ids.length ? chosen : []
    }
    case "ordinal":
      return placed(reference.position, candidates)
    case "focus":
      return reference.many || candidates.length === 1 ? candidates : []
    case "all":
      return candidates
    case "title": {
      // "one" is the number here; in "the dentist one" it is not.
      const numbers = parseReference(`number ${reference.words}`)
      if (numbers.kind === "numbers") return choice(numbers, candidates)
      const { certain } = matchTasks(reference.words, candidates)
      return certain.length === 1 ? certain : []
    }
    case "nothing":
      return []
  }
}

const placed = (position: number, tasks: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> => {
  const task = tasks.at(position > 0 ? position - 1 : position)
  return task === undefined ? [] : [task]
}

function* confirm(
  turn: Turn,
  question: Extract<Question, { kind: "confirm" }>,
  intent: Intent,
  message: string
): Talk<Reply | undefined> {
  const { action, tasks } = question
  const again = isClear(intent) && intent.kind === action.verb && ["focus", "all"].includes(intent.reference.kind)
  if (intent.kind === "yes" || again) return yield* perform(turn, action, tasks)
  // "I didn't mean to delete that": it has not been.
  if (intent.kind === "restore" && action.verb === "delete") return reply(UNCHANGED, tasks)
  if (intent.kind !== "unknown") return undefined
  const reference = parseReference(message)
  const some = reference.kind === "numbers" ? choice(reference, tasks) : []
  if (some.length > 0) return yield* perform(turn, action, some)
  return reply(`Please answer yes or no: shall I ${action.verb} ${these(tasks)}?`, tasks, question)
}

/* Adding. */

function* add(turn: Turn, tasks: ReadonlyArray<Wording>, reminder: boolean): Talk<Reply> {
  if (tasks.length === 0) return reply("What should the task say?", [], { kind: "title" })
  const wanted = tasks.slice(0, MOST_ACTIONS)
  const outcomes = yield* run(wanted.map((task) => ({ name: "add_task", arguments: { ...task } })))
  const added = outcomes.flatMap(tasksOf)
  for (const task of added) turn.known?.set(task.id, task)
  const sentences = [
    ...(added.length === 1
      ? added.map((task) => `I've added ${quote(task.title)} to your list as task ${task.id}.`)
      : []),
    ...(added.length > 1 ? [`I've added ${added.length} tasks to your list:\n${lines(added)}`] : []),
    ...problems(outcomes, (index) => `add ${quote(wanted[index]?.title ?? "")}`),
    ...(tasks.length > wanted.length
      ? [`That was all I can add at once: ${tasks.length - wanted.length} are left out.`]
      : []),
    ...(reminder && added.length > 0 ? ["I keep it on your list, but I can't send a reminder when it is time."] : [])
  ]
  return reply(sentences.join(added.length > 1 ? "\n" : " "), added)
}

/* Listing. */

function* list(turn: Turn, status: TaskStatus, dated: boolean): Talk<Reply> {
  const tasks = yield* fetchTasks(turn, status)
  if (!Array.isArray(tasks)) return tasks
  const shown = tasks.filter((task) => status === "all" || task.completed === (status === "completed"))
  const note = dated ? "\n\nTasks have no due dates, so I can't pick them by day." : ""
  return reply(`${heading(shown, status, turn.partial)}${note}`, shown)
}

const heading = (tasks: ReadonlyArray<TaskView>, status: TaskStatus, more: boolean): string => {
  const kind = { all: "", pending: "open ", completed: "completed " }[status]
  if (tasks.length === 0) return status === "all" ? "Your list is empty." : `You have no ${kind}tasks.`
  return `You have ${more ? "more than " : ""}${counted(tasks.length, `${kind}task`)}${more ? "; these come first" : ""}:\n\n${lines(tasks)}`
}

/** All tasks of a status, or what to say when they cannot be had. */
function* fetchTasks(turn: Turn, status: TaskStatus): Talk<Array<TaskView> | Reply> {
  const [outcome] = yield* run([{ name: "list_tasks", arguments: { status } }])
  if (outcome?.kind === "tasks") {
    turn.partial = outcome.more
    if (status === "all") turn.known = new Map(outcome.tasks.map((task) => [task.id, task]))
    return [...outcome.tasks]
  }
  return reply(`I couldn't look at your list: ${errorOf(outcome)}`)
}

function* allTasks(turn: Turn): Talk<Array<TaskView> | Reply> {
  return turn.known === undefined ? yield* fetchTasks(turn, "all") : [...turn.known.values()]
}

/* Acting on tasks that are there. */

type Targets = { readonly tasks: ReadonlyArray<TaskView> } | { readonly reply: Reply }

/** `vague`: the tasks are to be asked about first. */
function* act(turn: Turn, action: Action, reference: Reference, vague = false): Talk<Reply> {
  if (reference.kind === "numbers" && !needsTask(action) && !vague) {
    return yield* perform(
      turn,
      action,
      reference.ids.map((id) => stranger(id))
    )
  }
  const targets = yield* resolve(turn, action, reference)
  if ("reply" in targets) return turn.partial ? partly(targets.reply) : targets.reply
  if (vague) return targets.tasks.length === 1 ? ask(action, targets.tasks) : confirmation(action, targets.tasks)
  return yield* perform(turn, action, targets.tasks)
}

/** Nothing is claimed of tasks that were not shown. */
const partly = (said: Reply): Reply => ({
  ...said,
  text: `${said.text}\n\nYour list is too long for me to see it whole: this is about its first tasks only.`
})

/** A task of which only the number is known. */
const stranger = (id: number): TaskView => ({ id, title: "", completed: false })

const needsTask = (action: Action): boolean =>
  action.verb === "find" || (action.verb === "update" && (action.change.when !== undefined || isEmpty(action.change)))

const isEmpty = (change: Change): boolean => Object.keys(change).length === 0

function* resolve(turn: Turn, action: Action, reference: Reference): Talk<Targets> {
  const { focus } = turn.context
  const meant = likely(action, focus)
  if (reference.kind === "focus" && meant.length > 0) return oneOf(action, meant)
  if (reference.kind === "ordinal" && focus.length > 1) {
    const tasks = placed(reference.position, focus)
    if (tasks.length > 0) return { tasks }
  }
  const all = yield* allTasks(turn)
  if (!Array.isArray(all)) return { reply: all }
  if (all.length === 0) return { reply: reply("Your list is empty.") }
  switch (reference.kind) {
    case "numbers":
      return numbered(reference.ids, all)
    case "ordinal":
      return placedIn(action, reference.position, all)
    case "all":
      return everything(action, reference.status, all)
    case "title":
      return titled(action, reference, all)
    case "focus":
      return { reply: focus.length === 1 ? none(alreadyDone(focus), all) : which(action, all) }
    default:
      return { reply: which(action, all) }
  }
}

/** "it" may have been several: those are meant together unless only one can be. */
const oneOf = (action: Action, focus: ReadonlyArray<TaskView>): Targets =>
  focus.length === 1 || action.verb === "find" ? { tasks: focus } : { reply: ask(action, focus) }

const open = (tasks: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> => tasks.filter((task) => !task.completed)

/** What an action is likely to be meant for: what is done already cannot be completed. */
const likely = (action: Action, tasks: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> =>
  action.verb === "complete" ? open(tasks) : tasks

const numbered = (ids: ReadonlyArray<number>, all: ReadonlyArray<TaskView>): Targets => {
  const tasks = all.filter((task) => ids.includes(task.id))
  return tasks.length > 0 ? { tasks } : { reply: none(`There is no task ${ids.join(" or ")} on your list.`, all) }
}

const placedIn = (action: Action, position: number, all: ReadonlyArray<TaskView>): Targets => {
  const tasks = placed(position, likely(action, all))
  return tasks.length > 0 ? { tasks } : { reply: none("Your list isn't that long.", all) }
}

const everything = (action: Action, status: TaskStatus, all: ReadonlyArray<TaskView>): Targets => {
  const tasks = likely(action, all).filter((task) => status === "all" || task.completed === (status === "completed"))
  if (tasks.length === 0) {
    return {
      reply: reply(
        `There are no ${{ all: action.verb === "complete" ? "open " : "", pending: "open ", completed: "completed " }[status]}tasks to ${action.verb}.`
      )
    }
  }
  if (action.verb === "update")
    return { reply: reply("I can only change one task at a time. Which one do you mean?", tasks) }
  return action.verb === "delete" ? { reply: confirmation(action, tasks) } : { tasks }
}

const confirmation = (action: Action, tasks: ReadonlyArray<TaskView>): Reply =>
  reply(
    `This would ${action.verb} ${counted(tasks.length, "task")}${action.verb === "delete" ? " for good" : ""}:\n${lines(tasks)}\nShall I go ahead? (yes or no)`,
    tasks,
    { kind: "confirm", action, tasks }
  )

const titled = (
  action: Action,
  reference: Extract<Reference, { kind: "title" }>,
  all: ReadonlyArray<TaskView>
): Targets => {
  const pool = likely(action, all)
  const match = matchTasks(reference.words, pool)
  const apart = match.full || action.verb === "update" ? [] : separately(reference.words, pool)
  if (apart.length > 0)
    return apart.every((tasks) => tasks.length === 1) ? { tasks: unique(apart.flat()) } : missing(action, apart)
  if (match.certain.length === 1 || (match.certain.length > 1 && action.verb === "find"))
    return { tasks: match.certain }
  if (match.certain.length > 1) return several(action, reference, match.certain)
  const done = action.verb === "complete" ? matchTasks(reference.words, all).certain : []
  if (done.length > 0) return { reply: reply(alreadyDone(done), done) }
  if (match.possible.length > 0) return { reply: ask(action, match.possible) }
  const kind = action.verb === "complete" ? "an open task" : "a task"
  return { reply: none(`I couldn't find ${kind} like ${quote(reference.words)}.`, all) }
}

const alreadyDone = (tasks: ReadonlyArray<TaskView>): string => `${quote(tasks[0]?.title ?? "")} is already complete.`

/** Of several tasks that were named, not each is one on the list. */
const missing = (action: Action, apart: ReadonlyArray<ReadonlyArray<TaskView>>): Targets => ({
  reply: ask(action, unique(apart.flat()))
})

const unique = (tasks: ReadonlyArray<TaskView>): ReadonlyArray<TaskView> => [...new Set(tasks)]

const several = (action: Action, reference: { readonly every: boolean }, tasks: ReadonlyArray<TaskView>): Targets => {
  if (!reference.every) return { reply: ask(action, tasks) }
  return action.verb === "delete" ? { reply: confirmation(action, tasks) } : { tasks }
}

const AND = /\s*(?:,\s*(?:and\s+)?|\s+and\s+|\s&\s|\+)\s*/iu

/** "groceries and the report": the tasks that each part names, if there are parts and any of them names one. */
const separately = (words: string, tasks: ReadonlyArray<TaskView>): ReadonlyArray<ReadonlyArray<TaskView>> => {
  const parts = words.split(AND).filter((part) => part !== "")
  const found = parts.map((part) => matchTasks(part, tasks).certain)
  return parts.length > 1 && found.some((part) => part.length > 0) ? found : []
}

const none = (what: string, all: ReadonlyArray<TaskView>): Reply => {
  const shown = open(all)
  return shown.length === 0
    ? reply(`${what} You have no open tasks.`)
    : reply(`${what} Your open tasks are:\n\n${lines(shown)}`, shown)
}

const which = (action: Action, all: ReadonlyArray<TaskView>): Reply => {
  const tasks = likely(action, all)
  return tasks.length === 0 ? none(`There is nothing to ${action.verb}.`, all) : ask(action, tasks)
}

const ask = (action: Action, candidates: ReadonlyArray<TaskView>): Reply => {
  const task = candidates.length === 1 ? candidates[0] : undefined
  const text =
    task === undefined
      ? `Which task do you want to ${action.verb}? Please answer with its number.\n${lines(candidates)}`
      : `Do you mean ${task.id}. ${quote(task.title)}? Say yes, and I'll ${action.verb} it.`
  return reply(text, candidates, { kind: "choose", action, candidates })
}

/** Of several ways to read "change X to Y", the one whose X is a task. */
function* update(turn: Turn, readings: ReadonlyArray<Reading>, field: "title" | "description"): Talk<Reply> {
  const [first] = readings
  if (first === undefined) return reply(WORDS.help)
  const reading = readings.length === 1 ? first : yield* bestReading(turn, readings, first)
  if (!isEmpty(reading.change)) return yield* act(turn, { verb: "update", change: reading.change }, reading.reference)
  const targets = yield* resolve(turn, { verb: "update", change: {} }, reading.reference)
  if ("reply" in targets) return targets.reply
  return wanting(targets.tasks, field)
}

const wanting = (tasks: ReadonlyArray<TaskView>, field: "title" | "description"): Reply => {
  const [task] = tasks
  if (task === undefined || tasks.length > 1)
    return reply("I can only change one task at a time. Which one do you mean?", tasks)
  const what = field === "title" ? `${quote(task.title)} say instead` : `the description of ${quote(task.title)} say`
  return reply(`What should ${what}?`, tasks, { kind: "wording", task, field })
}

function* bestReading(turn: Turn, readings: ReadonlyArray<Reading>, first: Reading): Talk<Reading> {
  const all = yield* allTasks(turn)
  if (!Array.isArray(all)) return first
  const matches = readings.map((reading) => ({ reading, match: titleMatch(reading.reference, all) }))
  return (
    (matches.find(({ match }) => match.certain.length === 1) ?? matches.find(({ match }) => match.certain.length > 1))
      ?.reading ?? first
  )
}

const titleMatch = (reference: Reference, tasks: ReadonlyArray<TaskView>): Match<TaskView> =>
  reference.kind === "title" ? matchTasks(reference.words, tasks) : { certain: [], possible: [], full: false }

/** Does it, and says what the tools answered. */
function* perform(turn: Turn, action: Action, tasks: ReadonlyArray<TaskView>): Talk<Reply> {
  if (action.verb === "find") return reply(details(tasks), tasks)
  if (action.verb === "update" && (tasks.length > 1 || isEmpty(action.change))) return wanting(tasks, "title")
  const wanted = tasks.slice(0, MOST_ACTIONS)
  const outcomes = yield* run(wanted.map((task) => requestFor(action, task)))
  const changed = outcomes.flatMap((outcome, index) => changedBy(outcome, wanted[index] ?? stranger(0)))
  note(turn, action, changed)
  const sentences = [
    ...(changed.length === 0 ? [] : [success(action, changed, wanted)]),
    ...problems(outcomes, (index) => `${action.verb} ${label(wanted[index] ?? stranger(0))}`),
    ...(tasks.length > wanted.length
      ? [`That was all I can do at once: ${tasks.length - wanted.length} are left.`]
      : []),
    ...(action.verb === "complete" && changed.length > 0 ? tally(turn) : [])
  ]
  const said = sentences.join(" ")
  return action.verb === "delete" ? { ...reply(said), deleted: changed } : reply(said, changed)
}

const requestFor = (action: Exclude<Action, { verb: "find" }>, task: TaskView): ToolRequest => {
  const name = `${action.verb}_task`
  if (action.verb !== "update") return { name, arguments: { task_id: task.id } }
  const { description, title, when } = action.change
  const next = when === undefined ? title : withWhen(task.title, when)
  return {
    name,
    arguments: {
      task_id: task.id,
      ...(next === undefined ? {} : { title: next }),
      ...(description === undefined ? {} : { description })
    }
  }
}

const changedBy = (outcome: Outcome, wanted: TaskView): ReadonlyArray<TaskView> =>
  outcome.kind === "done" ? [wanted] : tasksOf(outcome)

const tasksOf = (outcome: Outcome): ReadonlyArray<TaskView> => (outcome.kind === "task" ? [outcome.task] : [])

const note = (turn: Turn, action: Action, changed: ReadonlyArray<TaskView>): void => {
  for (const task of changed) {
    if (action.verb === "delete") turn.known?.delete(task.id)
    else turn.known?.set(task.id, task)
  }
}

const success = (action: Action, changed: ReadonlyArray<TaskView>, before: ReadonlyArray<TaskView>): string => {
  const [task] = changed
  if (action.verb === "update" && task !== undefined) return updated(action.change, task, before[0])
  const names = listed(changed.map(label))
  return action.verb === "delete" ? `I've deleted ${names}.` : `I've marked ${names} as complete.`
}

const updated = (change: Change, task: TaskView, before: TaskView | undefined): string => {
  const old = before?.title ?? ""
  const renamed = change.title !== undefined || change.when !== undefined
  const described = change.description === undefined ? "" : describedAs(task)
  if (!renamed) return `I've updated ${label(task)}: ${described}.`
  const title =
    old === ""
      ? `Task ${task.id} is now called ${quote(task.title)}`
      : `I've renamed ${quote(old)} to ${quote(task.title)}`
  return described === "" ? `${title}.` : `${title}; ${described}.`
}

const describedAs = (task: TaskView): string =>
  typeof task.description === "string" && task.description.trim() !== ""
    ? `its description is now ${quote(task.description)}`
    : "it has no description now"

const tally = (turn: Turn): ReadonlyArray<string> => {
  if (turn.known === undefined || turn.partial) return []
  const tasks = [...turn.known.values()]
  const remaining = open(tasks).length
  return [
    `You now have ${counted(tasks.length - remaining, "completed task")} and ${counted(remaining, "remaining task")}.`
  ]
}

const problems = (outcomes: ReadonlyArray<Outcome>, what: (index: number) => string): ReadonlyArray<string> =>
  outcomes.flatMap((outcome, index) => {
    if (outcome.kind === "failed") return [`I couldn't ${what(index)}: ${errorOf(outcome)}`]
    return outcome.kind === "unclear" || outcome.kind === "tasks"
      ? [`I can't tell whether I managed to ${what(index)}: ${errorOf(outcome)}`]
      : []
  })

const SENTENCE_END = /[.!?]$/u

const errorOf = (outcome: Outcome | undefined): string => {
  const error = outcome?.kind === "failed" ? outcome.error.trim() : ""
  if (error === "") return "the answer made no sense to me."
  return SENTENCE_END.test(error) ? error : `${error}.`
}

/** Runs calls, no more at a time than one answer may ask for. */
function* run(requests: ReadonlyArray<ToolRequest>): Talk<ReadonlyArray<Outcome>> {
  const outcomes: Array<Outcome> = []
  for (let at = 0; at < requests.length; at += MOST_CALLS) {
    outcomes.push(...(yield requests.slice(at, at + MOST_CALLS)))
  }
  return outcomes
}

/* Wording. Titles are quoted and kept to one line, so that none can pass for the assistant's own words. */

const SPACES = /\s+/gu
const LONGEST_QUOTE = 120

const oneLine = (text: string, longest: number): string => {
  const points = Array.from(text.replace(SPACES, " ").trim())
  return points.length <= longest
    ? points.join("")
    : `${points
        .slice(0, longest - 1)
        .join("")
        .trimEnd()}…`
}

const quote = (text: string): string => `'${oneLine(text, LONGEST_QUOTE)}'`

const label = (task: TaskView): string => (task.title === "" ? `task ${task.id}` : quote(task.title))

const lines = (tasks: ReadonlyArray<TaskView>): string => {
  const shown = tasks.slice(0, MOST_SHOWN).map(line)
  const more = tasks.length - shown.length
  return [...shown, ...(more > 0 ? [`… and ${more} more.`] : [])].join("\n")
}

const line = (task: TaskView): string => {
  const description = oneLine(task.description ?? "", LONGEST_QUOTE)
  const title = oneLine(task.title, LONGEST_QUOTE)
  return `${task.id}. ${title} (${task.completed ? "completed" : "incomplete"})${description === "" ? "" : `: ${description}`}`
}

const titles = (tasks: ReadonlyArray<TaskView>): string =>
  tasks
    .slice(0, MOST_SHOWN)
    .map((task) => `- ${oneLine(task.title, LONGEST_QUOTE)}`)
    .join("\n")

const details = (tasks: ReadonlyArray<TaskView>): string =>
  tasks.length === 1 ? `Here it is:\n\n${lines(tasks)}` : `I found ${counted(tasks.length, "task")}:\n\n${lines(tasks)}`

const these = (tasks: ReadonlyArray<TaskView>): string =>
  tasks.length === 1 ? tasks.map(label).join("") : `these ${tasks.length} tasks`

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const listed = (names: ReadonlyArray<string>): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`

/**
 * What can be said of a turn whose steps are not those that the talk would have taken: what the tools answered.
 */
export const account = (steps: ReadonlyArray<{ readonly name: string; readonly outcome: Outcome }>): Reply => {
  const acted = steps.filter(({ outcome }) => outcome.kind !== "tasks")
  const sentences = (acted.length > 0 ? acted : steps.slice(-1)).flatMap(({ name, outcome }) =>
    accountOf(name, outcome)
  )
  const text =
    sentences.length === 0 ? "I couldn't do that here. Nothing on your list was changed." : sentences.join("\n")
  const touched = (deleted: boolean) =>
    steps.flatMap(({ name, outcome }) => ((name === "delete_task") === deleted ? tasksOf(outcome) : []))
  return { ...reply(text, touched(false)), deleted: touched(true) }
}

const DONE_BY: Readonly<Record<string, string>> = {
  add_task: "I've added",
  complete_task: "I've marked as complete:",
  update_task: "I've updated",
  delete_task: "I've deleted"
}

const accountOf = (name: string, outcome: Outcome): ReadonlyArray<string> => {
  const done = Object.hasOwn(DONE_BY, name) ? DONE_BY[name] : undefined
  if (outcome.kind === "failed") return [`${quote(name)} did not work: ${errorOf(outcome)}`]
  if (outcome.kind === "tasks") return [heading(outcome.tasks, "all", outcome.more)]
  if (done === undefined) return []
  if (outcome.kind === "task") return [`${done} ${quote(outcome.task.title)} (task ${outcome.task.id}).`]
  return outcome.kind === "done" ? [`${quote(name)} was done.`] : [`I can't tell whether ${quote(name)} worked.`]
}
