import { cpSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { type Ended, installIn, run, temporaryFolder } from "../package/support.ts"

/** A copy of an example in a folder of its own, as a user would have it: with the packed package installed, and type-checked. */
export const prepare = async (name: string): Promise<string> => {
  const folder = temporaryFolder()
  cpSync(join("examples", name), folder, {
    recursive: true,
    filter: (path) => !path.split(/[\\/]/).includes("node_modules")
  })
  await installIn(folder)
  const { code, stderr, stdout } = await npmRun(folder, "check")
  assert.strictEqual(code, 0, stdout + stderr)
  return folder
}

/** Runs a script of an example to its end. */
export const npmRun = (folder: string, script: string): Promise<Ended> =>
  run(folder, "npm", ["run", "--silent", script])
