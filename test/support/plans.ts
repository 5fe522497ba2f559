import { Schema } from "effect"

/** How PostgreSQL carried one statement out, those inside of functions included. */
export interface Plan {
  readonly query: string
  readonly nodes: ReadonlyArray<PlanNode>
  /** The pages that it touched, of 8 KiB. */
  readonly pages: number
}

export interface PlanNode {
  readonly type: string
  readonly relation: string | undefined
  readonly index: string | undefined
  /** The rows that were read and thrown away. */
  readonly removed: number
}

/** The settings of a database under which the server's log tells all plans. */
export const explainAll = (database: string): ReadonlyArray<string> =>
  [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "auto_explain.log_buffers = on",
    "auto_explain.log_nested_statements = on",
    "auto_explain.log_format = json"
  ].map((setting) => `alter database ${database} set ${setting}`)

interface Node {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Rows Removed by Filter"?: number
  readonly "Shared Hit Blocks"?: number
  readonly "Shared Read Blocks"?: number
  readonly Plans?: ReadonlyArray<Node>
}

const Node: Schema.Codec<Node> = Schema.Struct({
  "Node Type": Schema.String,
  "Relation Name": Schema.optionalKey(Schema.String),
  "Index Name": Schema.optionalKey(Schema.String),
  "Rows Removed by Filter": Schema.optionalKey(Schema.Finite),
  "Shared Hit Blocks": Schema.optionalKey(Schema.Finite),
  "Shared Read Blocks": Schema.optionalKey(Schema.Finite),
  Plans: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<Node> => Node)))
})
const decodePlan = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ "Query Text": Schema.String, Plan: Node }))
)

const nodesOf = (node: Node): ReadonlyArray<PlanNode> => [
  {
    type: node["Node Type"],
    relation: node["Relation Name"],
    index: node["Index Name"],
    removed: node["Rows Removed by Filter"] ?? 0
  },
  ...(node.Plans ?? []).flatMap(nodesOf)
]

const logged = /ms {2}plan:\n((?:\t.*\n)+)/g

/** All plans that a log tells of. */
export const plansIn = (log: string): ReadonlyArray<Plan> =>
  [...log.matchAll(logged)].map(([, text = ""]) => {
    const { Plan: plan, "Query Text": query } = decodePlan(text.replaceAll(/^\t/gm, ""))
    return {
      query,
      nodes: nodesOf(plan),
      pages: (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0)
    }
  })
