import { readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { makeContext } from "./context.ts"
import { crowd } from "./parts/crowd.ts"
import { hostile } from "./parts/hostile.ts"
import { peers } from "./parts/peers.ts"
import { embedded, instances, start } from "./parts/processes.ts"
import { large, long } from "./parts/size.ts"
import { streaming } from "./parts/streaming.ts"
import { chart, gross, planPage, planTable, type Row, type TurnCost, table, turnTable } from "./report.ts"

/**
 * `npm run bench -- [--quick] [--only peers,long,crowd,hostile,streaming,instances,embedded,start,large] [--write]`: all that is promised of
 * speed, beside its targets. Ratios come from alternating rounds of one run. `--quick` is a small slice, which fails where
 * a ratio is worse by more than a factor of two than its target, or than what docs/performance.json has; `--write` keeps the figures and the chart in docs.
 */
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    write: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    conversations: { type: "string", default: "1000000" }
  }
})
const { quick } = values
const rounds = Number(values.rounds ?? (quick ? 2 : 5))
const seconds = Number(values.seconds ?? (quick ? 3 : 6))
const only = values.only?.split(",") ?? (quick ? ["peers", "long"] : undefined)
const wanted = (part: string) => only === undefined || only.includes(part)

/** Between two of these in docs/performance.md is what was measured last. */
const mark = "<!-- measured -->"

const print = (text: string) => process.stdout.write(`${text}\n`)
const context = await makeContext(quick)
const rows: Array<Row> = []
const compared = wanted("peers") ? await peers(context, rounds, seconds) : undefined
rows.push(...(compared?.rows ?? []))
if (wanted("crowd")) rows.push(...(await crowd(context, 5000)))
if (wanted("hostile")) rows.push(...(await hostile(context, rounds, seconds)))
if (wanted("streaming")) rows.push(...(await streaming(context, rounds, seconds, 2000)))
if (wanted("long")) rows.push(...(await long(context)))
const sized = wanted("large") ? await large(context, Number(values.conversations)) : undefined
rows.push(...(sized?.rows ?? []))
if (wanted("instances")) rows.push(...(await instances(context, rounds, seconds)))
if (wanted("embedded")) rows.push(...(await embedded(context, rounds, seconds)))
if (wanted("start")) rows.push(...(await start(context, rounds)))
await context.close()

const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`
const docs = (name: string) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url))
const recorded: { readonly rows: ReadonlyArray<Row>; readonly turns: ReadonlyArray<TurnCost> } = JSON.parse(
  readFileSync(docs("performance.json"), "utf8")
)
const report = (rows: ReadonlyArray<Row>, turns: ReadonlyArray<TurnCost> | undefined) =>
  [
    ...(turns === undefined ? [] : [turnTable(turns), ""]),
    table(rows),
    "",
    `On ${machine}, shared by everything.`
  ].join("\n")
print(report(rows, compared?.turns))
if (sized !== undefined) print(`\n${planTable(sized.plans)}`)
if (values.write) {
  // What was not measured now stays as it was.
  const kept = recorded.rows.map((before) => rows.find((row) => row.what === before.what) ?? before)
  const all = [...kept, ...rows.filter((row) => !kept.includes(row))]
  const turns = compared?.turns ?? recorded.turns
  writeFileSync(docs("performance.json"), `${JSON.stringify({ machine, rows: all, turns }, null, 2)}\n`)
  if (compared !== undefined) writeFileSync(docs("performance.svg"), chart(compared.charts))
  if (sized !== undefined) writeFileSync(docs("plans.md"), planPage(sized.plans, Number(values.conversations)))
  const [before, , after] = readFileSync(docs("performance.md"), "utf8").split(mark)
  writeFileSync(docs("performance.md"), [before, `\n${report(all, turns)}\n`, after].join(mark))
}
const missed = gross(rows, recorded.rows)
for (const row of missed) print(`FAILED  ${row.what}: a gross regression`)
process.exitCode = quick && missed.length > 0 ? 1 : 0
