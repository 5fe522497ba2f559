import type { Plan } from "../test/support/plans.ts"

/** One measured figure beside its target. */
export interface Row {
  readonly what: string
  readonly measured: number
  readonly target: number
  /** Whether the figure is to be at least, or at most, its target. */
  readonly wanted: "at least" | "at most"
  readonly unit: string
  /** Figures behind it. */
  readonly from: string
  /** Whether it compares two things of one run, so that it says the same on any machine. */
  readonly isRatio: boolean
}

/** A figure that compares two things of one run. */
export const ratioRow = (what: string, measured: number, wanted: Row["wanted"], target: number, from: string): Row => ({
  what,
  measured,
  target,
  wanted,
  unit: "x",
  from,
  isRatio: true
})

/** A figure in a unit of its own, which says something of this machine only. */
export const absoluteRow = (
  what: string,
  measured: number,
  unit: string,
  wanted: Row["wanted"],
  target: number,
  from = ""
): Row => ({ what, measured, target, wanted, unit, from, isRatio: false })

const holds = (row: Row, target = row.target, slack = 1): boolean =>
  row.wanted === "at least" ? row.measured * slack >= target : row.measured <= target * slack

/**
 * The ratios that are worse than they should be by more than a factor of two, which is a regression on any machine. What
 * has missed its target before is measured by what it was then.
 */
export const gross = (rows: ReadonlyArray<Row>, recorded: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  rows.filter((row) => {
    const before = recorded.find(({ what }) => what === row.what)
    return row.isRatio && !holds(row, before === undefined || holds(before) ? row.target : before.measured, 2)
  })

const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const figure = (value: number, unit: string) => (unit === "x" ? digits(value) : `${digits(value)} ${unit}`)

/** The rows as a table of Markdown. */
export const table = (rows: ReadonlyArray<Row>): string =>
  [
    "| what | measured | target | |  |",
    "|---|---|---|---|---|",
    ...rows.map(
      (row) =>
        `| ${row.what} | ${figure(row.measured, row.unit)} | ${row.wanted} ${figure(row.target, row.unit)} | ${
          holds(row) ? "met" : "missed"
        } | ${row.from} |`
    )
  ].join("\n")

/** What a turn cost one server: medians over the rounds; latencies in milliseconds. */
export interface TurnCost {
  readonly name: string
  readonly perSecond: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly cpuMillis: number
  readonly peakMiB: number
  readonly statements: number
  readonly roundTrips: number
}

/** The costs of a turn as a table of Markdown. */
export const turnTable = (costs: ReadonlyArray<TurnCost>): string =>
  [
    "| a turn | turns/s | p50 | p95 | p99 | CPU | peak memory | statements | round trips |",
    "|---|---|---|---|---|---|---|---|---|",
    ...costs.map(
      (cost) =>
        `| ${cost.name} | ${cost.perSecond.toFixed(0)} | ${cost.p50.toFixed(1)} ms | ${cost.p95.toFixed(1)} ms | ${cost.p99.toFixed(1)} ms | ${cost.cpuMillis.toFixed(2)} ms | ${cost.peakMiB.toFixed(0)} MiB | ${cost.statements.toFixed(1)} | ${cost.roundTrips.toFixed(1)} |`
    )
  ].join("\n")

/** Statements that differ in their spaces only are one. */
const oneLine = (query: string) => query.replaceAll(/\s+/g, " ").trim()

/** Each statement with the indexes that it goes by, as a table of Markdown: the plan that touched most pages of each. */
export const planTable = (plans: ReadonlyArray<Plan>): string => {
  const byQuery = Map.groupBy(plans, (plan) => oneLine(plan.query))
  const rows = [...byQuery].map(([query, same]) => {
    const most = same.reduce((a, b) => (a.pages >= b.pages ? a : b))
    const indexes = new Set(same.flatMap((plan) => plan.nodes.flatMap((node) => node.index ?? [])))
    const scans = new Set(
      same.flatMap((plan) => plan.nodes.flatMap((node) => (node.type === "Seq Scan" ? [node.relation ?? ""] : [])))
    )
    const short = query.length > 110 ? `${query.slice(0, 109)}…` : query
    return { query: short.replaceAll("|", "\\|"), times: same.length, pages: most.pages, indexes, scans }
  })
  return [
    "| statement | times | pages at most | indexes | read whole |",
    "|---|---|---|---|---|",
    ...rows
      .sort((a, b) => b.pages - a.pages)
      .map(
        ({ indexes, pages, query, scans, times }) =>
          `| \`${query}\` | ${times} | ${pages} | ${[...indexes].sort().join(", ")} | ${[...scans].join(", ")} |`
      )
  ].join("\n")
}

/** The same as a page of the documentation. */
export const planPage = (plans: ReadonlyArray<Plan>, conversations: number): string =>
  [
    "# Plans",
    "",
    `How PostgreSQL 18 carries out everything that is ever asked of it, statements inside of functions included, in a
database of ${conversations.toLocaleString("en")} conversations and ${(conversations * 10).toLocaleString("en")} messages: what \`explain (analyze, buffers)\` says, taken by
\`auto_explain\`. A page has 8 KiB. Two tables are read whole: that of the
migrations, which has a row for each, and once an hour that of the rate limits, which has a row for each user of the last hour.`,
    "",
    "```sh",
    "npm run bench -- --only large --write",
    "```",
    "",
    planTable(plans),
    ""
  ].join("\n")

/** A bar of a chart. */
export interface Bar {
  readonly label: string
  readonly value: number
  readonly text: string
  readonly own: boolean
}

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

/** Groups of bars as an SVG, each group to a scale of its own. */
export const chart = (groups: ReadonlyArray<{ readonly title: string; readonly bars: ReadonlyArray<Bar> }>): string => {
  const width = 760
  const left = 170
  const lines: Array<string> = []
  let y = 16
  for (const { bars, title } of groups) {
    const most = Math.max(...bars.map((bar) => bar.value))
    y += 14
    lines.push(`<text x="12" y="${y}" class="title">${escape(title)}</text>`)
    y += 10
    for (const bar of bars) {
      const length = Math.max(1, (bar.value / most) * (width - left - 150))
      lines.push(
        `<text x="${left - 10}" y="${y + 15}" class="label">${escape(bar.label)}</text>`,
        `<rect x="${left}" y="${y + 2}" width="${length.toFixed(1)}" height="18" rx="3" class="${bar.own ? "own" : "other"}"/>`,
        `<text x="${(left + length + 8).toFixed(1)}" y="${y + 15}">${escape(bar.text)}</text>`
      )
      y += 26
    }
    y += 12
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>turnkeeper beside the same service written by hand</title>
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .label { text-anchor: end }
  .own { fill: #2563eb }
  .other { fill: #b6bec9 }
</style>
<rect width="${width}" height="${y}" fill="#ffffff"/>
${lines.join("\n")}
</svg>
`
}
