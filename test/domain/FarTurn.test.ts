import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeFarTurn } from "../../src/domain/FarTurn.ts"
import { ConversationRepo, type Glance } from "../../src/ports/ConversationRepo.ts"
import { says } from "../../src/testing/ScriptedModel.ts"
import { ada, instance, message, replyOf, repositories } from "../support/instance.ts"

it.effect("what was told while a turn ran is not taken for its reply", () =>
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const { chat } = yield* instance([says("All of it")])
    const { turnId } = replyOf(yield* chat.send(message("Hello")))
    const turn = makeFarTurn(repo, yield* repo.turn(ada.id, turnId))
    const late: Glance = {
      turnId,
      status: "completed",
      attempt: 1,
      steps: 0,
      told: { from: 0, text: "All", calls: [] }
    }
    yield* turn.see(late)
    assert.strictEqual(turn.account().current.text, "All of it")
  }).pipe(Effect.provide(repositories))
)
