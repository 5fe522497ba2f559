import { Cause, Effect, Option, Schema } from "effect"
import { toPromptMessages } from "../domain/History.ts"
import type { ConversationId, TurnId } from "../domain/model/Conversation.ts"
import type { Task } from "../domain/model/Task.ts"
import { type IdempotencyKey, TurnReply } from "../domain/model/Turn.ts"
import type { User, UserId } from "../domain/model/User.ts"
import type { EventPlace, TurnEvent } from "../domain/TurnEvents.ts"
import { leaseMillis } from "../domain/TurnPolicy.ts"
import type { ConversationRepo, HistoryStep, StoredCall, StoredMessage, StoredTurn } from "../ports/ConversationRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import { invalidRequest } from "./InvalidRequest.ts"

/** What a client has written down. */
export interface Ledger {
  readonly user: User
  /** Its name, which stands in all that it asks for. */
  readonly name: string
  readonly sent: Array<{
    readonly key: IdempotencyKey
    readonly text: string
    readonly conversationId: Option.Option<ConversationId>
    /** Every answer of 200 that it got. */
    readonly bodies: Array<string>
    /** How it ended, as far as the client knows; it may also have lost its patience with a turn that failed. */
    ended: "completed" | "failed" | "abandoned" | "given up" | undefined
    /** What it sees of the turn, if it follows it. */
    readonly screen: Screen
    /** What it saw that its answer does not bear out. */
    readonly unseen: Array<string>
  }>
}

/** What somebody sees who has been told some events of a turn, and nothing else; and how far that was. */
export interface Screen {
  turnId: TurnId | undefined
  place: EventPlace | undefined
  text: string
  /** The calls of the steps that are done, and those since then. */
  calls: Array<string>
  step: Array<string>
}

/** Shows one more event. */
export const show = (screen: Screen, event: TurnEvent): void => {
  screen.place = event
  switch (event._tag) {
    case "Begun":
      screen.text = ""
      screen.calls = []
      screen.step = []
      break
    case "Text":
      screen.text += event.text
      break
    case "StepDone":
      screen.calls.push(...screen.step)
      screen.text = ""
      screen.step = []
      break
    case "Restarted":
      screen.text = ""
      screen.step = []
      break
    case "ToolCallDone":
      screen.step.push(event.call.id)
      break
    default:
      break
  }
}

/** What of a screen its answer does not bear out. */
export const misled = ({ calls, text }: Screen, body: string): ReadonlyArray<string> => {
  const reply = decodeReply(body)
  const told = reply.toolCalls.map(({ id }) => id)
  return [
    ...(text === reply.message ? [] : [`"${text}" was shown, and answered "${reply.message}"`]),
    ...(JSON.stringify(calls) === JSON.stringify(told)
      ? []
      : [`${calls.join()} were shown, and answered ${told.join()}`])
  ]
}

const decodeReply = Schema.decodeUnknownSync(Schema.fromJsonString(TurnReply))
const decodeArguments = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ title: Schema.String })))

/** What a store has to tell of a user. */
interface Stored {
  readonly conversations: ReadonlyMap<ConversationId, StoredConversation>
  readonly tasks: ReadonlyArray<Task>
}

interface StoredConversation {
  readonly id: ConversationId
  readonly messages: ReadonlyArray<StoredMessage>
  readonly turns: ReadonlyMap<TurnId, StoredTurn>
  readonly steps: ReadonlyArray<HistoryStep>
  readonly calls: ReadonlyArray<StoredCall>
}

/** A store and what has arrived outside of it, by the keys of the calls. */
interface Seen {
  readonly repo: ConversationRepo["Service"]
  readonly tools: TaskTools["Service"]
  readonly sent: ReadonlySet<string>
}

/** Everything that must hold when all is over; each breach in words. */
export const check = (
  ledgers: ReadonlyArray<Ledger>,
  { repo, sent, tools }: Seen
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const abandoned = yield* repo.abandoned(100, leaseMillis)
    const users = new Map<UserId, Stored>()
    for (const { user } of ledgers) {
      if (!users.has(user.id)) users.set(user.id, yield* read(repo, tools, user.id))
    }
    return [
      ...abandoned.map(({ turnId }) => `the turn ${turnId} runs past its lease`),
      ...[...users].flatMap(([userId, stored]) => checkUser(userId, stored)),
      ...[...users.values()].flatMap((stored) => checkSent(stored, sent)),
      ...ledgers.flatMap((ledger) => checkLedger(ledger, users.get(ledger.user.id)))
    ]
  }).pipe(
    // Nothing goes wrong any more: a store that cannot be read now is wrong itself.
    Effect.catchCause((cause) => Effect.succeed([`the store could not be read: ${Cause.pretty(cause)}`]))
  )

const most = 200

const read = Effect.fnUntraced(function* (
  repo: ConversationRepo["Service"],
  tools: TaskTools["Service"],
  userId: UserId
) {
  const listed = yield* repo.list(userId, { limit: most, after: Option.none() })
  const tasks = yield* tools.list(userId, { status: "all", limit: most, after: Option.none() })
  const conversations = yield* Effect.forEach(listed.items, ({ id }) => readConversation(repo, userId, id))
  return { conversations: new Map(conversations.map((row) => [row.id, row])), tasks: tasks.items }
})

const readConversation = Effect.fnUntraced(function* (
  repo: ConversationRepo["Service"],
  userId: UserId,
  id: ConversationId
) {
  const { items: messages } = yield* repo.messages(userId, id, { limit: most, order: "asc", after: Option.none() })
  const said = messages.filter(({ role }) => role === "user")
  const turns = yield* Effect.forEach(said, ({ turnId }) => repo.turn(userId, turnId))
  return {
    id,
    messages,
    turns: new Map(turns.map((turn) => [turn.turnId, turn])),
    steps: turns.flatMap((turn, i) =>
      turn.steps.map(({ content }, step) => ({ seq: said[i]?.seq ?? 0, step: step + 1, content }))
    ),
    calls: turns.flatMap((turn) => turn.calls)
  }
})

const checkUser = (userId: UserId, state: Stored): ReadonlyArray<string> => {
  const conversations = [...state.conversations.values()]
  const added = conversations
    .flatMap((conversation) => conversation.calls)
    .filter((call) => call.toolName === "add_task" && call.status === "success")
    .map((call) => decodeArguments(call.arguments).title)
    .toSorted()
  const titles = state.tasks.map((task) => task.title).toSorted()
  return [
    ...(JSON.stringify(added) === JSON.stringify(titles)
      ? []
      : [`${userId} has tasks ${titles.join(" ")} by calls ${added.join(" ")}`]),
    ...titles.filter((title, i) => titles.indexOf(title) !== i).map((title) => `${userId} has the task ${title} twice`),
    ...titles.filter((title) => !title.startsWith(userId)).map((title) => `${userId} has someone else's task ${title}`),
    ...conversations.flatMap((conversation) => checkConversation(userId, conversation))
  ]
}

/** What is said to have been done outside has arrived there, under the key of just that call. */
const checkSent = (state: Stored, sent: ReadonlySet<string>): ReadonlyArray<string> =>
  [...state.conversations.values()].flatMap((conversation) =>
    conversation.calls
      .filter((call) => call.toolName === "send" && call.status === "success")
      .map((call) => {
        const turnId = conversation.messages.find((message) => message.seq === call.seq)?.turnId
        return `${turnId}:${call.step}:${call.position}`
      })
      .filter((key) => !sent.has(key))
      .map((key) => `${key} is said to have been sent, and was not`)
  )

const checkConversation = (userId: UserId, row: StoredConversation): ReadonlyArray<string> => {
  const where = `the conversation ${row.id} of ${userId}`
  const prompt = {
    model: "gpt-4",
    messages: [
      { role: "system", content: "s" },
      ...toPromptMessages(
        {
          messages: [...row.messages, { seq: row.messages.length + 1, role: "user", content: "and now" }],
          steps: row.steps,
          calls: row.calls
        },
        row.messages.length + 1,
        { tokens: 1_000_000, halved: false }
      ).map((message) => {
        if (message.role === "tool") return { role: "tool", tool_call_id: message.toolCallId, content: message.content }
        if (message.role === "user" || message.toolCalls.length === 0) {
          return { role: message.role, content: message.content }
        }
        return {
          role: "assistant",
          content: message.content === "" ? null : message.content,
          tool_calls: message.toolCalls.map((call) => ({
            id: call.id,
            type: "function",
            function: { name: call.name, arguments: call.arguments }
          }))
        }
      })
    ]
  }
  const invalid = invalidRequest(prompt)
  return [
    ...row.messages.flatMap((message, i) =>
      message.seq === i + 1 ? [] : [`${where} has a gap before ${message.seq}`]
    ),
    ...row.messages.flatMap((message, i) =>
      message.role === "user" || row.messages[i - 1]?.turnId === message.turnId
        ? []
        : [`${where} has a reply without its message`]
    ),
    ...row.messages.flatMap((message) => {
      const said = row.messages.filter((other) => other.turnId === message.turnId)
      const status = row.turns.get(message.turnId)?.status
      return said.length === (status === "completed" || status === "stopped" ? 2 : 1)
        ? []
        : [`${where} has ${said.length} messages of ${message.turnId}`]
    }),
    ...(invalid === undefined ? [] : [`${where} makes no prompt: ${invalid}`])
  ]
}

const checkLedger = (ledger: Ledger, state: Stored | undefined): ReadonlyArray<string> => {
  const messages = [...(state?.conversations.values() ?? [])].flatMap((conversation) => conversation.messages)
  const titles = (state?.tasks ?? []).map((task) => task.title)
  const seen = new Map<ConversationId, number>()
  const disorder: Array<string> = []
  const violations = ledger.sent.flatMap((entry): ReadonlyArray<string> => {
    const said = messages.filter((message) => message.role === "user" && message.content === entry.text)
    const [body] = entry.bodies
    if (entry.unseen.length > 0) return entry.unseen.map((what) => `${entry.text}: ${what}`)
    if (said.length > 1) return [`${entry.text} was said ${said.length} times`]
    if (new Set(entry.bodies).size > 1) return [`${entry.text} was answered in ${entry.bodies.length} ways`]
    if (body === undefined) return []
    const reply = decodeReply(body)
    const seq = said[0]?.seq
    if (seq === undefined) return [`${entry.text} was answered, and never said`]
    if (seq <= (seen.get(reply.conversationId) ?? 0)) disorder.push(`${ledger.name} saw another order`)
    seen.set(reply.conversationId, seq)
    const stored = state?.conversations.get(reply.conversationId)
    const calls = (stored?.calls ?? []).filter((call) => call.seq === seq).map((call) => call.id)
    return [
      ...checkReply(entry.text, reply, titles),
      ...(stored?.messages.some((row) => row.id === reply.messageId && row.content === reply.message) === true
        ? []
        : [`${entry.text} was answered with what is not stored`]),
      ...(JSON.stringify(calls) === JSON.stringify(reply.toolCalls.map((call) => call.id))
        ? []
        : [`${entry.text} was answered with other calls than those that are stored`])
    ]
  })
  return [...violations, ...disorder]
}

const betweenTitles = /[ |]/

/** Whether a reply says what was done: all of what was asked for, unless it was stopped. */
const checkReply = (text: string, reply: TurnReply, titles: ReadonlyArray<string>): ReadonlyArray<string> => {
  const whole = `Added ${text} `
  if (reply.stopped === true) {
    return whole.startsWith(reply.message.trim().slice(0, whole.length))
      ? []
      : [`${text} was stopped at ${reply.message}`]
  }
  const wanted = text.split(betweenTitles)
  const told = reply.toolCalls.filter((call) => call.toolName === "add_task" && call.status === "success")
  return [
    ...wanted.filter((title) => !titles.includes(title)).map((title) => `${title} was answered, and is not there`),
    ...(told.length === wanted.length ? [] : [`${text} was answered with ${told.length} calls`]),
    ...(reply.message.startsWith(whole) ? [] : [`${text} was answered ${reply.message}`])
  ]
}
