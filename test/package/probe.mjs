// Imports one module, and tells on a file what that has loaded, and what else it did.
import { writeFileSync } from "node:fs"
import { registerHooks, syncBuiltinESMExports } from "node:module"

const [, , specifier, report] = process.argv
const loaded = []
const variables = []
registerHooks({
  // Not when it is loaded, since what this module has loaded would be missing.
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context)
    loaded.push(resolved.url)
    return resolved
  }
})
/** Node reads variables of its own while it loads modules; what counts is who else does. */
const tell = (name) => {
  const [reader] = new Error("read").stack.split("\n").slice(3)
  if (reader !== undefined && !reader.includes("node:")) variables.push(String(name))
}
process.env = new Proxy(process.env, {
  get: (environment, name) => {
    tell(name)
    return Reflect.get(environment, name)
  },
  has: (environment, name) => {
    tell(name)
    return Reflect.has(environment, name)
  },
  ownKeys: (environment) => {
    tell("all of them")
    return Reflect.ownKeys(environment)
  }
})
syncBuiltinESMExports()
// These are opened when they are first looked at, which is no work of anybody's.
process.stdout.write("")
process.stderr.write("")
const before = process.getActiveResourcesInfo()
const module = await import(specifier)
const names = Object.keys(module)
const left = process.getActiveResourcesInfo().slice(before.length)
writeFileSync(report, JSON.stringify({ loaded, variables, names, left }))
