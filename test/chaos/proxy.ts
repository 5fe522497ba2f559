import { connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** One connection through the network, and what goes wrong on it. */
interface Link {
  /** Milliseconds by which everything is late from now on. */
  late: number
  /** From now on nothing arrives any more, and nobody is told. */
  readonly fallSilent: () => void
  /** Both sides are told that the connection is broken. */
  readonly reset: () => void
}

/** A network between clients and a server on 127.0.0.1, on which everything can go wrong that can go wrong with TCP. */
export interface Network {
  /** Where clients connect instead. */
  readonly port: number
  /** The connections there are. */
  readonly links: ReadonlySet<Link>
  /** Nothing arrives, on new connections either, until it is healed; then all of it does, as TCP sends it again. */
  readonly partition: () => void
  readonly heal: () => void
  /** So many of the server's next answers that hold these bytes are not passed on: both sides are cut off instead. */
  readonly cut: (bytes: string, times: number) => void
  /** How many cuts are still to come. */
  readonly cutsLeft: () => number
}

/** What is on its way in one direction, in order. */
class Direction {
  private readonly queue: Array<{ readonly at: number; readonly act: () => void }> = []
  private timer: NodeJS.Timeout | undefined
  private readonly held: () => boolean

  constructor(held: () => boolean) {
    this.held = held
  }

  send(late: number, act: () => void): void {
    this.queue.push({ at: Math.max(this.queue.at(-1)?.at ?? 0, performance.now() + late), act })
    this.pump()
  }

  pump(): void {
    if (this.held()) return
    clearTimeout(this.timer)
    while (true) {
      const [head] = this.queue
      if (head === undefined) return
      const wait = head.at - performance.now()
      if (wait > 0) {
        // @effect-diagnostics-next-line globalTimers:off -- outside of any fiber
        this.timer = setTimeout(() => this.pump(), Math.ceil(wait))
        return
      }
      this.queue.shift()
      head.act()
    }
  }
}

/** How long the far end of a silent connection stays when the near one has gone, in milliseconds. */
const lingerMillis = 2000

/** A network in front of a server; it ends with the scope. */
export const makeNetwork = (target: number): Effect.Effect<Network, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly network: Network; readonly close: () => void }>((resume) => {
      const links = new Set<Link>()
      const directions = new Set<Direction>()
      let partitioned = false
      let wanted = ""
      let cuts = 0

      const join = (client: Socket, server: Socket) => {
        let silent = false
        const link: Link = {
          late: 0,
          fallSilent: () => {
            silent = true
          },
          reset: () => {
            for (const socket of [client, server]) if (!socket.destroyed) socket.resetAndDestroy()
          }
        }
        links.add(link)
        const pass = (from: Socket, to: Socket, intercept: (data: Buffer) => boolean) => {
          const direction = new Direction(() => silent || partitioned)
          directions.add(direction)
          from.on("data", (data: Buffer) => {
            if (intercept(data)) return
            direction.send(link.late, () => void (to.writable && to.write(data)))
          })
          from.on("end", () => direction.send(link.late, () => to.end()))
          from.on("error", () => undefined)
          from.on("close", () => {
            links.delete(link)
            direction.send(link.late, () => to.destroy())
            // @effect-diagnostics-next-line globalTimers:off -- outside of any fiber
            setTimeout(() => {
              if (silent) to.destroy()
              directions.delete(direction)
            }, lingerMillis)
          })
        }
        pass(client, server, () => false)
        pass(server, client, (data) => {
          if (cuts === 0 || silent || partitioned || !data.includes(wanted)) return false
          cuts--
          link.reset()
          return true
        })
      }

      const listener = createServer({ noDelay: true }, (client) => {
        join(client, connect({ port: target, host: "127.0.0.1", noDelay: true }))
      })
      listener.listen(0, "127.0.0.1", () => {
        const address = listener.address()
        const network: Network = {
          port: typeof address === "object" && address !== null ? address.port : 0,
          links,
          partition: () => {
            partitioned = true
          },
          heal: () => {
            partitioned = false
            for (const direction of directions) direction.pump()
          },
          cut: (bytes, times) => {
            wanted = bytes
            cuts = times
          },
          cutsLeft: () => cuts
        }
        const close = () => {
          listener.close()
          for (const link of links) link.reset()
        }
        resume(Effect.succeed({ network, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ network }) => network))
