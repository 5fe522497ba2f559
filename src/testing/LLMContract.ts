import type { Layer } from "effect"
import type { LLM } from "../ports/LLM.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./LLMObligations.ts"

export const obligations = Obligations.obligations

/** Tests that an adapter of `LLM` keeps to its port, given a model that asks for `add_task` when told to add milk and talks when thanked. */
export const suite = <E>(name: string, adapter: Layer.Layer<LLM, E>): void => Contract.suite(name, adapter, obligations)
