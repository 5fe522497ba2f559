import { connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** What goes wrong on one connection. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** Milliseconds by which everything is late. */
  late: number
  /** Nothing arrives any more, and nobody is told. */
  hole: boolean
}

/** A network between clients and a server on 127.0.0.1, on which everything can go wrong. */
export interface Network {
  /** Where clients connect instead. */
  readonly port: number
  /** The connections there are. */
  readonly links: ReadonlySet<Link>
  /** Swallows all that comes, on new connections too, until it is set back. */
  partition: boolean
  /** So many of the server's next answers that hold these bytes are not passed on: both sides are cut off instead. */
  readonly cut: (bytes: string, times: number) => void
  /** How many cuts are still to come. */
  readonly cutsLeft: () => number
  readonly reset: (link: Link) => void
}

/** A network in front of a server; it ends with the scope. */
export const makeNetwork = (target: number): Effect.Effect<Network, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly network: Network; readonly close: () => void }>((resume) => {
      const links = new Set<Link>()
      let wanted = ""
      let cuts = 0
      const reset = (link: Link) => {
        for (const socket of [link.client, link.server]) {
          if (!socket.destroyed) socket.resetAndDestroy()
        }
      }
      const listener = createServer({ noDelay: true }, (client) => {
        const server = connect({ port: target, host: "127.0.0.1", noDelay: true })
        const link: Link = { client, server, late: 0, hole: false }
        links.add(link)
        pass(link, client, server, () => false)
        pass(link, server, client, (data) => {
          if (cuts === 0 || !data.includes(wanted)) return false
          cuts--
          reset(link)
          return true
        })
      })
      const pass = (link: Link, from: Socket, to: Socket, intercept: (data: Buffer) => boolean) => {
        let last = 0
        const later = (act: () => void) => {
          if (link.late === 0 && last <= performance.now()) return act()
          last = Math.max(last, performance.now() + link.late)
          // @effect-diagnostics-next-line globalTimers:off -- outside of any fiber
          setTimeout(act, last - performance.now())
        }
        from.on("data", (data: Buffer) => {
          if (link.hole || network.partition || intercept(data)) return
          later(() => void (to.writable && to.write(data)))
        })
        // Through a hole the other side does not even learn that one is gone.
        from.on("end", () => later(() => void (link.hole || to.end())))
        from.on("error", () => later(() => void (link.hole || to.destroy())))
        from.on("close", () => {
          links.delete(link)
          if (!link.hole) later(() => to.destroy())
        })
      }
      const network = {
        port: 0,
        links,
        partition: false,
        reset,
        cut: (bytes: string, times: number) => {
          wanted = bytes
          cuts = times
        },
        cutsLeft: () => cuts
      }
      listener.listen(0, "127.0.0.1", () => {
        const address = listener.address()
        network.port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          listener.close()
          links.forEach(reset)
        }
        resume(Effect.succeed({ network, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ network }) => network))
