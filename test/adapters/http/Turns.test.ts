import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TurnNotFound } from "../../../src/domain/model/Errors.ts"
import type { StoredTurn } from "../../../src/ports/ConversationRepo.ts"
import {
  ada,
  conversation,
  message,
  problemJson,
  replyBody,
  serveFakes,
  toolCallJson,
  turnId
} from "../../support/http.ts"

const path = `/api/v1/users/${ada.id}/turns/${turnId}`
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const known = { id: turnId, conversation_id: conversation.id, tool_calls: [toolCallJson], usage }

const running: StoredTurn = {
  userId: ada.id,
  conversationId: conversation.id,
  turnId,
  status: "running",
  usage: { promptTokens: 3, completionTokens: 2 },
  calls: message.calls,
  attempt: 1,
  steps: [{ content: "", toldFrom: 0 }],
  toldFrom: 0,
  body: null,
  failure: null,
  retryable: false
}

it.live("a turn is told with its answer, which is that of the chat", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const response = yield* server.fetch("GET", path.replace(turnId, turnId.toUpperCase()))
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers["content-type"], "application/json")
    assert.include(response.text, replyBody)
    assert.deepStrictEqual(response.json(), {
      ...known,
      status: "completed",
      failure: null,
      reply: JSON.parse(replyBody)
    })
    assert.deepStrictEqual(server.calls, [["turn", ada.id, turnId]])
  })
)

it.live("a turn is told as far as it has come, and why it failed", () =>
  Effect.gen(function* () {
    const turns: Array<StoredTurn> = [
      running,
      { ...running, status: "failed", failure: { code: "model_failed", reason: "overloaded" }, retryable: true },
      { ...running, status: "failed", failure: { code: "step_limit" } }
    ]
    const server = yield* serveFakes({
      repo: {
        turn: () => {
          const turn = turns.shift()
          return turn === undefined ? Effect.fail(new TurnNotFound({ turnId })) : Effect.succeed(turn)
        }
      }
    })
    const told = Effect.map(server.fetch("GET", path), (response) => response.json())
    assert.deepStrictEqual(yield* told, { ...known, status: "running", failure: null, reply: null })
    assert.deepStrictEqual(yield* told, {
      ...known,
      status: "failed",
      failure: { code: "model_failed", reason: "overloaded", retryable: true },
      reply: null
    })
    assert.deepStrictEqual(yield* told, {
      ...known,
      status: "failed",
      failure: { code: "step_limit", reason: null, retryable: false },
      reply: null
    })
    assert.deepStrictEqual(
      yield* told,
      problemJson(404, "not_found", "There is no such thing", "There is no such turn.")
    )
  })
)
