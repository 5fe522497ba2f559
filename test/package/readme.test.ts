import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blocks, blocksIn, compile, entries, install, run } from "./support.ts"

describe("what is written for those who embed the package", () => {
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
    const guide = blocksIn(readFileSync("docs/embedding.md", "utf8"), "ts")
    assert.isAbove(guide.length, 4)
    const own = [...blocks("js"), ...blocks("ts")]
    assert.lengthOf(own, 7)
    const programs = [...own, ...guide]
    const folder = await install([...new Set(entries.flatMap((entry) => entry.needs))])
    const all = entries.map(({ name }) => `import "${name}"\n`).join("")
    for (const [index, program] of [...programs, all].entries()) {
      writeFileSync(join(folder, `program-${index}.mts`), program)
    }
    const { code, stdout } = await compile(folder, ["*.mts"])
    assert.strictEqual(code, 0, stdout)
  })
})
