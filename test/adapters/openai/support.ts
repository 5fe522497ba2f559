import { inspect } from "node:util"
import { assert } from "@effect/vitest"
import { Cause, Effect, Redacted } from "effect"
import { layer, type OpenAiOptions } from "../../../src/adapters/openai/OpenAiModel.ts"
import { LLM, type ModelFailed, type OnText, type Prompt } from "../../../src/ports/LLM.ts"
import { ModelServer, type Scripted } from "../../support/model-server.ts"

/** What must never come out in an error: the key, what the user said, and what the provider said. */
export const canary = "canary5f0ac1d2e9b84736"
const said = "the user's secret is plum"
export const providerText = "the provider repeats everything"

export const prompt: Prompt = { system: "You keep tasks.", messages: [{ role: "user", content: said }], tools: [] }

/** Asks the model at `baseUrl` once; `undefined` leaves the address out. */
export const askAt = (
  baseUrl: string | undefined,
  options: Partial<OpenAiOptions> = {},
  asked: Prompt = prompt,
  onText?: OnText
) =>
  LLM.use((llm) => llm.complete(asked, onText)).pipe(
    Effect.provide(
      layer({
        apiKey: Redacted.make(canary),
        model: "gpt-4",
        ...(baseUrl === undefined ? {} : { baseUrl }),
        ...options
      })
    )
  )

/** Asks the stand-in once. */
export const ask = (options: Partial<OpenAiOptions> = {}, asked: Prompt = prompt) =>
  Effect.flatMap(ModelServer, (server) => askAt(server.baseUrl, options, asked))

/** Asks the stand-in once for an answer piece by piece. */
export const streamTo = (onText: OnText) =>
  Effect.flatMap(ModelServer, (server) => askAt(server.baseUrl, {}, prompt, onText))

/** Asks the stand-in, which replies so, and gives what it failed with: after one request, and with nothing that is secret. */
export const failure = Effect.fnUntraced(function* (reply: Scripted, options: Partial<OpenAiOptions> = {}) {
  const server = yield* ModelServer
  yield* server.script(reply)
  const error = yield* Effect.flip(ask(options))
  assert.strictEqual(server.requests.length, 1, "one request for one call")
  assert.isUndefined(server.requests[0]?.invalid)
  assertHarmless(error)
  return error
})

/** That no way of printing the error shows what must not come out. */
export const assertHarmless = (error: ModelFailed): void => {
  assert.strictEqual(error._tag, "ModelFailed")
  const renderings = [
    String(error),
    String(error.cause),
    String(error.stack),
    JSON.stringify(error),
    Cause.pretty(Cause.fail(error)),
    inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }),
    inspect(error.cause, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true })
  ]
  for (const rendering of renderings) {
    for (const secret of [canary, said, providerText]) assert.notInclude(rendering, secret)
  }
}
