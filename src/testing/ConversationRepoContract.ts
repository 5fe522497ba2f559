import type { Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./ConversationRepoObligations.ts"

export const obligations = Obligations.obligations

/** Tests that an adapter of `ConversationRepo` keeps to its port, with the `TaskTools` that share its store. */
export const suite = <E>(name: string, adapter: Layer.Layer<ConversationRepo | TaskTools, E>): void =>
  Contract.suite(name, adapter, obligations)
