import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { startPostgres } from "../test/support/postgres.ts"
import { messagesOf, runLoad, turnOf } from "./load.ts"
import { startServer, startService } from "./process.ts"
import { prepareTurnkeeper, seedTurnkeeper } from "./seed.ts"

/**
 * `npm run profile -- [--seconds N] [--warm N] [--top N] [--messages]`: where the service's CPU time goes while
 * it answers turns, or pages of messages, by package, file and function, from V8's sampling profiler.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    warm: { type: "string", default: "5" },
    top: { type: "string", default: "40" },
    messages: { type: "boolean", default: false }
  }
})
const population = { users: 500, conversations: 500, messages: 20 }
const next = (values.messages ? messagesOf : turnOf)(population, 32)

interface Frame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface Profile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: Frame
    readonly children?: ReadonlyArray<number>
  }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
  /** In microseconds. */
  readonly startTime: number
  readonly endTime: number
}

const postgres = await startPostgres(18)
const model = await startServer("bench/model.ts", {})
await prepareTurnkeeper(postgres.url, population.users)
const folder = mkdtempSync(join(tmpdir(), "turnkeeper-profile-"))
const env = {
  DATABASE_URL: postgres.url,
  OPENAI_BASE_URL: `${model.url}/v1`,
  OPENAI_API_KEY: "bench",
  RATE_LIMIT: "1000000",
  TURNS_AT_ONCE: "1000"
}
const server = await startService(env, ["--cpu-prof", `--cpu-prof-dir=${folder}`])
await seedTurnkeeper(postgres.url, population)
await runLoad(server.url, 32, Number(values.warm), next)
const before = server.cpuMillis()
const load = await runLoad(server.url, 32, Number(values.seconds), next)
const cpu = (server.cpuMillis() - before) / load.requests
const loadEnd = performance.now()
await server.stop()
const stopMillis = performance.now() - loadEnd
await model.stop()
await postgres.stop()

const [file] = readdirSync(folder)
const profile: Profile = JSON.parse(readFileSync(join(folder, file ?? ""), "utf8"))
rmSync(folder, { recursive: true, force: true })

const packageName = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)/
const place = (url: string): readonly [where: string, file: string] => {
  const [, name, rest] = packageName.exec(url) ?? []
  if (name !== undefined && rest !== undefined) return [name, rest]
  const own = url.split("/src/")[1]
  return own === undefined ? [url === "" ? "(V8)" : "node", url] : ["turnkeeper", own]
}
const byPlace = new Map<string, number>()
const byFile = new Map<string, number>()
const byFunction = new Map<string, number>()
const withCalled = new Map<string, number>()
const parents = new Map(
  profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const))
)
const nameOf = (frame: Frame): string => {
  const [where, file] = place(frame.url)
  return `${frame.functionName || "(anonymous)"}  ${where}/${file}:${frame.lineNumber + 1}`
}
const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
let total = 0
// Neither the start nor the end of the process: the load alone.
const until = profile.endTime - stopMillis * 1000
const from = until - load.seconds * 1_000_000
let now = profile.startTime
profile.samples.forEach((id, i) => {
  const frame = frames.get(id)
  const micros = profile.timeDeltas[i] ?? 0
  now += micros
  if (frame === undefined || frame.functionName === "(idle)" || now < from || now > until) return
  const [where, file] = place(frame.url)
  total += micros
  byPlace.set(where, (byPlace.get(where) ?? 0) + micros)
  byFile.set(`${where}/${file}`, (byFile.get(`${where}/${file}`) ?? 0) + micros)
  byFunction.set(nameOf(frame), (byFunction.get(nameOf(frame)) ?? 0) + micros)
  // Once each, however often it calls itself.
  const names = new Set<string>()
  for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
    const ancestor = frames.get(at)
    if (ancestor !== undefined) names.add(nameOf(ancestor))
  }
  for (const name of names) withCalled.set(name, (withCalled.get(name) ?? 0) + micros)
})
const show = (title: string, times: ReadonlyMap<string, number>, top: number) => {
  const rows = [...times].sort(([, a], [, b]) => b - a).slice(0, top)
  process.stdout.write(
    `\n${title}\n${rows.map(([name, micros]) => `${((micros / total) * 100).toFixed(1).padStart(6)} %  ${name}`).join("\n")}\n`
  )
}
process.stdout.write(`${load.perSecond.toFixed(0)} turns/s, ${cpu.toFixed(2)} ms of CPU a turn\n`)
show("by package", byPlace, 20)
show("by file", byFile, Number(values.top))
show("by function, by itself", byFunction, Number(values.top))
show("by function, with all that it calls", withCalled, 2 * Number(values.top))
