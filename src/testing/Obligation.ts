import { inspect } from "node:util"
import { Cause, Effect, Schema } from "effect"

/** Something that a port asks of whoever implements it, and how it is found out whether an adapter does that. */
export interface Obligation<out Port> {
  /** Which port asks for it. */
  readonly port: string
  /** What an adapter does, in few words that stay the same: unique among those of its port. */
  readonly name: string
  /**
   * Tries the adapter in the context, on users of its own, so that many may share one store. Fails with `ObligationBroken` where
   * the adapter does otherwise, whatever it does: fails, dies or answers wrongly. It wants the real clock.
   */
  readonly check: Effect.Effect<void, ObligationBroken, Port>
}

/** An adapter does not do what its port asks for. */
export class ObligationBroken extends Schema.TaggedError<ObligationBroken>()("ObligationBroken", {
  port: Schema.String,
  obligation: Schema.String,
  /** The port, the obligation, and what was seen instead. */
  message: Schema.String,
  /** What the adapter failed with or died of; Node's `AssertionError` where something was expected that did not come. */
  cause: Schema.Defect()
}) {}

/** Makes obligations of a port: whatever their checks fail with or die of breaks them. */
export const obligationsOf =
  (port: string) =>
  <E, R>(name: string, check: Effect.Effect<void, E, R>): Obligation<R> => ({
    port,
    name,
    check: Effect.catchCause(check, (failed) => {
      if (Cause.hasInterruptsOnly(failed)) return Effect.interrupt
      const cause = Cause.squash(failed)
      const message = `${port}, "${name}": ${reasonOf(cause)}`
      return Effect.fail(new ObligationBroken({ port, obligation: name, message, cause }))
    })
  })

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return inspect(cause)
  if (cause.name === "AssertionError") return cause.message
  // An error of a port says what it is by its fields.
  return cause.message === "" ? inspect({ ...cause }) : `${cause.name}: ${cause.message}`
}
