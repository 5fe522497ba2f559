import type { Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./TurnNewsObligations.ts"

export const obligations = Obligations.obligations

/** Tests that a `TurnNews` which tells of anything keeps to its port, given a layer of it and of the store that it tells of. */
export const suite = <E>(name: string, adapter: Layer.Layer<ConversationRepo, E>): void =>
  Contract.suite(name, adapter, obligations)
