import { Context, type Duration, Effect, Layer } from "effect"
import type { ModelFailureReason } from "../domain/model/Turn.ts"
import { type Completion, LLM, ModelFailed, type OnText, type Prompt } from "../ports/LLM.ts"

/** One line of a script: an answer, a failure, or whatever a function makes of the prompt. */
export type Line =
  | Completion
  | ModelFailed
  | ((prompt: Prompt, onText?: OnText) => Effect.Effect<Completion, ModelFailed>)

/** The script of a model, and what it was asked. */
export class ScriptedModel extends Context.Service<
  ScriptedModel,
  {
    /** Every prompt there was, in the order of their arrival; grows. */
    readonly prompts: ReadonlyArray<Prompt>
    /** How many lines are left. */
    readonly left: () => number
    /** Adds lines behind those that are left. */
    readonly extend: (...lines: ReadonlyArray<Line>) => Effect.Effect<void>
  }
>()("turnkeeper/testing/ScriptedModel") {}

/**
 * A model that plays a script: each prompt gets the next line. A prompt behind the last line is a mistake of the test
 * that wrote it, and dies.
 */
export const layer = (...script: ReadonlyArray<Line>): Layer.Layer<LLM | ScriptedModel> =>
  Layer.effectContext(
    Effect.sync(() => {
      const lines = [...script]
      const prompts: Array<Prompt> = []
      return Context.make(LLM, {
        complete: (prompt, onText) =>
          Effect.suspend(() => {
            prompts.push(prompt)
            const line = lines.shift()
            return line === undefined
              ? Effect.die(new Error("The script of the model is over"))
              : play(line, prompt, onText)
          })
      }).pipe(
        Context.add(ScriptedModel, {
          prompts,
          left: () => lines.length,
          extend: (...more) => Effect.sync(() => void lines.push(...more))
        })
      )
    })
  )

/** A model without a script, whose line for each prompt a function chooses: however often it is asked, and by how many. */
export const layerBy = (choose: (prompt: Prompt) => Line): Layer.Layer<LLM> =>
  Layer.succeed(LLM, { complete: (prompt, onText) => Effect.suspend(() => play(choose(prompt), prompt, onText)) })

const play = (line: Line, prompt: Prompt, onText: OnText | undefined): Effect.Effect<Completion, ModelFailed> => {
  if (typeof line === "function") return line(prompt, onText)
  return "_tag" in line ? Effect.fail(line) : Effect.succeed(line)
}

const usage = { promptTokens: 10, completionTokens: 5 }

/** The line in which the model says something. */
export const says = (text: string): Completion => ({ text, toolCalls: [], finishReason: "stop", usage })

/** The line in which the model says something piece by piece, to whoever wants to be told as it is made. */
export const saysInPieces =
  (...pieces: ReadonlyArray<string>): Line =>
  (_, onText) =>
    Effect.as(
      Effect.forEach(
        pieces,
        (piece) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => onText?.(piece))
          ),
        {
          discard: true
        }
      ),
      says(pieces.join(""))
    )

/** The line in which the model asks for tools: the name and the arguments of each. */
export const asks = (...calls: ReadonlyArray<readonly [name: string, args: object | string]>): Completion => ({
  text: "",
  toolCalls: calls.map(([name, args], i) => ({
    id: `call_${i}`,
    name,
    arguments: typeof args === "string" ? args : JSON.stringify(args)
  })),
  finishReason: "tool_calls",
  usage
})

/** The line in which the model fails; the provider may ask to wait for so many milliseconds. */
export const fails = (reason: ModelFailureReason, retryAfterMillis?: number): ModelFailed =>
  new ModelFailed({ reason, ...(retryAfterMillis !== undefined && { retryAfterMillis }) })

/** The line in which the model never answers. */
export const hangs: Line = () => Effect.never

/** A line that takes its time, by the `Clock`. */
export const after =
  (delay: Duration.Input, line: Line): Line =>
  (prompt, onText) =>
    Effect.delay(
      Effect.suspend(() => play(line, prompt, onText)),
      delay
    )
