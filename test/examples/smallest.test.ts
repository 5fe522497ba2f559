import { assert, describe, it } from "@effect/vitest"
import { npmRun, prepare } from "./support.ts"

describe("examples/smallest", () => {
  it("runs a turn", async () => {
    const folder = await prepare("smallest")
    const { code, stderr, stdout } = await npmRun(folder, "start")
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(stdout, "I've added 'Buy milk' to your list as task 1.\n")
  })
})
