import { type Duration, Effect, type Latch, Schedule, type Scope } from "effect"
import { StorageUnavailable } from "./model/Errors.ts"

/**
 * Does something again and again until the scope is closed, with pauses of about this length, or until a latch is opened, which
 * is closed then. A failure is logged, and no end.
 */
export const repeatedly = <R>(
  name: string,
  every: Duration.Duration,
  task: Effect.Effect<void, StorageUnavailable, R>,
  sooner?: Latch.Latch
): Effect.Effect<void, never, R | Scope.Scope> => {
  const once = task.pipe(Effect.catchCause((cause) => Effect.logWarning(`${name} failed, and is tried again`, cause)))
  if (sooner === undefined) {
    return Effect.asVoid(Effect.forkScoped(Effect.repeat(once, Schedule.jittered(Schedule.spaced(every)))))
  }
  const pause = Effect.timeoutOrElse(sooner.await, { duration: every, orElse: () => Effect.void })
  return Effect.asVoid(Effect.forkScoped(Effect.forever(Effect.andThen(once, Effect.andThen(pause, sooner.close)))))
}

/** A store that does not answer must not stop what is done again and again. */
export const soon = <A, E>(operation: Effect.Effect<A, E>): Effect.Effect<A, E | StorageUnavailable> =>
  Effect.timeoutOrElse(operation, {
    duration: "20 seconds",
    orElse: () => Effect.fail(new StorageUnavailable({ operation: "Background" }))
  })
