import { connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** On which side of the server a statement is stopped: not sent to it, or carried out and its answer not sent back. */
export type Side = "before" | "after"

/** What stands between an application and a PostgreSQL: it knows each statement, and can stop at any of them. */
export interface Wire {
  /** Where the application connects instead. */
  readonly port: number
  /**
   * From now on statements are counted, from 1, those apart that timers send; at this one `stop` is told its text, and nothing
   * of its connection is passed on any more, either way.
   */
  readonly arm: (options: {
    readonly at: number
    readonly side: Side
    readonly stop: (statement: string) => void
  }) => void
  /** Counts no more, and stops nothing. */
  readonly disarm: () => void
}

/** What an instance sends by the clock, whatever its turns are at. */
const byTimer = /turns_(?:abandoned|renew|settled|watched)|delete from/

/**
 * Takes a stream apart into messages, by the header that each has: a type, but for the first message of a client, and a length
 * (PostgreSQL's documentation, "Frontend/Backend Protocol", "Message Formats").
 */
const framer = (isTyped: boolean, onMessage: (type: string, body: Buffer, whole: Buffer) => void) => {
  let buffered: Buffer = Buffer.alloc(0)
  let typeLength = isTyped ? 1 : 0
  return (data: Buffer): void => {
    buffered = Buffer.concat([buffered, data])
    while (buffered.length >= typeLength + 4) {
      const end = typeLength + buffered.readInt32BE(typeLength)
      if (buffered.length < end) return
      const whole = buffered.subarray(0, end)
      buffered = buffered.subarray(end)
      onMessage(whole.toString("latin1", 0, typeLength), whole.subarray(typeLength + 4), whole)
      typeLength = 1
    }
  }
}

/** What goes without a Sync behind it: the startup, a password, Flush, Terminate. */
const complete = new Set(["", "p", "H", "X"])

/** The texts that a message consists of, up to so many. */
const texts = (body: Buffer, limit: number): ReadonlyArray<string> => body.toString("utf8").split("\0", limit)

/** One statement on its way: what is sent up to a Sync, and what comes back up to ReadyForQuery. */
interface Cycle {
  readonly statement: string
  readonly stopsAfter: boolean
}

/** Reads which statement a client is about to have executed, prepared before or not. */
const statementReader = () => {
  const prepared = new Map<string, string>()
  let statement = ""
  return (type: string, body: Buffer): string => {
    if (type === "P") {
      const [name = "", text = ""] = texts(body, 2)
      prepared.set(name, text)
    }
    if (type === "B") statement = prepared.get(texts(body, 2)[1] ?? "") ?? ""
    if (type === "Q") statement = texts(body, 1)[0] ?? ""
    return statement
  }
}

/** What a connection asks about its statements, and tells. */
interface Watcher {
  /** Whether the connection stops at this statement, and on which side of the server. */
  readonly count: (statement: string) => Side | undefined
  readonly stop: (statement: string) => void
}

/** Passes one connection on, statement by statement, until it is stopped. */
const join = (client: Socket, server: Socket, watcher: Watcher): void => {
  const read = statementReader()
  const cycles: Array<Cycle> = []
  let unsent: Array<Buffer> = []
  let unanswered: Array<Buffer> = []
  let isReady = false
  let isStopped = false
  const stop = (statement: string) => {
    isStopped = true
    watcher.stop(statement)
  }
  const fromClient = framer(false, (type, body, whole) => {
    if (isStopped) return
    unsent.push(whole)
    const statement = read(type, body)
    if (type === "S" || type === "Q") {
      const side = watcher.count(statement)
      if (side === "before") return stop(statement)
      cycles.push({ statement, stopsAfter: side === "after" })
    } else if (!complete.has(type)) {
      return
    }
    server.write(Buffer.concat(unsent))
    unsent = []
  })
  const fromServer = framer(true, (type, _, whole) => {
    if (isStopped) return
    unanswered.push(whole)
    if (isReady && type !== "Z") return
    const cycle = isReady ? cycles.shift() : undefined
    if (cycle?.stopsAfter === true) return stop(cycle.statement)
    isReady ||= type === "Z"
    client.write(Buffer.concat(unanswered))
    unanswered = []
  })
  client.on("data", fromClient)
  server.on("data", fromServer)
}

/** A wire to the server on this port of 127.0.0.1; it is cut with the scope. */
export const makeWire = (target: number): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly wire: Wire; readonly close: () => void }>((resume) => {
        const sockets = new Set<Socket>()
        let armed: Parameters<Wire["arm"]>[0] | undefined
        let seen = 0
        const watcher: Watcher = {
          count: (statement) => {
            if (armed === undefined || byTimer.test(statement)) return undefined
            seen++
            return seen === armed.at ? armed.side : undefined
          },
          stop: (statement) => armed?.stop(statement)
        }
        const listener = createServer({ noDelay: true }, (client) => {
          const server = connect({ port: target, host: "127.0.0.1", noDelay: true })
          for (const [one, other] of [
            [client, server],
            [server, client]
          ] as const) {
            sockets.add(one)
            one.on("error", () => undefined)
            one.on("close", () => {
              sockets.delete(one)
              other.destroy()
            })
          }
          join(client, server, watcher)
        })
        listener.listen(0, "127.0.0.1", () => {
          const address = listener.address()
          const wire: Wire = {
            port: typeof address === "object" && address !== null ? address.port : 0,
            arm: (options) => {
              seen = 0
              armed = options
            },
            disarm: () => {
              armed = undefined
            }
          }
          const close = () => {
            listener.close()
            for (const socket of sockets) socket.destroy()
          }
          resume(Effect.succeed({ wire, close }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ wire }) => wire
  )
