import { Effect, Layer } from "effect"
import { type Completion, LLM, ModelFailed, type Prompt } from "../../../src/ports/LLM.ts"
import { Provider } from "../../../src/testing/LLMObligations.ts"
import * as ScriptedModel from "../../../src/testing/ScriptedModel.ts"
import { asks, says, saysInPieces } from "../../../src/testing/ScriptedModel.ts"
import type { Mutant } from "./Mutant.ts"

const answer = ({ messages }: Prompt) => {
  const last = messages.at(-1)
  return last?.role === "user" && last.content.startsWith("Add milk")
    ? asks(["add_task", { title: "Milk" }])
    : saysInPieces("You are ", "welcome.")
}

export const right = ScriptedModel.layerBy(answer)

type Complete = LLM["Service"]["complete"]

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (complete: Complete) => Complete
): Mutant<LLM> => ({
  name,
  breaks,
  layer: Layer.effect(
    LLM,
    Effect.map(LLM, ({ complete }) => ({ complete: breaking(complete) }))
  ).pipe(Layer.provide(right))
})

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<LLM>> = [
  mutant(
    "leaves the results of tools out of the prompt",
    ["asks for a tool that it was offered, and goes on from the result"],
    (complete) => (prompt, onText) =>
      complete({ ...prompt, messages: prompt.messages.filter(({ role }) => role === "user") }, onText)
  ),
  mutant(
    "tells any answer as one that has stopped",
    ["asks for a tool that it was offered, and goes on from the result"],
    (complete) => (prompt, onText) =>
      Effect.map(complete(prompt, onText), (said): Completion => ({ ...said, finishReason: "stop" }))
  ),
  mutant("remembers the first prompt", ["talks, and remembers nothing but what the prompt says"], (complete) => {
    let first: Prompt | undefined
    return (prompt, onText) => {
      first ??= prompt
      return complete(first, onText)
    }
  }),
  mutant(
    "tells the pieces of its text twice",
    ["tells of its text, piece by piece, just what it says"],
    (complete) => (prompt, onText) => complete(prompt, (piece) => onText?.(piece + piece))
  ),
  mutant("mixes up what is asked at once", ["answers many at once, each by its own prompt"], (complete) => {
    let latest: Prompt | undefined
    return (prompt, onText) => {
      latest = prompt
      return Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => complete(latest ?? prompt, onText))
      )
    }
  })
]

/** An adapter of a provider that does with each request as told, and counts them. */
const asking = (
  answer: Effect.Effect<Completion, ModelFailed>,
  adapt: (request: Effect.Effect<Completion, ModelFailed>) => Effect.Effect<Completion, ModelFailed>
): Layer.Layer<LLM | Provider> =>
  Layer.suspend(() => {
    let asked = 0
    let waiting = 0
    const request = Effect.suspend(() => {
      asked++
      waiting++
      return Effect.ensuring(
        answer,
        Effect.sync(() => {
          waiting--
        })
      )
    })
    return Layer.merge(
      Layer.succeed(LLM, { complete: () => adapt(request) }),
      Layer.succeed(Provider, { asked: Effect.sync(() => asked), waiting: Effect.sync(() => waiting) })
    )
  })

const failing = Effect.fail(new ModelFailed({ reason: "overloaded" }))

export const rightFailing = asking(failing, (request) => request)

export const mutantsFailing: ReadonlyArray<Mutant<LLM | Provider>> = [
  {
    name: "says of any failure that it was not asked",
    breaks: ["fails with ModelFailed when its provider does, for a reason of the provider's"],
    layer: asking(
      failing,
      Effect.mapError(() => new ModelFailed({ reason: "unavailable" }))
    )
  },
  {
    name: "dies of what the provider says",
    breaks: ["fails with ModelFailed when its provider does, for a reason of the provider's"],
    layer: asking(failing, Effect.orDie)
  },
  {
    name: "answers something when its provider fails",
    breaks: ["fails with ModelFailed when its provider does, for a reason of the provider's"],
    layer: asking(
      failing,
      Effect.orElseSucceed(() => says("Sorry."))
    )
  },
  {
    name: "asks again by itself",
    breaks: ["asks once, and leaves it to the domain to try again"],
    layer: asking(failing, Effect.retry({ times: 2 }))
  }
]

export const rightHanging = asking(Effect.never, (request) => request)

export const mutantsHanging: ReadonlyArray<Mutant<LLM | Provider>> = [
  {
    name: "leaves its request alone when nobody waits",
    breaks: ["ends the request when nobody waits for the answer any more"],
    layer: asking(Effect.never, (request) => Effect.flatMap(Effect.forkDetach(request), () => Effect.never))
  }
]
