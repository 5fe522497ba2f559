import { type Duration, Effect, Schedule, type Scope } from "effect"
import { StorageUnavailable } from "./model/Errors.ts"

/** Does something again and again until the scope is closed, with pauses of about this length; a failure is logged, and no end. */
export const repeatedly = <R>(
  name: string,
  every: Duration.Duration,
  task: Effect.Effect<void, StorageUnavailable, R>
): Effect.Effect<void, never, R | Scope.Scope> =>
  task.pipe(
    Effect.catchCause((cause) => Effect.logWarning(`${name} failed, and is tried again`, cause)),
    Effect.repeat(Schedule.jittered(Schedule.spaced(every))),
    Effect.forkScoped,
    Effect.asVoid
  )

/** A store that does not answer must not stop what is done again and again. */
export const soon = <A>(operation: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A, StorageUnavailable> =>
  Effect.timeoutOrElse(operation, {
    duration: "20 seconds",
    orElse: () => Effect.fail(new StorageUnavailable({ operation: "Background" }))
  })
