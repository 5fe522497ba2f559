import { Context, Effect, Layer } from "effect"
import { StorageUnavailable } from "../domain/model/Errors.ts"
import { ConversationRepo } from "../ports/ConversationRepo.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import * as Intercept from "./Intercept.ts"

/** An operation of a store. */
export type Method = `ConversationRepo.${keyof ConversationRepo["Service"]}` | `TaskTools.${keyof TaskTools["Service"]}`

/** What befalls one call of a store. */
export interface Fault {
  readonly method: Method
  /** Which call of this method it befalls, from 1 on; by default the first. */
  readonly call?: number
  /**
   * - `fails`: with `StorageUnavailable`, and nothing has happened
   * - `fails after`: with `StorageUnavailable`, and it has happened, whatever that was
   * - `hangs`, `hangs after`: the same, and no answer comes
   */
  readonly kind: "fails" | "fails after" | "hangs" | "hangs after"
}

/** What befalls a store, and what it was asked. */
export class Faults extends Context.Service<
  Faults,
  {
    /** Every call there was, in the order in which they began; grows. */
    readonly calls: ReadonlyArray<Method>
    /** Adds faults. A call that was made already is befallen by none. */
    readonly add: (...faults: ReadonlyArray<Fault>) => Effect.Effect<void>
  }
>()("turnkeeper/testing/Faults") {}

/**
 * A store to which these things happen, and which works otherwise. A call that fails inside of a step rolls the step back, as the
 * store does.
 */
export const layer = <E, R>(
  store: Layer.Layer<ConversationRepo | TaskTools, E, R>,
  ...planned: ReadonlyArray<Fault>
): Layer.Layer<ConversationRepo | TaskTools | Faults, E, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tasks = yield* TaskTools
      const faults = [...planned]
      const calls: Array<Method> = []

      const around = <A, E, R>(
        method: Method,
        call: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | StorageUnavailable, R> =>
        Effect.suspend((): Effect.Effect<A, E | StorageUnavailable, R> => {
          calls.push(method)
          const nth = calls.filter((name) => name === method).length
          const fault = faults.find((fault) => fault.method === method && (fault.call ?? 1) === nth)
          const lost = Effect.fail(new StorageUnavailable({ operation: method }))
          switch (fault?.kind) {
            case undefined:
              return call
            case "fails":
              return lost
            case "fails after":
              return Effect.andThen(Effect.exit(call), lost)
            case "hangs":
              return Effect.never
            case "hangs after":
              return Effect.andThen(Effect.exit(call), Effect.never)
          }
        })

      return Context.make(
        ConversationRepo,
        Intercept.conversationRepo(repo, (method, call) => around(`ConversationRepo.${method}`, call))
      ).pipe(
        Context.add(
          TaskTools,
          Intercept.taskTools(tasks, (method, call) => around(`TaskTools.${method}`, call))
        ),
        Context.add(Faults, {
          calls,
          add: (...more) => Effect.sync(() => void faults.push(...more))
        })
      )
    })
  ).pipe(Layer.provide(store))
