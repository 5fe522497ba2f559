import type { Layer } from "effect"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./TaskToolsObligations.ts"

export const obligations = Obligations.obligations
export const outOfReach = Obligations.outOfReach

/**
 * Tests that an adapter of `TaskTools` keeps to its port. That it joins the transaction of a step is a matter of
 * `ConversationRepoContract`.
 *
 * - `unreachable`: the adapter on a store that is out of reach, for what it must do then
 */
export const suite = <E, E2 = never>(
  name: string,
  adapter: Layer.Layer<TaskTools, E>,
  { unreachable }: { readonly unreachable?: Layer.Layer<TaskTools, E2> } = {}
): void => {
  Contract.suite(name, adapter, obligations)
  if (unreachable !== undefined) Contract.suite(`${name}, out of reach`, unreachable, outOfReach)
}
