import { writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blocks, entries, install, run } from "./support.ts"

const compilerOptions = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  target: "es2024",
  lib: ["es2024", "dom"],
  module: "nodenext",
  // PGlite's own declarations do not pass.
  skipLibCheck: true
}

describe("the README's section for those who embed the package", () => {
  it("runs a turn in ten lines, with nothing else installed", async () => {
    const [program = ""] = blocks("js")
    assert.lengthOf(
      program.split("\n").filter((line) => line !== ""),
      10
    )
    const folder = await install([])
    writeFileSync(join(folder, "turn.mjs"), program)
    const { code, stderr, stdout } = await run(folder, process.execPath, ["turn.mjs"])
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(stdout, "I've added 'Buy milk' to your list as task 1.\n")
  })

  it("fits the package's declarations", async () => {
    const programs = [...blocks("js"), ...blocks("ts")]
    assert.lengthOf(programs, 5)
    const folder = await install([...new Set(entries.flatMap((entry) => entry.needs))])
    const all = entries.map(({ name }) => `import "${name}"\n`).join("")
    for (const [index, program] of [...programs, all].entries()) {
      writeFileSync(join(folder, `program-${index}.mts`), program)
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.mts"] }))
    const { code, stdout } = await run(folder, process.execPath, [resolve("node_modules/typescript/bin/tsc")])
    assert.strictEqual(code, 0, stdout)
  })
})
