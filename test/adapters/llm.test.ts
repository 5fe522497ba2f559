import { Effect, Layer, Redacted } from "effect"
import * as OfflineModel from "../../src/adapters/offline/OfflineModel.ts"
import * as OpenAiModel from "../../src/adapters/openai/OpenAiModel.ts"
import type { Prompt } from "../../src/ports/LLM.ts"
import * as LLMContract from "../../src/testing/LLMContract.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import { asks, says } from "../../src/testing/ScriptedModel.ts"
import { faults, ModelServer, type Reply, replies, type Scripted } from "../support/model-server.ts"

const wantsMilk = (last: unknown) => JSON.stringify(last).includes("Add milk")

LLMContract.suite(
  "scripted",
  ScriptedModel.layerBy(({ messages }: Prompt) =>
    wantsMilk(messages.at(-1)) ? asks(["add_task", { title: "Milk" }]) : says("You are welcome.")
  )
)

LLMContract.suite("offline", OfflineModel.layer)

const openAi = Effect.fnUntraced(function* (reply: Scripted) {
  const server = yield* ModelServer.make
  yield* server.otherwise(reply)
  const waiting = () => server.requests.filter((request) => !request.isAborted()).length
  return OpenAiModel.layer({ apiKey: Redacted.make("test"), model: "gpt-4", baseUrl: server.baseUrl }).pipe(
    Layer.merge(
      Layer.succeed(LLMContract.Provider, {
        asked: Effect.sync(() => server.requests.length),
        waiting: Effect.sync(waiting)
      })
    )
  )
})

const asTold: Scripted = ({ body }) =>
  Effect.sync((): Reply => {
    const messages = typeof body === "object" && body !== null && "messages" in body ? body.messages : undefined
    return wantsMilk(Array.isArray(messages) ? messages.at(-1) : undefined)
      ? replies.calls([{ name: "add_task", arguments: { title: "Milk" } }])
      : replies.text("You are welcome.")
  })

LLMContract.suite("OpenAI", Layer.unwrap(openAi(asTold)), {
  failing: Layer.unwrap(openAi(faults.serverError)),
  hanging: Layer.unwrap(openAi(faults.neverAnswers))
})
