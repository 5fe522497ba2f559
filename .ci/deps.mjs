// Checks the rules of .dependency-cruiser.mjs. By its API, because the command passes when it could read no file at all
// (as it does with TypeScript 7).
import { existsSync } from "node:fs"
import { cruise, format } from "dependency-cruiser"
import { default as config } from "../.dependency-cruiser.mjs"

const folders = ["src", "test", "bench", "examples"].filter((folder) => existsSync(folder))
const { output: result } = await cruise(folders, { ...config.options, ruleSet: config, validate: true })
const { output: text, exitCode } = await format(result, { outputType: "err-long" })
console.log(text)
if (!result.modules.some((module) => module.source.startsWith("src/"))) {
  console.error("No module of src was read: is TypeScript 6 installed?")
  process.exit(1)
}
process.exit(exitCode)
