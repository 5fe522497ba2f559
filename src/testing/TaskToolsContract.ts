import type { Layer } from "effect"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Contract from "./Contract.ts"
import * as Obligations from "./TaskToolsObligations.ts"

export const obligations = Obligations.obligations

/** Tests that an adapter of `TaskTools` keeps to its port. */
export const suite = <E>(name: string, adapter: Layer.Layer<TaskTools, E>): void =>
  Contract.suite(name, adapter, obligations)
