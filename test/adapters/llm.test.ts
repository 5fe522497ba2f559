import { Effect, Layer, Redacted } from "effect"
import * as OfflineModel from "../../src/adapters/offline/OfflineModel.ts"
import * as OpenAiModel from "../../src/adapters/openai/OpenAiModel.ts"
import * as LLMContract from "../../src/testing/LLMContract.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import { asks, says } from "../../src/testing/ScriptedModel.ts"
import { ModelServer, replies } from "../support/model-server.ts"

LLMContract.suite(
  "memory",
  ScriptedModel.layer(
    asks(["add_task", { title: "Milk" }]),
    ...Array.from({ length: 23 }, () => says("You are welcome."))
  )
)

LLMContract.suite("offline", OfflineModel.layer)

const openAi = Layer.unwrap(
  Effect.gen(function* () {
    const server = yield* ModelServer.make
    yield* server.script(replies.calls([{ name: "add_task", arguments: { title: "Milk" } }]))
    yield* server.otherwise(replies.text("You are welcome."))
    return OpenAiModel.layer({ apiKey: Redacted.make("test"), model: "gpt-4", baseUrl: server.baseUrl })
  })
)
LLMContract.suite("OpenAI", openAi)
