import { Cause, Effect, Option, Schema } from "effect"
import { shuttingDownWords } from "../../src/adapters/http/Problems.ts"
import { faults, type ModelRequest, type Reply, replies } from "../support/model-server.ts"
import { type Answer, http } from "../support/service.ts"
import { isStream, resumedWrongly, someEvent, toldByEvents } from "./watched.ts"

/** A user, and what gives access as that user. */
export interface ChaosUser {
  readonly user: string
  readonly token: string
}

/** One message: what was sent, and what is known of it. */
export interface Entry extends ChaosUser {
  readonly key: string
  readonly titles: ReadonlyArray<string>
  readonly message: string
  readonly conversationId: string | undefined
  /** The numbers of the shared tasks that are to be changed. */
  readonly touched: ReadonlyArray<number>
  /** Whether the model is to refuse it. */
  readonly refused: boolean
  /** Whether others are sent to the same conversation at once, so that one that fails may be closed by a newer one. */
  readonly contended: boolean
  /** The answers with 200, all of them. */
  readonly bodies: Array<string>
  /** The answers that say that it failed for good, all of them, but for their request ids. */
  readonly failures: Array<string>
}

/** How the clients behave just now. */
interface Manners {
  /** Milliseconds after which one goes away, its request still running. */
  patience: () => number
  /** Milliseconds before the same is tried again. */
  pause: () => number
  /** Nothing may be seen but answers, refused connections and 503. */
  strict: boolean
  /** Whether instances die, so that a turn may be given up after its third. */
  deadly: boolean
}

/** A whole number from 0, below the bound, by the seed. */
export type Dice = (bound: number) => number

export const diceOf = (seed: number): Dice => {
  let state = seed
  return (bound) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((state ^ (state >>> 13)) >>> 0) % bound
  }
}

const refusal = "and then refuse"
const touching = /and then touch ((?:\d+ ?)+)/

/** How many tasks each user has from the start, with the numbers from 1, which messages may change. */
export const sharedTasks = 4
const decodeTalk = Schema.decodeUnknownOption(
  Schema.Struct({
    messages: Schema.Array(
      Schema.Struct({ role: Schema.String, content: Schema.optionalKey(Schema.NullOr(Schema.String)) })
    )
  })
)

/**
 * The model: it adds the tasks that the last message names, in one or more steps, changes those that it names by number,
 * in the message's order, and then says so.
 */
export const modelReply = (request: ModelRequest, dice: Dice): Reply => {
  const talk = Option.match(decodeTalk(request.body), { onNone: () => [], onSome: ({ messages }) => messages })
  const asked = talk.findLastIndex((message) => message.role === "user")
  const content = talk[asked]?.content ?? ""
  const titles = [...content.matchAll(/\bchaos-[\w-]+/g)].map(([title]) => title)
  const done = talk.slice(asked).filter((message) => message.role === "tool").length
  const missing = titles.slice(done)
  if (missing.length > 0) {
    const calls = missing.slice(0, 1 + dice(missing.length))
    return replies.calls(calls.map((title) => ({ name: "add_task", arguments: { title } })))
  }
  const touched = touching.exec(content)?.[1]?.trim().split(" ") ?? []
  if (touched.length > 0 && done === titles.length) {
    const description = `touched by ${titles[0]}`
    return replies.calls(
      touched.map((id) => ({ name: "update_task", arguments: { task_id: Number(id), description } }))
    )
  }
  return content.includes(refusal) ? faults.contentPolicy : replies.text(`Added ${titles.join(" ")}`)
}

/** What a model does wrong now and then, and what is cured by asking again. */
export const passingFaults: ReadonlyArray<Reply> = [
  faults.serverError,
  faults.badGateway,
  faults.overloaded(),
  faults.html,
  faults.badJson,
  faults.noChoices,
  faults.cutBeforeHeaders,
  faults.reset,
  faults.cutWithinBody
]

/** Clients of one service: they retry until they know, and write down all that was sent and acknowledged. */
export class Clients {
  readonly ledger: Array<Entry> = []
  /** What should not have been seen. */
  readonly broken: Array<string> = []
  readonly manners: Manners
  readonly dice: Dice
  /** The addresses that a request may go to. */
  readonly addresses: () => ReadonlyArray<string>
  /** What the services have printed, for the cause of an answer that should not have been. */
  readonly logs: () => string
  /** How many answers came as streams of events. */
  watched = 0
  /** How many of these were asked for again from some place on. */
  resumed = 0
  working = true
  /** The addresses of instances that have said that they are shutting down. */
  private readonly leaving = new Set<string>()
  /** Whether the workers hold back with new messages. */
  resting = false

  constructor(dice: Dice, addresses: () => ReadonlyArray<string>, logs: () => string) {
    this.dice = dice
    this.addresses = addresses
    this.logs = logs
    this.manners = { patience: () => 30_000, pause: () => 50 + dice(300), strict: false, deadly: false }
  }

  /** How many turns are known to be done. */
  answered(): number {
    return this.ledger.reduce((sum, entry) => sum + (entry.bodies.length > 0 ? 1 : 0), 0)
  }

  /** Writes a new message into the ledger. */
  entry(user: ChaosUser, key: string, name: string, conversationId?: string, contended = false): Entry {
    const titles = Array.from({ length: 1 + this.dice(3) }, (_, i) => `chaos-${user.user}-${name}-${i}`)
    const special = name.startsWith("w") ? this.dice(25) : -1
    const touched = special > 0 && special < 7 ? this.someShared() : []
    const entry: Entry = {
      ...user,
      key,
      titles,
      message: `Add ${titles.join(" ")}${touched.length > 0 ? ` and then touch ${touched.join(" ")}` : ""}${
        special === 0 ? ` ${refusal}` : ""
      }`,
      conversationId,
      touched,
      refused: special === 0,
      contended,
      bodies: [],
      failures: []
    }
    this.ledger.push(entry)
    return entry
  }

  /** Some of the shared tasks, in any order. */
  private someShared(): ReadonlyArray<number> {
    const ids = Array.from({ length: sharedTasks }, (_, i) => i + 1).sort(() => this.dice(3) - 1)
    return ids.slice(0, 2 + this.dice(sharedTasks - 1))
  }

  /**
   * One request to any instance; nothing where none was reached, or it has not answered. As balancers do, it sends no
   * more to an instance that has answered that it is shutting down.
   */
  send(entry: Entry, patience = this.manners.patience()): Effect.Effect<Answer | undefined> {
    return Effect.suspend(() => {
      const addresses = this.addresses().filter((address) => !this.leaving.has(address))
      const address = addresses[this.dice(addresses.length)]
      if (address === undefined) return Effect.undefined
      const { strict } = this.manners
      const body = {
        message: entry.message,
        ...(entry.conversationId !== undefined && { conversation_id: entry.conversationId })
      }
      return http("POST", `${address}/api/v1/users/${entry.user}/chat`, entry.token, body, {
        "idempotency-key": entry.key,
        // Every third request watches.
        ...(this.dice(3) === 0 && { accept: "text/event-stream" })
      }).pipe(
        Effect.flatMap((received) => {
          const answer = this.told(entry, received)
          return answer?.status === 200 && isStream(received) && this.dice(4) === 0
            ? Effect.as(this.resume(entry, received.text, String(answer.json.turn_id)), answer)
            : Effect.succeed(answer)
        }),
        Effect.tap((answer) =>
          Effect.sync(() => {
            if (answer?.status === 503 && answer.json.detail === shuttingDownWords) this.leaving.add(address)
          })
        ),
        Effect.catchCause((cause) => {
          const words = Cause.pretty(cause)
          if (strict && !/connect ECONN(REFUSED|RESET)/.test(words)) this.broken.push(`${entry.key}: ${words}`)
          return Effect.undefined
        }),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () =>
            Effect.sync(() => {
              if (strict) this.broken.push(`${entry.key} of ${entry.user} was not answered in ${patience} ms`)
              return undefined
            })
        })
      )
    })
  }

  /** Asks any instance for what came behind some event, as if the connection had been lost there. */
  private resume(entry: Entry, text: string, turnId: string): Effect.Effect<void> {
    const after = someEvent(text, this.dice)
    const addresses = this.addresses()
    const address = addresses[this.dice(addresses.length)]
    if (after === undefined || address === undefined) return Effect.void
    const url = `${address}/api/v1/users/${entry.user}/turns/${turnId}/events`
    return http("GET", url, entry.token, undefined, { "last-event-id": after }).pipe(
      Effect.tap((resumed) => {
        const breach = resumedWrongly(text, after, resumed)
        if (breach !== undefined) this.broken.push(`${entry.key} of ${entry.user} was ${breach}`)
        if (isStream(resumed)) this.resumed++
        return Effect.void
      }),
      Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.void }),
      Effect.ignoreCause
    )
  }

  /** What an answer says, be it as a stream of events; nothing where that was cut. */
  private told(entry: Entry, received: Answer): Answer | undefined {
    const { answer, breach } = toldByEvents(received)
    if (breach !== undefined) this.broken.push(`${entry.key} of ${entry.user} was ${breach}`)
    if (received.json === undefined) this.watched++
    if (answer === undefined && this.manners.strict) {
      this.broken.push(`${entry.key} of ${entry.user} was shown half: ${received.text}`)
    }
    return answer
  }

  /** Sends the message until it is known what has become of it; answers the conversation. */
  untilKnown(entry: Entry): Effect.Effect<string | undefined> {
    const clients = this
    return Effect.gen(function* () {
      const end = performance.now() + 300_000
      while (performance.now() < end) {
        const answer = yield* clients.send(entry)
        if (answer?.status === 200) {
          entry.bodies.push(answer.text)
          return String(answer.json.conversation_id)
        }
        if (answer?.status === 502 && answer.json.retryable === false) {
          clients.failed(entry, answer)
          return answer.json.conversation_id === undefined ? undefined : String(answer.json.conversation_id)
        }
        // 408: the request lay before a frozen instance for too long, and was not read.
        const allowed = clients.manners.strict ? [503] : [408, 409, 502, 503]
        if (answer !== undefined && !allowed.includes(answer.status)) {
          const log = linesAbout(clients.logs(), String(answer.json.request_id))
          clients.broken.push(`${entry.key} of ${entry.user} was answered ${answer.status}: ${answer.text}\n${log}`)
          return undefined
        }
        yield* Effect.sleep(clients.manners.pause())
      }
      clients.broken.push(`${entry.key} of ${entry.user} came to no end in five minutes`)
      return undefined
    })
  }

  /** Writes down that it failed for good, which few things may. */
  private failed(entry: Entry, { json, text }: Answer): void {
    const detail = String(json.detail)
    const expected = entry.refused
      ? detail.includes("refused the message") || (this.manners.deadly && detail.includes("attempted too often"))
      : (entry.contended && json.error.code === "model_failed") ||
        (this.manners.deadly && detail.includes("attempted too often"))
    // A failure that was seen once may be seen again at any time.
    if (!expected && entry.failures.length === 0) this.broken.push(`${entry.key} of ${entry.user} failed: ${text}`)
    const { request_id: _, ...stored } = json
    entry.failures.push(JSON.stringify(stored))
  }

  /** Goes away for good, soon, and mostly never learns what has become of the message. */
  private sendOnce(entry: Entry): Effect.Effect<undefined> {
    return Effect.map(this.send(entry, this.dice(300)), (answer) => {
      if (answer?.status === 200) entry.bodies.push(answer.text)
      return undefined
    })
  }

  /** Talks on and on, in one conversation after another, until the work is over. */
  worker(user: ChaosUser, id: number): Effect.Effect<void> {
    const clients = this
    return Effect.gen(function* () {
      let conversation: string | undefined
      for (let n = 0; clients.working; n++) {
        while (clients.resting && clients.working) yield* Effect.sleep("100 millis")
        if (!clients.working) return
        if (clients.dice(8) === 0) conversation = undefined
        // The users share their keys: each one's are its own.
        const entry = clients.entry(user, `worker-${id}-${n}`, `w${id}-${n}`, conversation)
        conversation = yield* !clients.manners.strict && clients.dice(20) === 0
          ? clients.sendOnce(entry)
          : clients.untilKnown(entry)
      }
    })
  }
}

/** What a log tells of a failed request: its entry ends with the id, and the cause is before it. */
const linesAbout = (log: string, requestId: string): string => {
  const at = log.indexOf(requestId)
  return at === -1 ? "" : log.slice(Math.max(0, log.lastIndexOf("] ERROR", at) - 13), at)
}
