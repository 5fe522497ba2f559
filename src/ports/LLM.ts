import { Context, type Effect, type JsonSchema, Schema } from "effect"
import { ModelFailureReason, type Usage } from "../domain/model/Turn.ts"

/** A tool that the model may ask for. */
export interface ToolDefinition {
  readonly name: string
  readonly description: string
  /** JSON Schema (draft 2020-12) of the arguments: an object. */
  readonly parameters: JsonSchema.JsonSchema
}

/** A tool call as the model asks for it. */
export interface RequestedCall {
  /** The model's own name for the call, by which it finds the result. */
  readonly id: string
  readonly name: string
  /** The arguments as the model wrote them: JSON if all is well. */
  readonly arguments: string
}

/** One entry of the talk that the model is shown. Each call in an assistant's entry is followed by its one result. */
export type PromptMessage =
  | { readonly role: "user"; readonly content: string }
  | { readonly role: "assistant"; readonly content: string; readonly toolCalls: ReadonlyArray<RequestedCall> }
  | { readonly role: "tool"; readonly toolCallId: string; readonly content: string }

/** All that a model is told. */
export interface Prompt {
  readonly system: string
  /** Oldest first; the last one is the user's message, or the result of a call that the model asked for. */
  readonly messages: ReadonlyArray<PromptMessage>
  readonly tools: ReadonlyArray<ToolDefinition>
}

/** What a model answers. */
export interface Completion {
  /** What it says; empty when it only asks for tools. */
  readonly text: string
  readonly toolCalls: ReadonlyArray<RequestedCall>
  /** `length`: the answer was cut at the greatest number of tokens allowed. */
  readonly finishReason: "stop" | "tool_calls" | "length"
  readonly usage: Usage
}

/** The model gave no answer that can be used. */
export class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", {
  /**
   * - `rate_limited`, `overloaded`: it asks for patience
   * - `timed_out`, `unreachable`: no answer, or one that was cut
   * - `unavailable`: it has failed so often that it was not asked; the domain says so, never an adapter
   * - `bad_answer`: an answer that is not what the protocol says, or an empty one
   * - `refused`: the provider's content filter
   * - `context_too_long`: the prompt does not fit
   * - `misconfigured`: wrong key, model or address, or a request that the provider does not understand
   */
  reason: ModelFailureReason,
  /** How long the provider asks to wait, in milliseconds. */
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  /** What the failed answer used, when it said so. */
  usage: Schema.optionalKey(Schema.Struct({ promptTokens: Schema.Finite, completionTokens: Schema.Finite })),
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** Is told more of what the model says. */
export type OnText = (text: string) => void

/** A language model that can ask for tools. */
export class LLM extends Context.Service<
  LLM,
  {
    /**
     * Asks the model once: an adapter must not try again by itself, since the policy for that is the domain's.
     * Interrupting the effect ends the request. Fails with `ModelFailed` for whatever goes wrong, and only with that.
     *
     * With `onText` the answer is wanted as it is made: it is told each piece of `text`, in order, as soon as it is there. An
     * adapter that cannot do so may tell nothing, or only a beginning. It must not throw, and nobody waits for it.
     */
    readonly complete: (prompt: Prompt, onText?: OnText) => Effect.Effect<Completion, ModelFailed>
  }
>()("turnkeeper/ports/LLM") {}
