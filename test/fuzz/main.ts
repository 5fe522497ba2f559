// Schemas are compiled when they are first used, as in the product: this must come before whatever makes one.
import "effect/schema/SchemaJITCompiler/enable"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { startPostgres } from "../support/postgres.ts"
import { fuzz, type Report } from "./run.ts"
import { serveMemory, servePostgres } from "./service.ts"
import { crowd, fuzzSockets, slowCases, socketCases } from "./sockets.ts"

/**
 * `npm run fuzz -- [--requests N] [--seed N] [--only NAMES] [--sql N]`: so many requests an operation, from the
 * API's own schemas, and every naughty string in every field, to the service in memory; and fewer to the service on a
 * real PostgreSQL. Then what no client would send, on raw sockets. It ends with 1 if an answer is not as it should be.
 */
const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  options: {
    requests: { type: "string", default: "10000" },
    sql: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" }
  }
})
const seed = Number(values.seed)
if ([seed, Number(values.requests), Number(values.sql)].some(Number.isNaN)) throw new Error("What counts is a number")
const only = values.only?.split(",")
const begun = performance.now()

const progress = (line: string) => process.stderr.write(`\r${line.padEnd(110)}`)

const tableOf = ({ tallies }: Report): string => {
  const rows = tallies.map(({ invalid, naughty, operation, statuses, valid }) => {
    const answers = [...statuses].toSorted(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`)
    const counts = [valid, invalid, naughty].map((count) => String(count).padStart(8))
    return `${operation.padEnd(20)}${counts.join("")}   ${answers.join(", ")}`
  })
  return [
    `${"operation".padEnd(20)}${["valid", "invalid", "naughty"].map((name) => name.padStart(8)).join("")}   answers`,
    ...rows
  ].join("\n")
}

/** In which ways requests were invalid or naughty, and how many were. */
const waysOf = ({ tallies }: Report): string => {
  const ways = new Map<string, number>()
  for (const tally of tallies) {
    for (const [way, times] of tally.ways) {
      for (const each of way.split(", ")) ways.set(each, (ways.get(each) ?? 0) + times)
    }
  }
  return [...ways].map(([way, times]) => `${String(times).padStart(9)}  ${way}`).join("\n")
}

const tell = (title: string, report: Report): boolean => {
  process.stderr.write("\n")
  process.stdout.write(`${title}\n${tableOf(report)}\n${waysOf(report)}\n`)
  for (const breach of report.breaches) process.stdout.write(`BROKEN  ${breach}\n`)
  const again = report.tallies.filter(({ broken }) => broken > 0).map(({ operation }) => operation)
  process.stdout.write(`${report.broken} breaches\n`)
  if (again.length > 0) {
    const { requests, sql } = values
    process.stdout.write(
      `again: npm run fuzz -- --seed ${seed} --requests ${requests} --sql ${sql} --only ${again.join(",")}\n`
    )
  }
  process.stdout.write("\n")
  return report.broken === 0
}

const inMemory = Effect.gen(function* () {
  const service = yield* serveMemory(64)
  return tell(
    "in memory",
    yield* fuzz(service, { seed, only, requests: Number(values.requests), naughtyStep: 1, concurrency: 32, progress })
  )
})

const onPostgres = Effect.gen(function* () {
  const postgres = yield* Effect.acquireRelease(
    Effect.promise(() => startPostgres(18)),
    (server) => Effect.promise(server.stop)
  )
  const service = yield* servePostgres(postgres.url, 16)
  return tell(
    "on PostgreSQL",
    yield* fuzz(service, { seed, only, requests: Number(values.sql), naughtyStep: 1, concurrency: 32, progress })
  )
})

const onSockets = Effect.gen(function* () {
  const service = yield* serveMemory(8)
  const impatient = yield* serveMemory(8, { requestTimeout: "1 second" })
  const cases = socketCases(service, seed)
  const slow = slowCases(impatient)
  const breaches = [
    ...(yield* fuzzSockets(service, cases, 8)),
    ...(yield* fuzzSockets(impatient, slow, slow.length)),
    ...(yield* crowd(service, 500))
  ]
  process.stdout.write(`on raw sockets\n${cases.length + slow.length} cases, and 500 connections that say nothing\n`)
  for (const breach of breaches) process.stdout.write(`BROKEN  ${breach}\n`)
  process.stdout.write(`${breaches.length} breaches\n\n`)
  return breaches.length === 0
})

process.stdout.write(`seed ${seed}\n`)
const parts = only === undefined ? [onSockets, inMemory, onPostgres] : [inMemory, onPostgres]
const held = await Effect.runPromise(Effect.forEach(parts, Effect.scoped))
process.stdout.write(
  `seed ${seed}, ${Math.round((performance.now() - begun) / 1000)} s: ${held.every(Boolean) ? "everything held" : "it did not hold"}\n`
)
process.exitCode = held.every(Boolean) ? 0 : 1
