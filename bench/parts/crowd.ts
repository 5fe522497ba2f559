import { Agent, request } from "undici"
import type { Context } from "../context.ts"
import { quantile } from "../load.ts"
import { startServer } from "../process.ts"
import { absoluteRow } from "../report.ts"
import { conversationOf, prepareTurnkeeper, seedTurnkeeper, tokenOf, userOf } from "../seed.ts"

/** Many turns at once while the model takes two seconds, on a pool of ten connections; and reads meanwhile. */
export const crowd = async (context: Context, turns: number) => {
  const url = await context.database("crowd")
  const users = 500
  await prepareTurnkeeper(url, users)
  const model = await startServer("bench/model.ts", { MODEL_DELAY: "2000" })
  const server = await context.startTurnkeeper(url, { OPENAI_BASE_URL: `${model.url}/v1` })
  await seedTurnkeeper(url, { users, conversations: turns, messages: 4 })
  const minutes = 120_000
  const dispatcher = new Agent({
    connections: null,
    pipelining: 1,
    headersTimeout: minutes,
    bodyTimeout: minutes,
    connect: { timeout: minutes }
  })
  const ask = async (n: number): Promise<boolean> => {
    const { body, statusCode } = await request(`${server.url}/api/v1/users/${userOf(n % users)}/chat`, {
      method: "POST",
      dispatcher,
      headers: { authorization: `Bearer ${tokenOf(n % users)}`, "content-type": "application/json" },
      body: JSON.stringify({ message: "Add a task to buy groceries", conversation_id: conversationOf(n) })
    })
    const text = await body.text()
    if (statusCode !== 200) process.stderr.write(`${statusCode} ${text}\n`)
    return statusCode === 200
  }
  const warm = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)))
  const idle = server.residentMiB()

  const begun = performance.now()
  let lastStart = 0
  let peak = idle
  let over = false
  const reads: Array<number> = []
  const reader = async () => {
    while (!over) {
      const at = performance.now()
      const { body } = await request(`${server.url}/api/v1/users/user1/conversations/${conversationOf(1)}/messages`, {
        dispatcher,
        headers: { authorization: `Bearer ${tokenOf(1)}` }
      })
      await body.text()
      reads.push(performance.now() - at)
      peak = Math.max(peak, server.residentMiB())
      // @effect-diagnostics-next-line globalTimers:off -- no Effect here
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const reading = reader()
  const answers = await Promise.all(
    Array.from({ length: turns }, (_, n) => {
      lastStart = performance.now()
      return ask(n)
    })
  )
  const took = (performance.now() - lastStart) / 1000
  over = true
  await reading
  await server.stop()
  await model.stop()
  await dispatcher.close()
  reads.sort((a, b) => a - b)
  const errors = [...answers, ...warm].filter((answered) => !answered).length
  context.progress(
    `${turns} turns at once: ${errors} errors, ${((performance.now() - begun) / 1000).toFixed(1)} s, ${reads.length} reads meanwhile`
  )
  const what = `${turns} turns at once, a model of 2 s, a pool of 10`
  return [
    absoluteRow(`${what}: errors`, errors, "", "at most", 0),
    absoluteRow(`${what}: all done after the last start`, took, "s", "at most", 15),
    absoluteRow(
      `${what}: p99 of a read meanwhile`,
      quantile(reads, 0.99),
      "ms",
      "at most",
      50,
      `p50 ${quantile(reads, 0.5).toFixed(1)} ms`
    ),
    absoluteRow(
      `${what}: memory a waiting turn`,
      ((peak - idle) * 1024) / turns,
      "KiB",
      "at most",
      100,
      `${idle.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB at most`
    )
  ]
}
