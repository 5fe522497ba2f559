import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { UserId } from "../../src/domain/model/User.ts"
import * as Tools from "../../src/domain/Tools.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { adversarialCalls, foreignTitle } from "../../src/testing/Adversary.ts"
import { ada, repositories } from "../support/instance.ts"

describe("Tools", () => {
  it.effect("reads and changes nothing of another user's in 10,000 calls that a model makes up", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const tools = yield* Tools.Tools
      const bob = UserId.make("bob")
      for (let i = 0; i < 40; i++) yield* tasks.add(bob, { title: foreignTitle, description: foreignTitle }, null)
      const everything = { status: "all", limit: 200, after: Option.none() } as const
      const before = yield* tasks.list(bob, everything)
      let done = 0
      for (const [name, args] of adversarialCalls(bob, 10_000)) {
        const { result, status } = yield* tools.prepare(ada.id, name, args, "").execute
        const told = JSON.parse(result)
        assert.strictEqual(told.success, status === "success")
        assert.notInclude(result, foreignTitle)
        assert.isTrue(result.isWellFormed() && !result.includes("\\u0000"))
        if (status === "success") done++
      }
      assert.deepStrictEqual(yield* tasks.list(bob, everything), before)
      // Most are refused, and what is not was done for Ada.
      assert.isAbove(done, 1000)
      assert.isBelow(done, 9000)
      assert.notProperty({}, "user_id")
    }).pipe(Effect.provide(Layer.provideMerge(Tools.layer, repositories)))
  )
})
