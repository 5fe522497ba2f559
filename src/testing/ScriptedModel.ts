import { Context, Effect, Layer } from "effect"
import { type Completion, LLM, type ModelFailed, type OnText, type Prompt } from "../ports/LLM.ts"

/** One line of a script: an answer, a failure, or whatever a function makes of the prompt. */
export type Line =
  | Completion
  | ModelFailed
  | ((prompt: Prompt, onText?: OnText) => Effect.Effect<Completion, ModelFailed>)

/** What the model was asked, in order. */
export class ScriptedModel extends Context.Service<
  ScriptedModel,
  {
    readonly prompts: ReadonlyArray<Prompt>
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
            if (line === undefined) return Effect.die(new Error("The script of the model is over"))
            if (typeof line === "function") return line(prompt, onText)
            return "_tag" in line ? Effect.fail(line) : Effect.succeed(line)
          })
      }).pipe(
        Context.add(ScriptedModel, {
          prompts,
          extend: (...more) => Effect.sync(() => void lines.push(...more))
        })
      )
    })
  )

const usage = { promptTokens: 10, completionTokens: 5 }

/** The line in which the model says something. */
export const says = (text: string): Completion => ({ text, toolCalls: [], finishReason: "stop", usage })

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
