import type { Context } from "../context.ts"
import { type LoadRequest, type LoadResult, median, messagesOf, runLoad, turnOf } from "../load.ts"
import { type Server, startServer } from "../process.ts"
import { type Row, ratioRow } from "../report.ts"
import { prepareTurnkeeper, seedTurnkeeper, tokenOf, userOf } from "../seed.ts"

const population = { users: 101, conversations: 100, messages: 20 }
const attacks = [
  { what: "1,000 slow sockets", ATTACK: "slow", SOCKETS: "1000" },
  { what: "a flood of turns by one user", ATTACK: "turns", SOCKETS: "64" },
  { what: "a flood of reads by one user", ATTACK: "reads", SOCKETS: "64" }
] as const

/** What eight other users notice of an attack: their turns, with a model of 100 ms, and their reads. */
export const hostile = async (context: Context, rounds: number, seconds: number) => {
  const url = await context.database("hostile")
  await prepareTurnkeeper(url, population.users)
  const model = await startServer("bench/model.ts", { MODEL_DELAY: "100" })
  const server = await context.startTurnkeeper(url, { OPENAI_BASE_URL: `${model.url}/v1`, RATE_LIMIT: "60" })
  await seedTurnkeeper(url, population)
  const clients = 8
  // The last user is the one who means ill, and has no conversation.
  const attacker = population.users - 1
  const measure = async (next: (client: number, n: number) => LoadRequest, time = seconds) =>
    await runLoad(server.url, clients, time, next)
  const both = async () => {
    const turns = await measure(turnOf(population, clients))
    const memory = server.residentMiB()
    return { turns, reads: await measure(messagesOf(population, clients)), memory }
  }
  await both()
  const rows: Array<Row> = []
  for (const { what, ...env } of attacks) {
    const found: Array<Record<"turns" | "reads", readonly [LoadResult, LoadResult]>> = []
    const memory: Array<readonly [before: number, early: number, late: number]> = []
    for (let round = 0; round < rounds; round++) {
      const quiet = await both()
      const idle = server.residentMiB()
      const attack: Server = await startServer("bench/attacker.ts", {
        ...env,
        TARGET: server.url,
        TOKEN: tokenOf(attacker),
        USER_ID: userOf(attacker)
      })
      const loud = await both()
      memory.push([idle, loud.memory, server.residentMiB()])
      await attack.stop()
      found.push({ turns: [quiet.turns, loud.turns], reads: [quiet.reads, loud.reads] })
      context.progress(
        `round ${round + 1} of ${rounds}: ${what}; p99 of a turn ${p99(quiet.turns)} and ${p99(loud.turns)}, of a read ${p99(quiet.reads)} and ${p99(loud.reads)}`
      )
    }
    for (const kind of ["turns", "reads"] as const) {
      const pairs = found.map((round) => round[kind])
      rows.push(
        ratioRow(
          `${what}: p99 of other users' ${kind}, against none`,
          median(pairs.map(([quiet, loud]) => loud.latency.p99 / quiet.latency.p99)),
          "at most",
          2,
          `${median(pairs.map(([quiet]) => quiet.latency.p99)).toFixed(1)} ms and ${median(pairs.map(([, loud]) => loud.latency.p99)).toFixed(1)} ms`
        )
      )
    }
    const [before, early, late] = [0, 1, 2].map((at) => median(memory.map((each) => each[at] ?? 0)))
    rows.push(
      ratioRow(
        `${what}: memory at its end, against its middle`,
        median(memory.map(([, early, late]) => late / early)),
        "at most",
        1.1,
        `${before?.toFixed(0)} MiB before, ${early?.toFixed(0)} and ${late?.toFixed(0)} MiB`
      )
    )
  }
  await server.stop()
  await model.stop()
  return rows
}

const p99 = ({ latency }: LoadResult): string => `${latency.p99.toFixed(1)} ms`
