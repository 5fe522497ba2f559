import type { Layer } from "effect"
import type { LLM } from "../ports/LLM.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./LLMObligations.ts"

export const obligations = Obligations.obligations
export const whenItFails = Obligations.whenItFails
export const whenItHangs = Obligations.whenItHangs
export const Provider = Obligations.Provider

/**
 * Tests that an adapter of `LLM` keeps to its port, given a model that asks for `add_task` when it is told to add milk, tells
 * that it did so when it is given the result, and talks when it is thanked.
 *
 * - `failing`: the adapter on a provider that fails each request, and counts them
 * - `hanging`: the adapter on a provider that takes each request, and then says nothing
 */
export const suite = <E, E2 = never, E3 = never>(
  name: string,
  adapter: Layer.Layer<LLM, E>,
  {
    failing,
    hanging
  }: {
    readonly failing?: Layer.Layer<LLM | Obligations.Provider, E2>
    readonly hanging?: Layer.Layer<LLM | Obligations.Provider, E3>
  } = {}
): void => {
  Contract.suite(name, adapter, obligations)
  if (failing !== undefined) Contract.suite(`${name}, whose provider fails`, failing, whenItFails)
  if (hanging !== undefined) Contract.suite(`${name}, whose provider hangs`, hanging, whenItHangs)
}
