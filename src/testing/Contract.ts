import { layer as withLayer } from "@effect/vitest"
import type { Layer } from "effect"
import type { Obligation } from "./Obligation.ts"

/** How long an obligation, or a layer, may take before it counts as hanging, in milliseconds. */
const patience = 60_000

/**
 * Registers obligations as tests of vitest: one each, by its name. The layer is built once for all of them, on the real clock,
 * and closed behind the last; they keep apart by their users.
 */
export const suite = <Port, E>(
  name: string,
  adapter: Layer.Layer<Port, E>,
  obligations: ReadonlyArray<Obligation<Port>>
): void =>
  withLayer(adapter, { excludeTestServices: true, timeout: patience })(`${obligations[0]?.port}: ${name}`, (it) => {
    for (const obligation of obligations) it.effect(obligation.name, () => obligation.check, patience)
  })
