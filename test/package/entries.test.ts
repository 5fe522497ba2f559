import { copyFileSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { entries, install, run } from "./support.ts"

interface Allowed {
  /** The adapter whose folder it loads. */
  readonly adapter?: string
  /** What it loads beside Effect. */
  readonly packages?: ReadonlyArray<string>
  /** Which variables these packages read for themselves; those of a test runner depend on what is in them. */
  readonly variables?: ReadonlyArray<string> | "any"
}

const allowed = new Map<string, Allowed>([
  ["turnkeeper", {}],
  ["turnkeeper/http", { adapter: "http" }],
  ["turnkeeper/http/client", { adapter: "http" }],
  [
    "turnkeeper/http/node",
    {
      adapter: "http",
      packages: ["@effect/platform-node", "@effect/platform-node-shared", "ws"],
      variables: ["WS_NO_BUFFER_UTIL"]
    }
  ],
  ["turnkeeper/mcp", { adapter: "mcp" }],
  ["turnkeeper/memory", { adapter: "memory" }],
  ["turnkeeper/postgres", { adapter: "postgres", packages: ["@effect/sql-pg"] }],
  ["turnkeeper/pglite", { adapter: "pglite", packages: ["@effect/sql-pg", "@electric-sql/pglite"] }],
  [
    "turnkeeper/openai",
    { adapter: "openai", packages: ["openai", "undici"], variables: ["UNDICI_NO_WASM_SIMD", "UNDICI_USE_MILO"] }
  ],
  ["turnkeeper/offline", { adapter: "offline", packages: ["fastest-levenshtein"] }],
  ["turnkeeper/better-auth", { adapter: "better-auth" }],
  ["turnkeeper/jwt", { adapter: "jwt", packages: ["jose"] }],
  [
    "turnkeeper/testing",
    { packages: ["@effect/vitest", "chai", "expect-type", "tinybench", "vite", "vitest"], variables: "any" }
  ],
  ["turnkeeper/testing/core", {}]
])

const unique = (values: Iterable<string>): Array<string> => [...new Set(values)].sort()

const matches = (urls: ReadonlyArray<string>, pattern: RegExp): Array<string> =>
  unique(urls.flatMap((url) => pattern.exec(url)?.[1] ?? []))

const assertReads = ({ variables: may = [] }: Allowed, variables: Array<string>): void => {
  if (may !== "any") assert.deepStrictEqual(variables, may)
}

/** Imports an entry point in a process of its own, which ends by itself if nothing is left to do. */
const load = async (folder: string, entry: string) => {
  const report = join(folder, "report.json")
  copyFileSync(new URL("probe.mjs", import.meta.url), join(folder, "probe.mjs"))
  const { code, stderr, stdout } = await run(folder, process.execPath, ["probe.mjs", entry, report])
  assert.strictEqual(code, 0, stderr)
  const { left, loaded, names, variables } = JSON.parse(readFileSync(report, "utf8"))
  return {
    adapters: matches(loaded, /\/turnkeeper\/dist\/adapters\/([^/]+)\//),
    packages: matches(loaded, /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//),
    modules: matches(loaded, /\/turnkeeper\/dist\/(.*)/),
    builtins: matches(loaded, /^(node:.*)$/),
    printed: stdout + stderr,
    variables: unique(variables),
    left,
    names
  }
}

describe("the entry points", () => {
  it("are those that the README names", () => {
    const { exports } = JSON.parse(readFileSync("package.json", "utf8"))
    const names = Object.keys(exports).filter((name) => name !== "./package.json")
    assert.sameMembers(
      entries.map((entry) => entry.name),
      names.map((name) => name.replace(".", "turnkeeper"))
    )
    assert.sameMembers(
      entries.map((entry) => entry.name),
      [...allowed.keys()]
    )
  })

  for (const needs of unique(entries.map((entry) => entry.needs.join()))) {
    describe(`with ${["effect", needs].filter(Boolean).join()} installed`, () => {
      let folder = ""
      beforeAll(async () => {
        folder = await install(needs.split(",").filter(Boolean))
      })

      for (const { name } of entries.filter((entry) => entry.needs.join() === needs)) {
        it(`${name} loads its own alone, reads no environment, prints and starts nothing`, async () => {
          const { adapters, builtins, left, modules, names, packages, printed, variables } = await load(folder, name)
          const may = allowed.get(name) ?? {}
          assert.isNotEmpty(names)
          assert.deepStrictEqual(packages, unique(["effect", "turnkeeper", ...(may.packages ?? [])]))
          assert.deepStrictEqual(adapters, may.adapter === undefined ? [] : [may.adapter])
          assert.isEmpty(modules.filter((module) => module.startsWith("app/")))
          assertReads(may, variables)
          assert.strictEqual(printed, "")
          assert.deepStrictEqual(left, [])
          // What a browser may import has nothing of Node, and what has routes alone nothing of the page.
          if (name === "turnkeeper/http/client") assert.isEmpty(builtins)
          if (name === "turnkeeper/http") assert.notInclude(modules, "adapters/http/Page.js")
        })
      }
    })
  }
})
