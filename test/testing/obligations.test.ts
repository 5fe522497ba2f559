import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as AuthObligations from "../../src/testing/AuthObligations.ts"
import * as ConversationRepoObligations from "../../src/testing/ConversationRepoObligations.ts"
import * as DirectCallRepoObligations from "../../src/testing/DirectCallRepoObligations.ts"
import * as LLMObligations from "../../src/testing/LLMObligations.ts"
import type { Obligation, ObligationBroken } from "../../src/testing/Obligation.ts"
import * as TaskToolsObligations from "../../src/testing/TaskToolsObligations.ts"
import * as TurnNewsObligations from "../../src/testing/TurnNewsObligations.ts"
import * as auth from "./mutants/Auth.ts"
import * as conversationRepo from "./mutants/ConversationRepo.ts"
import * as directCallRepo from "./mutants/DirectCallRepo.ts"
import * as llm from "./mutants/LLM.ts"
import type { Mutant } from "./mutants/Mutant.ts"
import * as outOfReach from "./mutants/OutOfReach.ts"
import * as taskTools from "./mutants/TaskTools.ts"
import * as turnNews from "./mutants/TurnNews.ts"

type Check = Effect.Effect<void, ObligationBroken>

/** For checks that wait for what does not come: the time that they wait goes by at once. */
const onSimulatedTime = (check: Check): Check =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(check)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    yield* Fiber.join(fiber)
  }).pipe(Effect.provide(TestClock.layer()))

/** That the obligations hold of an adapter that is right, and that each is broken by a mutant, and says so. */
const proves = <Port>(
  title: string,
  obligations: ReadonlyArray<Obligation<Port>>,
  right: Layer.Layer<Port>,
  mutants: ReadonlyArray<Mutant<Port>>,
  run: (check: Check) => Check = (check) => check
) =>
  describe(title, () => {
    const names = obligations.map(({ name }) => name)

    it("have names of their own", () => {
      assert.lengthOf(new Set(names), names.length)
    })

    it("have a mutant each", () => {
      const broken = new Set(mutants.flatMap(({ breaks }) => breaks))
      assert.sameMembers([...broken], names)
    })

    for (const { check, name, port } of obligations) {
      it.live(`hold of an adapter that is right: ${name}`, () => run(Effect.provide(check, Layer.fresh(right))))

      for (const mutant of mutants.filter(({ breaks }) => breaks.includes(name))) {
        it.live(`catch one that ${mutant.name}: ${name}`, () =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(run(Effect.provide(check, Layer.fresh(mutant.layer))))
            assert.strictEqual(error._tag, "ObligationBroken")
            assert.deepStrictEqual([error.port, error.obligation], [port, name])
            const lead = `${port}, "${name}": `
            assert.strictEqual(error.message.slice(0, lead.length), lead)
            assert.isAbove(error.message.length, lead.length)
          })
        )
      }
    }
  })

describe("the obligations of", () => {
  proves("ConversationRepo", ConversationRepoObligations.obligations, Memory.layer, conversationRepo.mutants)
  proves(
    "ConversationRepo, out of reach",
    ConversationRepoObligations.outOfReach,
    outOfReach.right,
    outOfReach.conversationRepo
  )
  proves("TaskTools", TaskToolsObligations.obligations, Memory.layer, taskTools.mutants)
  proves("TaskTools, out of reach", TaskToolsObligations.outOfReach, outOfReach.right, outOfReach.taskTools)
  proves("DirectCallRepo", DirectCallRepoObligations.obligations, Memory.layer, directCallRepo.mutants)
  proves(
    "DirectCallRepo, out of reach",
    DirectCallRepoObligations.outOfReach,
    outOfReach.right,
    outOfReach.directCallRepo
  )
  proves("LLM", LLMObligations.obligations, llm.right, llm.mutants)
  proves("LLM, whose provider fails", LLMObligations.whenItFails, llm.rightFailing, llm.mutantsFailing)
  proves("LLM, whose provider hangs", LLMObligations.whenItHangs, llm.rightHanging, llm.mutantsHanging, onSimulatedTime)
  proves("Auth", AuthObligations.obligations(auth.tokens), auth.right, auth.mutants)
  proves(
    "Auth, out of reach",
    AuthObligations.outOfReach(auth.tokens.users[0][0]),
    auth.rightOutOfReach,
    auth.mutantsOutOfReach
  )
  proves("TurnNews", TurnNewsObligations.obligations, turnNews.right, turnNews.mutants, onSimulatedTime)
})
