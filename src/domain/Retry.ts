import { Effect, type Schedule } from "effect"

/**
 * `Effect.retry` for what hardly ever fails: nothing is set up before there is a failure. On the way that every turn goes,
 * the setting up takes as long as half a statement.
 */
export const retryFailed =
  (options: {
    readonly schedule: Schedule.Schedule<unknown>
    readonly times?: number
    readonly while?: (error: unknown) => boolean
  }) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.catch(effect, (error) => {
      let told = false
      const attempt = Effect.suspend(() => {
        if (told) return effect
        told = true
        return Effect.fail(error)
      })
      return Effect.retry(attempt, options)
    })
