import { connect, createServer, type Socket } from "node:net"

/** Counts what is said to PostgreSQL. */
export interface Wire {
  readonly url: string
  /** Statements that were carried out since the start. */
  readonly statements: () => number
  /** How often something was sent on a connection on which nothing was waited for: one client's round trips. */
  readonly roundTrips: () => number
  readonly close: () => void
}

const bind = 0x42
const query = 0x51
const readyForQuery = 0x5a
const sync = 0x53

/** Calls back for each message of a stream: a type, four bytes of length, and the rest. The first of a frontend has no type. */
const messages = (isFrontend: boolean, each: (type: number) => void) => {
  let rest = Buffer.alloc(0)
  let startup = isFrontend
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 5) {
      const header = startup ? 0 : 1
      const length = rest.readInt32BE(header) + header
      if (rest.length < length) return
      if (!startup) each(rest[0] ?? 0)
      startup = false
      rest = rest.subarray(length)
    }
  }
}

/** A proxy in front of PostgreSQL, without TLS. */
export const startWire = async (databaseUrl: string): Promise<Wire> => {
  const target = new URL(databaseUrl)
  let statements = 0
  let roundTrips = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    let waiting = 0
    const ask = messages(true, (type) => {
      if (type === bind || type === query) statements++
      if (type !== sync && type !== query) return
      if (waiting === 0) roundTrips++
      waiting++
    })
    const answer = messages(false, (type) => {
      if (type === readyForQuery) waiting = Math.max(0, waiting - 1)
    })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => socket.destroy())
    }
    client.on("data", (chunk) => {
      ask(chunk)
      upstream.write(chunk)
    })
    upstream.on("data", (chunk) => {
      answer(chunk)
      client.write(chunk)
    })
    client.on("close", () => upstream.destroy())
    upstream.on("close", () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const url = new URL(databaseUrl)
  url.port = String(typeof address === "object" && address !== null ? address.port : 0)
  return {
    url: url.href,
    statements: () => statements,
    roundTrips: () => roundTrips,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }
}
