import { Cause, Effect, Schema } from "effect"

/** Something that a port asks of whoever implements it, and how it is found out whether an adapter does that. */
export interface Obligation<out Port> {
  /** Which port asks for it. */
  readonly port: string
  /** What an adapter does, in few words that stay the same: unique among those of its port. */
  readonly name: string
  /**
   * Tries the adapter in the context, on users of its own, so that many may share one store. Fails with `ObligationBroken` where
   * the adapter does otherwise, whatever it does: fails, dies or answers wrongly.
   */
  readonly check: Effect.Effect<void, ObligationBroken, Port>
}

/** An adapter does not do what its port asks for. */
export class ObligationBroken extends Schema.TaggedError<ObligationBroken>()("ObligationBroken", {
  port: Schema.String,
  obligation: Schema.String,
  /** What was seen instead; of Node's `AssertionError` where something was expected that did not come. */
  cause: Schema.Defect()
}) {
  override get message() {
    return `${this.port}, "${this.obligation}": ${reasonOf(this.cause)}`
  }
}

const reasonOf = (cause: unknown): string =>
  cause instanceof Error
    ? cause.name === "AssertionError"
      ? cause.message
      : cause.message === ""
        ? cause.name
        : `${cause.name}: ${cause.message}`
    : String(cause)

/** Makes obligations of a port: whatever their checks fail with or die of breaks them. */
export const obligationsOf =
  (port: string) =>
  <E, R>(name: string, check: Effect.Effect<void, E, R>): Obligation<R> => ({
    port,
    name,
    check: Effect.catchCause(check, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.fail(new ObligationBroken({ port, obligation: name, cause: Cause.squash(cause) }))
    )
  })
