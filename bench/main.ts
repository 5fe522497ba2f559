import { parseArgs } from "node:util"
import { startPostgres } from "../test/support/postgres.ts"
import { type LoadResult, median, runLoad } from "./load.ts"
import { type Server, startServer } from "./process.ts"
import { conversationOf, prepareTurnkeeper, seedPeer, seedTurnkeeper, tokenOf, userOf, withClient } from "./seed.ts"

/** `npm run bench -- [--quick] [--rounds N] [--seconds N]`. */
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" }
  }
})
const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
const seconds = Number(values.seconds ?? (values.quick ? 2 : 6))
const clients = 32
const population = { users: 500, conversations: 500, messages: 20 }

const print = (text: string) => process.stdout.write(`${text}\n`)

const postgres = await startPostgres(18)
const database = async (name: string) => {
  await withClient(postgres.url, (client) => client.query(`create database ${name}`))
  const url = new URL(postgres.url)
  url.pathname = `/${name}`
  return url.href
}

const model = await startServer("bench/model.ts", {})
const OPENAI_BASE_URL = `${model.url}/v1`
const names = ["turnkeeper", "fastify", "floor", "floor_sdk"] as const
type Name = (typeof names)[number]
const urls = { turnkeeper: "", fastify: "", floor: "", floor_sdk: "" }
for (const name of names) {
  urls[name] = await database(name)
  if (name !== "turnkeeper") await seedPeer(urls[name], population)
}
await prepareTurnkeeper(urls.turnkeeper, population.users)
const servers: { [N in Name]: Server } = {
  turnkeeper: await startServer("src/app/main.ts", {
    DATABASE_URL: urls.turnkeeper,
    OPENAI_BASE_URL,
    OPENAI_API_KEY: "bench",
    RATE_LIMIT: "off"
  }),
  fastify: await startServer("bench/peers/fastify.ts", { DATABASE_URL: urls.fastify, OPENAI_BASE_URL }),
  floor: await startServer("bench/peers/floor.ts", { DATABASE_URL: urls.floor, OPENAI_BASE_URL }),
  floor_sdk: await startServer("bench/peers/floor.ts", { DATABASE_URL: urls.floor_sdk, OPENAI_BASE_URL, SDK: "on" })
}
await seedTurnkeeper(urls.turnkeeper, population)

interface Measured extends LoadResult {
  readonly cpuMillis: number
}
const measure = async (name: Name, kind: "turns" | "messages", time = seconds): Promise<Measured> => {
  const server = servers[name]
  const before = server.cpuMillis()
  const result = await runLoad(server.url, clients, time, (client, n) => {
    // Each client has conversations of its own, or they would find one another busy.
    const c = (client + n * clients) % (population.conversations - (population.conversations % clients))
    const base = `/api/v1/users/${userOf(c)}`
    return kind === "turns"
      ? {
          method: "POST",
          path: `${base}/chat`,
          token: tokenOf(c),
          body: { message: "Add a task to buy groceries", conversation_id: conversationOf(c) }
        }
      : {
          method: "GET",
          path: `${base}/conversations/${conversationOf(c)}/messages?limit=50`,
          token: tokenOf(c)
        }
  })
  return { ...result, cpuMillis: (server.cpuMillis() - before) / result.requests }
}

const results = new Map<string, Array<Measured>>()
const run = async (kind: "turns" | "messages", of: ReadonlyArray<Name>) => {
  for (const name of of) await measure(name, kind, 2)
  for (let round = 0; round < rounds; round++) {
    for (const name of of) {
      const result = await measure(name, kind)
      const key = `${kind} ${name}`
      results.set(key, [...(results.get(key) ?? []), result])
      process.stderr.write(
        `round ${round + 1} of ${rounds}: ${key} ${result.perSecond.toFixed(0)}/s, ${result.cpuMillis.toFixed(2)} ms CPU\n`
      )
    }
  }
}
await run("turns", names)
await run("messages", ["turnkeeper", "fastify"])

const of = (key: string, value: (result: Measured) => number) => median((results.get(key) ?? []).map(value))
for (const key of results.keys()) {
  print(
    [
      key.padEnd(22),
      `${of(key, (r) => r.perSecond).toFixed(0)}/s`,
      `p50 ${of(key, (r) => r.latency.p50).toFixed(1)} p95 ${of(key, (r) => r.latency.p95).toFixed(1)} p99 ${of(key, (r) => r.latency.p99).toFixed(1)} ms`,
      `CPU ${of(key, (r) => r.cpuMillis).toFixed(2)} ms`
    ].join("  ")
  )
}
for (const name of names) print(`${name}: peak ${servers[name].peakMiB().toFixed(0)} MiB`)
const ratio = (a: string, b: string, value: (result: Measured) => number) => (of(a, value) / of(b, value)).toFixed(2)
print(`turns/s against fastify: ${ratio("turns turnkeeper", "turns fastify", (r) => r.perSecond)}`)
print(`CPU against floor with SDK: ${ratio("turns turnkeeper", "turns floor_sdk", (r) => r.cpuMillis)}`)
print(`GET messages/s against fastify: ${ratio("messages turnkeeper", "messages fastify", (r) => r.perSecond)}`)
print(`peak memory against fastify: ${(servers.turnkeeper.peakMiB() / servers.fastify.peakMiB()).toFixed(2)}`)

for (const server of [...Object.values(servers), model]) await server.stop()
await postgres.stop()
