import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Client from "../../../src/adapters/http/Client.ts"
import { userId as id } from "../../../src/adapters/http/Examples.ts"
import { ConversationId } from "../../../src/domain/model/Conversation.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import { authorization } from "./contract/morning.ts"
import { serveService } from "./contract/service.ts"

const user_id = UserId.make(id)
const token = Redacted.make(authorization.replace("Bearer ", ""))

describe("the client of the API", () => {
  it.live("talks, and is answered in the terms of the model", () =>
    Effect.gen(function* () {
      const client = yield* Client.make({ baseUrl: yield* serveService, token })
      const send = client.chat.send({
        params: { user_id },
        headers: { "idempotency-key": IdempotencyKey.make("milk-1") },
        payload: { message: "Add a task to buy milk" }
      })
      const first = yield* send
      assert.deepStrictEqual(
        first.body.toolCalls.map((call) => call.toolName),
        ["add_task"]
      )
      assert.isUndefined(first.headers["idempotency-replayed"])
      const again = yield* send
      assert.deepStrictEqual(again.body, first.body)
      assert.strictEqual(again.headers["idempotency-replayed"], "true")
      const tasks = yield* client.tasks.list({ params: { user_id }, query: {} })
      assert.deepStrictEqual(
        tasks.data.map((task) => [task.title, task.completed]),
        [["Buy milk", false]]
      )
      assert.deepStrictEqual(yield* client.me.get(), { id: user_id, name: "Demo" })
    }).pipe(Effect.provide(FetchHttpClient.layer), Effect.scoped)
  )

  it.live("fails with the problems of the endpoint", () =>
    Effect.gen(function* () {
      const baseUrl = yield* serveService
      const client = yield* Client.make({ baseUrl, token })
      const conversation_id = ConversationId.make("01a2042f-8aa5-72b6-9ae9-a3118d271c9d")
      const missing = yield* Effect.flip(client.conversations.get({ params: { user_id, conversation_id } }))
      assert.propertyVal("error" in missing ? missing.error : {}, "code", "not_found")
      const stranger = yield* Client.make({ baseUrl, token: Redacted.make("nobody's") })
      const refused = yield* Effect.flip(stranger.me.get())
      assert.propertyVal("body" in refused ? refused.body : {}, "status", 401)
    }).pipe(Effect.provide(FetchHttpClient.layer), Effect.scoped)
  )
})
