import { Cause, Context, Duration, Effect, type Exit, Layer, Result, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { type Completion, ModelFailed } from "../ports/LLM.ts"

/** How many calls in a row must fail before the model is taken to be down. */
const failuresInARow = 10

/** How long nobody asks it then: a second first, and up to half a minute while it stays away, whatever it asks for. */
const longestPause = "30 seconds"
const pause = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced(longestPause)])

/** How long the one call may take that finds out, since all others are refused meanwhile. */
const probePatience = "15 seconds"

/**
 * Spares those who wait, and a model that is down, calls in vain: once ten calls in a row have failed, by whatever turns
 * of this instance, calls fail at once as `unavailable`. After a pause one call is let through, and if that is answered,
 * all are.
 */
export class ModelBreaker extends Context.Service<
  ModelBreaker,
  {
    /** Makes one call of the model, unless it is taken to be down. A deadline belongs inside, so that it counts. */
    readonly guard: (call: Effect.Effect<Completion, ModelFailed>) => Effect.Effect<Completion, ModelFailed>
  }
>()("turnkeeper/domain/ModelBreaker") {}

export const layer: Layer.Layer<ModelBreaker> = Layer.effect(
  ModelBreaker,
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make({
      tripPolicy: CircuitBreaker.consecutive(failuresInARow),
      openDuration: pause,
      maxOpenDuration: longestPause
    })
    yield* breaker.transitions.pipe(
      Stream.runForEach((transition) => {
        switch (transition.to) {
          case "Open":
            return Effect.logWarning(
              `The model is taken to be down, and not asked for ${Duration.format(transition.retryAfter)}`
            )
          case "Closed":
            return Effect.logInfo("The model answers again")
          case "HalfOpen":
            return Effect.void
        }
      }),
      Effect.forkScoped({ startImmediately: true })
    )
    // While calls succeed there is nothing to ask the breaker and nothing that it would remember.
    let troubled = false
    /** Grows when the model is found to be back: what was asked before that tells nothing of it any more. */
    let era = 0
    const record = (settled: Effect.Effect<Completion, ModelFailed>) =>
      breaker.execute(settled, { key, classify: outcomeOf }).pipe(Effect.catchTag("CircuitBreakerError", () => settled))
    const watched = (call: Effect.Effect<Completion, ModelFailed>) =>
      Effect.suspend(() => {
        const asked = era
        return Effect.flatMap(Effect.exit(call), (exit): Guarded => {
          const outcome = outcomeOf(exit)._tag
          if (outcome === "Ignored" || asked !== era) return exit
          if (outcome === "Success" && !troubled) return exit
          return Effect.flatMap(breaker.state(key), (state) => {
            // Who was asked before the model was taken to be down is late: a probe tells whether it is back.
            if (state._tag !== "Closed") return exit
            troubled = outcome === "Failure"
            return record(exit)
          })
        })
      })
    const probed = (call: Effect.Effect<Completion, ModelFailed>) =>
      breaker.execute(
        // A refusal is an answer as well.
        Effect.onExit(probing(call), (exit) =>
          Effect.sync(() => {
            if (outcomeOf(exit)._tag === "Success") era++
          })
        ),
        { key, classify: outcomeOf }
      )
    return ModelBreaker.of({
      guard: (call) =>
        Effect.suspend(() =>
          troubled
            ? Effect.flatMap(breaker.state(key), (state) => (state._tag === "Closed" ? watched(call) : probed(call)))
            : watched(call)
        ).pipe(Effect.catchTag("CircuitBreakerError", () => Effect.fail(new ModelFailed({ reason: "unavailable" }))))
    })
  })
).pipe(Layer.provide(CircuitBreaker.layerStoreMemory()))

type Guarded = Effect.Effect<Completion, CircuitBreaker.CircuitBreakerError | ModelFailed>

const key = "model"

const probing = Effect.timeoutOrElse<Completion, ModelFailed, never>({
  duration: probePatience,
  orElse: () => Effect.fail(new ModelFailed({ reason: "timed_out" }))
})

/** What a call tells of the model's health: a refusal is an answer, and one that is no use is none. */
const outcomeOf = (exit: Exit.Exit<Completion, ModelFailed>): CircuitBreaker.Outcome => {
  if (exit._tag === "Success") return CircuitBreaker.success
  const error = Cause.findError(exit.cause)
  if (Result.isFailure(error)) return CircuitBreaker.ignored
  switch (error.success.reason) {
    case "overloaded":
    case "rate_limited":
    case "timed_out":
    case "unreachable":
    case "bad_answer":
      return CircuitBreaker.failure({ retryAfter: error.success.retryAfterMillis })
    case "refused":
    case "context_too_long":
    case "misconfigured":
      return CircuitBreaker.success
    case "unavailable":
      return CircuitBreaker.ignored
  }
}
