import type { Layer } from "effect"
import type { Auth } from "../ports/Auth.ts"
import * as Obligations from "./AuthObligations.ts"
import * as Contract from "./Contract.ts"

export const obligations = Obligations.obligations
export const outOfReach = Obligations.outOfReach

/**
 * Tests that an adapter of `Auth` keeps to its port, given tokens to try it with.
 *
 * - `unreachable`: the adapter where nobody can tell whose the first of the good tokens is
 */
export const suite = <E, E2 = never>(
  name: string,
  adapter: Layer.Layer<Auth, E>,
  { unreachable, ...tokens }: Obligations.Tokens & { readonly unreachable?: Layer.Layer<Auth, E2> }
): void => {
  Contract.suite(name, adapter, obligations(tokens))
  if (unreachable !== undefined) {
    Contract.suite(`${name}, out of reach`, unreachable, outOfReach(tokens.users[0][0]))
  }
}
