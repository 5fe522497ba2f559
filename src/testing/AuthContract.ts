import type { Layer } from "effect"
import type { Auth } from "../ports/Auth.ts"
import * as Obligations from "./AuthObligations.ts"
import * as Contract from "./Contract.ts"

export const obligations = Obligations.obligations

/** Tests that an adapter of `Auth` keeps to its port, given two tokens and whose they are. */
export const suite = <E>(name: string, adapter: Layer.Layer<Auth, E>, users: Obligations.Users): void =>
  Contract.suite(name, adapter, obligations(users))
