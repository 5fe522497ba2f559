import type { Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./ConversationRepoObligations.ts"

export const obligations = Obligations.obligations
export const outOfReach = Obligations.outOfReach

/**
 * Tests that an adapter of `ConversationRepo` keeps to its port, with the `TaskTools` that share its store.
 *
 * - `unreachable`: the adapter on a store that is out of reach, for what it must do then
 */
export const suite = <E, E2 = never>(
  name: string,
  adapter: Layer.Layer<ConversationRepo | TaskTools, E>,
  { unreachable }: { readonly unreachable?: Layer.Layer<ConversationRepo, E2> } = {}
): void => {
  Contract.suite(name, adapter, obligations)
  if (unreachable !== undefined) Contract.suite(`${name}, out of reach`, unreachable, outOfReach)
}
