import type { Context } from "../context.ts"
import { type LoadResult, median, messagesOf, runLoad, turnOf } from "../load.ts"
import { type Server, startServer } from "../process.ts"
import { type Bar, ratioRow, type TurnCost } from "../report.ts"
import { prepareTurnkeeper, seedPeer, seedTurnkeeper } from "../seed.ts"
import { startWire } from "../wire.ts"

const names = ["turnkeeper", "fastify", "floor", "floor_sdk"] as const
type Name = (typeof names)[number]
type Kind = "turns" | "messages"

const labels: { readonly [N in Name]: string } = {
  turnkeeper: "turnkeeper",
  fastify: "Fastify by hand",
  floor: "the floor",
  floor_sdk: "the floor, SDK"
}

interface Measured extends LoadResult {
  readonly cpuMillis: number
}

const clients = 32
const population = { users: 500, conversations: 500, messages: 20 }

/** Turns and reads against the same service written by hand, in turn, several rounds. */
export const peers = async (context: Context, rounds: number, seconds: number) => {
  const urls = { turnkeeper: "", fastify: "", floor: "", floor_sdk: "" }
  for (const name of names) {
    urls[name] = await context.database(name)
    if (name !== "turnkeeper") await seedPeer(urls[name], population)
  }
  await prepareTurnkeeper(urls.turnkeeper, population.users)
  const start = (name: Name, url: string): Promise<Server> => {
    if (name === "turnkeeper") return context.startTurnkeeper(url)
    const env = { DATABASE_URL: url, OPENAI_BASE_URL: context.modelUrl, ...(name === "floor_sdk" && { SDK: "on" }) }
    return startServer(name === "fastify" ? "bench/peers/fastify.ts" : "bench/peers/floor.ts", env)
  }
  const servers = {} as { [N in Name]: Server }
  for (const name of names) servers[name] = await start(name, urls[name])
  await seedTurnkeeper(urls.turnkeeper, population)

  const measure = async (name: Name, kind: Kind, time = seconds): Promise<Measured> => {
    const server = servers[name]
    const before = server.cpuMillis()
    const next = (kind === "turns" ? turnOf : messagesOf)(population, clients)
    const result = await runLoad(server.url, clients, time, next)
    return { ...result, cpuMillis: (server.cpuMillis() - before) / result.requests }
  }
  const results = new Map<string, Array<Measured>>()
  const run = async (kind: Kind, of: ReadonlyArray<Name>) => {
    for (const name of of) await measure(name, kind, 3)
    for (let round = 0; round < rounds; round++) {
      for (const name of of) {
        const result = await measure(name, kind)
        const key = `${kind} ${name}`
        results.set(key, [...(results.get(key) ?? []), result])
        context.progress(
          `round ${round + 1} of ${rounds}, ${kind}, ${name}: ${result.perSecond.toFixed(0)}/s, ${result.cpuMillis.toFixed(2)} ms of CPU each`
        )
      }
    }
  }
  await run("turns", names)
  // Before the lists are read: what is compared is what the turns need.
  const memory = Object.fromEntries(names.map((name) => [name, servers[name].peakMiB()])) as { [N in Name]: number }
  await run("messages", ["turnkeeper", "fastify"])
  for (const server of Object.values(servers)) await server.stop()

  const round: { [N in Name]?: { readonly statements: number; readonly roundTrips: number } } = {}
  for (const name of names) {
    const wire = await startWire(urls[name])
    const server = await start(name, wire.url)
    const next = turnOf(population, 1)
    await runLoad(server.url, 1, 1, next)
    const before = { statements: wire.statements(), roundTrips: wire.roundTrips() }
    const { requests } = await runLoad(server.url, 1, 1, next)
    round[name] = {
      statements: (wire.statements() - before.statements) / requests,
      roundTrips: (wire.roundTrips() - before.roundTrips) / requests
    }
    await server.stop()
    wire.close()
  }

  const of = (kind: Kind, name: Name, value: (result: Measured) => number) =>
    median((results.get(`${kind} ${name}`) ?? []).map(value))
  const summary = (kind: Kind, name: Name) => ({
    name: labels[name],
    perSecond: of(kind, name, (r) => r.perSecond),
    p50: of(kind, name, (r) => r.latency.p50),
    p95: of(kind, name, (r) => r.latency.p95),
    p99: of(kind, name, (r) => r.latency.p99),
    cpuMillis: of(kind, name, (r) => r.cpuMillis)
  })
  const turns = names.map(
    (name): TurnCost => ({
      ...summary("turns", name),
      peakMiB: memory[name],
      statements: round[name]?.statements ?? 0,
      roundTrips: round[name]?.roundTrips ?? 0
    })
  )
  const reads = (["turnkeeper", "fastify"] as const).map((name) => summary("messages", name))
  /** The median of the ratios of each round: a machine that slows down in one of them slows both. */
  const ratio = (kind: Kind, a: Name, b: Name, value: (result: Measured) => number) =>
    median(
      (results.get(`${kind} ${a}`) ?? []).map((result, i) => {
        const other = results.get(`${kind} ${b}`)?.[i]
        return other === undefined ? 0 : value(result) / value(other)
      })
    )
  const perSecond = (r: Measured) => r.perSecond
  const cpu = (r: Measured) => r.cpuMillis
  const rows = [
    ratioRow(
      "turns/s against Fastify by hand",
      ratio("turns", "turnkeeper", "fastify", perSecond),
      "at least",
      1.3,
      `${of("turns", "turnkeeper", perSecond).toFixed(0)}/s and ${of("turns", "fastify", perSecond).toFixed(0)}/s`
    ),
    ratioRow(
      "CPU a turn against the floor with the SDK",
      ratio("turns", "turnkeeper", "floor_sdk", cpu),
      "at most",
      1.4,
      `${of("turns", "turnkeeper", cpu).toFixed(2)} ms and ${of("turns", "floor_sdk", cpu).toFixed(2)} ms`
    ),
    ratioRow(
      "peak memory against Fastify by hand",
      memory.turnkeeper / memory.fastify,
      "at most",
      1,
      `${memory.turnkeeper.toFixed(0)} MiB and ${memory.fastify.toFixed(0)} MiB`
    ),
    ratioRow(
      "reads of 50 messages/s against Fastify by hand",
      ratio("messages", "turnkeeper", "fastify", perSecond),
      "at least",
      1.2,
      `${of("messages", "turnkeeper", perSecond).toFixed(0)}/s and ${of("messages", "fastify", perSecond).toFixed(0)}/s`
    )
  ]
  const bars = (title: string, value: (cost: TurnCost) => number, unit: string) => ({
    title,
    bars: turns.map((summary): Bar => {
      const figure = value(summary)
      return {
        label: summary.name,
        value: figure,
        text: `${figure >= 100 ? figure.toFixed(0) : figure.toFixed(2)} ${unit}`,
        own: summary.name === labels.turnkeeper
      }
    })
  })
  return {
    rows,
    turns,
    reads,
    charts: [
      bars("Turns a second", (s) => s.perSecond, "/s"),
      bars("CPU a turn", (s) => s.cpuMillis, "ms"),
      bars("Peak memory", (s) => s.peakMiB, "MiB"),
      bars("Round trips to PostgreSQL a turn", (s) => s.roundTrips, "")
    ]
  }
}
