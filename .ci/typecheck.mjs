// Runs the TypeScript compiler that has Effect's diagnostics built in. `effect-tsgo get-exe-path` finds it only where
// TypeScript 7 is installed as well, and dependency-cruiser can do nothing with TypeScript 7.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import typescript from "typescript"

const require = createRequire(createRequire(import.meta.url).resolve("@effect/tsgo/package.json"))

const schema = require("./schema.json").definitions.effectLanguageServicePluginDiagnosticSeverityDefinition
const { config } = typescript.parseConfigFileTextToJson("tsconfig.json", readFileSync("tsconfig.json", "utf8"))
const unknown = config.compilerOptions.plugins
  .flatMap((plugin) => [plugin, ...plugin.overrides.map((override) => override.options)])
  .flatMap((options) => Object.keys(options.diagnosticSeverity))
  .filter((rule) => !(rule in schema.properties))
if (unknown.length > 0) {
  console.error(`tsconfig.json: @effect/tsgo knows no rule called ${unknown.join(", ")}`)
  process.exit(1)
}

const folder = dirname(require.resolve(`@effect/tsgo-${process.platform}-${process.arch}/package.json`))
const compiler = join(folder, "lib", process.platform === "win32" ? "tsc.exe" : "tsc")
// What runs in the browser is a project of its own.
let failed = false
for (const project of [".", "src/adapters/http/page"]) {
  const { error, status } = spawnSync(compiler, ["--project", project, ...process.argv.slice(2)], { stdio: "inherit" })
  if (error) throw error
  failed ||= status !== 0
}
process.exit(failed ? 1 : 0)
