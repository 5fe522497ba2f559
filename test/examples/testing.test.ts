import { assert, describe, it } from "@effect/vitest"
import { npmRun, prepare } from "./support.ts"

describe("examples/testing", () => {
  it("passes its tests", async () => {
    const folder = await prepare("testing")
    const { code, stderr, stdout } = await npmRun(folder, "test")
    assert.strictEqual(code, 0, stdout + stderr)
    assert.match(stdout, /Tests +4 passed \(4\)/)
  })
})
