import { parseArgs } from "node:util"
import { Console, Effect } from "effect"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import { simulate } from "../../src/testing/Simulation.ts"

/**
 * `npm run simulate -- --seeds N [--from N] [--first]`: simulates so many seeds, or until the first one fails, shows how
 * far it is, and tables what was done.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    first: { type: "boolean", default: false }
  }
})
const seeds = Number(values.seeds)
const from = Number(values.from)
const counts = new Map<string, number>()
const failed: Array<number> = []

const run = Effect.gen(function* () {
  for (let seed = from; seed < from + seeds && !(values.first && failed.length > 0); seed++) {
    const outcome = yield* simulate({ seed, store: Memory.layer })
    for (const [what, count] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + count)
    if (outcome.violations.length > 0) {
      failed.push(seed)
      yield* Console.log(`\nseed ${seed}:\n  ${outcome.violations.join("\n  ")}`)
    }
    const done = seed - from + 1
    if (done % 100 === 0) process.stderr.write(`\r${done} of ${seeds} seeds, ${failed.length} failed `)
  }
  process.stderr.write("\n")
  const table = [...counts.keys()].toSorted().map((what) => `${String(counts.get(what)).padStart(9)}  ${what}`)
  yield* Console.log([...table, "", `${seeds - failed.length} of ${seeds} seeds passed, from ${from}`].join("\n"))
})

await Effect.runPromise(run)
process.exitCode = failed.length === 0 ? 0 : 1
