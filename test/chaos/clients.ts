import { Cause, Effect, Option, Schema } from "effect"
import { faults, type ModelRequest, type Reply, replies } from "../support/model-server.ts"
import { type Answer, http } from "../support/service.ts"

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
  /** The answers with 200, all of them. */
  readonly bodies: Array<string>
  /** The answer that says that it failed for good. */
  failure: Answer | undefined
}

/** How the clients behave just now. */
interface Manners {
  /** Milliseconds after which one goes away, its request still running. */
  patience: () => number
  /** Milliseconds before the same is tried again. */
  pause: () => number
  /** Nothing may be seen but answers, refused connections and 503. */
  strict: boolean
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
  working = true
  /** Whether the workers hold back with new messages. */
  resting = false

  constructor(dice: Dice, addresses: () => ReadonlyArray<string>, logs: () => string) {
    this.dice = dice
    this.addresses = addresses
    this.logs = logs
    this.manners = { patience: () => 30_000, pause: () => 50 + dice(300), strict: false }
  }

  /** How many turns are known to be done. */
  answered(): number {
    return this.ledger.reduce((sum, entry) => sum + (entry.bodies.length > 0 ? 1 : 0), 0)
  }

  /** Writes a new message into the ledger. */
  entry(user: ChaosUser, key: string, name: string, conversationId?: string, more = ""): Entry {
    const titles = Array.from({ length: 1 + this.dice(3) }, (_, i) => `chaos-${user.user}-${name}-${i}`)
    const message = `Add ${titles.join(" ")}${more}`
    const entry: Entry = { ...user, key, titles, message, conversationId, bodies: [], failure: undefined }
    this.ledger.push(entry)
    return entry
  }

  /** Asks for some of the shared tasks to be changed, in any order. */
  touch(): string {
    const ids = Array.from({ length: sharedTasks }, (_, i) => i + 1).sort(() => this.dice(3) - 1)
    return ` and then touch ${ids.slice(0, 2 + this.dice(sharedTasks - 1)).join(" ")}`
  }

  /** One request to any instance; nothing where none was reached, or it has not answered. */
  send(entry: Entry): Effect.Effect<Answer | undefined> {
    return Effect.suspend(() => {
      const addresses = this.addresses()
      const address = addresses[this.dice(addresses.length)]
      if (address === undefined) return Effect.undefined
      const body = {
        message: entry.message,
        ...(entry.conversationId !== undefined && { conversation_id: entry.conversationId })
      }
      return http("POST", `${address}/api/v1/users/${entry.user}/chat`, entry.token, body, {
        "idempotency-key": entry.key
      }).pipe(
        Effect.catchCause((cause) => {
          const words = Cause.pretty(cause)
          if (this.manners.strict && !words.includes("ECONNREFUSED")) this.broken.push(`${entry.key}: ${words}`)
          return Effect.undefined
        }),
        Effect.timeoutOrElse({ duration: this.manners.patience(), orElse: () => Effect.undefined })
      )
    })
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
          entry.failure = answer
          return answer.json.conversation_id === undefined ? undefined : String(answer.json.conversation_id)
        }
        const allowed = clients.manners.strict ? [503] : [409, 502, 503]
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

  /** Talks on and on, in one conversation after another, until the work is over. */
  worker(user: ChaosUser, id: number): Effect.Effect<void> {
    const clients = this
    return Effect.gen(function* () {
      let conversation: string | undefined
      for (let n = 0; clients.working; n++) {
        while (clients.resting && clients.working) yield* Effect.sleep("100 millis")
        if (!clients.working) return
        if (clients.dice(8) === 0) conversation = undefined
        const more = clients.dice(25) === 0 ? ` ${refusal}` : clients.dice(4) === 0 ? clients.touch() : ""
        // The users share their keys: each one's are its own.
        const entry = clients.entry(user, `worker-${id}-${n}`, `w${id}-${n}`, conversation, more)
        conversation = yield* clients.untilKnown(entry)
      }
    })
  }
}

/** What a log tells of a failed request: its entry ends with the id, and the cause is before it. */
const linesAbout = (log: string, requestId: string): string => {
  const at = log.indexOf(requestId)
  return at === -1 ? "" : log.slice(Math.max(0, log.lastIndexOf("] ERROR", at) - 13), at)
}
