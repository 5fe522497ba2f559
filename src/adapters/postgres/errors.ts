import { Cause, Effect, Predicate, Schedule, Schema } from "effect"
import { SqlError } from "effect/sql"
import { StorageUnavailable } from "../../domain/model/Errors.ts"
import { retryFailed } from "../../domain/Retry.ts"
import { CallFailed } from "../../domain/Tool.ts"

const isUnavailable = Schema.is(StorageUnavailable)
const isCallFailed = Schema.is(CallFailed)
const isSqlError = Schema.is(SqlError.SqlError)

/** The SQLSTATE that the server gave, if it was the server that spoke. */
const sqlState = (error: SqlError.SqlError): string | undefined => {
  const cause = error.reason.cause
  return Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined
}

/** Whether the statement itself was wrong: a bug of ours, which no later attempt would cure. */
const isBug = (error: SqlError.SqlError): boolean => {
  switch (error.reason._tag) {
    case "SqlSyntaxError":
    case "ConstraintError":
    case "UniqueViolation":
      return true
    default:
      return sqlState(error)?.startsWith("22") ?? false // data exceptions
  }
}

/** Whether a transaction fell to a deadlock or a conflict, so that the same again is likely to succeed. */
export const isConflict = (error: unknown): boolean => {
  if (isUnavailable(error)) return isConflict(error.cause) // one of a tool's, inside the transaction
  return isSqlError(error) && (error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError")
}

/**
 * A tool of the application's that fell to a conflict has not failed: its step has, which is carried out again. This makes it that
 * of the step.
 */
export const conflictsOfTools =
  (operation: string) =>
  <E>(error: E): E | StorageUnavailable =>
    isCallFailed(error) && isConflict(error.reason) ? new StorageUnavailable({ operation, cause: error.reason }) : error

/** Whether a lock was not to be had in time. */
export const isLockTimeout = (error: unknown): error is SqlError.SqlError =>
  isSqlError(error) && error.reason._tag === "LockTimeoutError"

/**
 * Tries again what fell to a lock or to a deadlock. A statement holds up whatever shares its connection, so it waits for a
 * lock for a moment only, and then makes way before it tries again.
 */
export const retryLocks = retryFailed({
  schedule: Schedule.spaced("50 millis").pipe(Schedule.jittered, Schedule.upTo({ duration: "4 seconds" })),
  while: (error) => isLockTimeout(error) || isConflict(error)
})

/**
 * A connection that breaks inside a transaction comes out as defects: that of the rollback, which cannot be sent any
 * more, and with it what had failed, be it a statement of ours or a tool. This makes it the failure that it is.
 */
export const sqlDefectsAsFailures = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.catchCause(effect, (cause): Effect.Effect<never, E | SqlError.SqlError> => {
    const defects = cause.reasons.filter(Cause.isDieReason).map((reason) => reason.defect)
    const broken = defects.find(isSqlError)
    const known = defects.every((defect) => isSqlError(defect) || isUnavailable(defect))
    return broken !== undefined && known && !Cause.hasInterrupts(cause) ? Effect.fail(broken) : Effect.failCause(cause)
  })

/**
 * Turns what the database could not do just now into `StorageUnavailable`, which names the operation and never a value.
 * What is a bug (wrong SQL, a violated constraint) dies.
 */
export const storageErrors =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>) =>
    Effect.catchIf(effect, isSqlError, (error) =>
      isBug(error) ? Effect.die(error) : Effect.fail(new StorageUnavailable({ operation, cause: error }))
    )

/** The same, and gives the operation 20 seconds. */
export const asStorage =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>) =>
    effect.pipe(
      storageErrors(operation),
      // Made when it is needed: an error looks where it is made, which takes longer than all else here.
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () => Effect.fail(new StorageUnavailable({ operation }))
      })
    )
