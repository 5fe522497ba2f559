import type { Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { DirectCallRepo } from "../ports/DirectCallRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./DirectCallRepoObligations.ts"

export const obligations = Obligations.obligations
export const outOfReach = Obligations.outOfReach

/**
 * Tests that an adapter of `DirectCallRepo` keeps to its port, with the `TaskTools` that join its transactions and the
 * `ConversationRepo` that erases users.
 *
 * - `unreachable`: the adapter on a store that is out of reach, for what it must do then
 */
export const suite = <E, E2 = never>(
  name: string,
  adapter: Layer.Layer<ConversationRepo | DirectCallRepo | TaskTools, E>,
  { unreachable }: { readonly unreachable?: Layer.Layer<DirectCallRepo, E2> } = {}
): void => {
  Contract.suite(name, adapter, obligations)
  if (unreachable !== undefined) Contract.suite(`${name}, out of reach`, unreachable, outOfReach)
}
