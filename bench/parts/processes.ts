import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { demoOf } from "../../test/support/service.ts"
import type { Context } from "../context.ts"
import { median, runLoad, turnOf } from "../load.ts"
import { type Server, startServer, startService } from "../process.ts"
import { absoluteRow, ratioRow } from "../report.ts"
import { prepareTurnkeeper, seedTurnkeeper } from "../seed.ts"

const population = { users: 500, conversations: 500, messages: 20 }

/** The CPU of a turn on four instances and on one, at the same load. */
export const instances = async (context: Context, rounds: number, seconds: number) => {
  const url = await context.database("instances")
  await prepareTurnkeeper(url, population.users)
  const four: Array<Server> = []
  for (let i = 0; i < 4; i++) four.push(await context.startTurnkeeper(url))
  const one = await context.startTurnkeeper(url)
  await seedTurnkeeper(url, population)
  const clients = 32
  const measure = async (servers: ReadonlyArray<Server>, time = seconds) => {
    const before = servers.reduce((sum, server) => sum + server.cpuMillis(), 0)
    const each = clients / servers.length
    const next = turnOf(population, clients)
    const results = await Promise.all(
      servers.map((server, i) => runLoad(server.url, each, time, (client, n) => next(client + i * each, n)))
    )
    const requests = results.reduce((sum, result) => sum + result.requests, 0)
    return (servers.reduce((sum, server) => sum + server.cpuMillis(), 0) - before) / requests
  }
  // Code is compiled in each process anew: all of them are to be warm.
  await measure(four, 4 * seconds)
  await measure([one], seconds)
  const millis: Array<readonly [number, number]> = []
  for (let round = 0; round < rounds; round++) {
    millis.push([await measure(four), await measure([one])])
    context.progress(
      `round ${round + 1} of ${rounds}: four instances and one, ${millis
        .at(-1)
        ?.map((ms) => ms.toFixed(2))
        .join(" and ")} ms`
    )
  }
  for (const server of [...four, one]) await server.stop()
  return [
    ratioRow(
      "CPU a turn on 4 instances against 1",
      median(millis.map(([a, b]) => a / b)),
      "at most",
      1.15,
      `${median(millis.map(([a]) => a)).toFixed(2)} ms and ${median(millis.map(([, b]) => b)).toFixed(2)} ms`
    )
  ]
}

/** The embedded database with the offline model. */
export const embedded = async (context: Context, rounds: number, seconds: number) => {
  const server = await startService({ RATE_LIMIT: "off", MAX_CONVERSATIONS: "off", MAX_TASKS: "off" })
  const { token, user } = demoOf(server.banner())
  const measure = (time: number) =>
    runLoad(server.url, 8, time, () => ({
      method: "POST",
      path: `/api/v1/users/${user}/chat`,
      token,
      body: { message: "Add a task to buy groceries" }
    }))
  await measure(3)
  const results: Array<number> = []
  for (let round = 0; round < rounds; round++) results.push((await measure(seconds)).perSecond)
  await server.stop()
  context.progress(`embedded: ${results.map((result) => result.toFixed(0)).join(", ")} turns/s`)
  return [absoluteRow("embedded, with the offline model and 8 clients", median(results), "turns/s", "at least", 100)]
}

/** From the start of a process until it serves. */
export const start = async (context: Context, rounds: number) => {
  const url = await context.database("start")
  await prepareTurnkeeper(url, 1)
  const postgres: Array<number> = []
  const fresh: Array<readonly [number, number]> = []
  const reopened: Array<number> = []
  const once = async (starting: Promise<Server>) => {
    const server = await starting
    await server.stop()
    return server.startMillis
  }
  await once(context.startTurnkeeper(url))
  for (let round = 0; round < rounds; round++) {
    postgres.push(await once(context.startTurnkeeper(url)))
    const folder = mkdtempSync(join(tmpdir(), "turnkeeper-bench-data-"))
    const creation = await once(startServer("bench/pglite.ts", { DATA_DIR: join(folder, "bare") }))
    const data = { DATA_DIR: join(folder, "data") }
    fresh.push([await once(startService(data)), creation])
    reopened.push(await once(startService(data)))
    rmSync(folder, { recursive: true, force: true })
    context.progress(
      `round ${round + 1} of ${rounds}: ready on PostgreSQL in ${postgres.at(-1)?.toFixed(0)} ms, embedded fresh ${fresh.at(-1)?.[0].toFixed(0)} (PGlite alone ${creation.toFixed(0)}), reopened ${reopened.at(-1)?.toFixed(0)}`
    )
  }
  return [
    absoluteRow("start to ready on PostgreSQL", median(postgres) / 1000, "s", "at most", 1),
    ratioRow(
      "start to ready, embedded and fresh, against PGlite's own creation",
      median(fresh.map(([own, bare]) => own / bare)),
      "at most",
      1.3,
      `${median(fresh.map(([own]) => own)).toFixed(0)} ms and ${median(fresh.map(([, bare]) => bare)).toFixed(0)} ms`
    ),
    absoluteRow("start to ready, embedded and reopened", median(reopened) / 1000, "s", "at most", 1.5)
  ]
}
