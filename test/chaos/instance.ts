// As the service itself does.
import "effect/schema/SchemaJITCompiler/enable"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Predicate, References } from "effect"
import * as Config from "../../src/app/Config.ts"
import * as Service from "../../src/app/Service.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { stoppedLine } from "./stops.ts"

/*
 * The service as its own entry point starts it, but that its clock may be wrong and that it may stop at a commit of the
 * protocol, to be killed there:
 *
 * CHAOS_CLOCK="60000": by so many milliseconds the clock is ahead.
 * CHAOS_STOP="after step 2": before or after the second call of that operation of the store; "within" a step is behind
 * its tools, and just before its commit.
 * CHAOS_STEPPED: a step is a transaction in which its calls are carried out one by one, as for tools of an application's
 * own, and not one statement.
 */

const wrong = Number(process.env["CHAOS_CLOCK"] ?? 0)
if (wrong !== 0) {
  const Right = Date
  globalThis.Date = class extends Right {
    constructor(...args: [] | [number | string | Date]) {
      // @effect-diagnostics-next-line globalDate:off -- it is what is wrong
      super(...((args.length === 0 ? [Right.now() + wrong] : args) as [number]))
    }
    static override now() {
      // @effect-diagnostics-next-line globalDate:off -- as above
      return Right.now() + wrong
    }
  } as DateConstructor
}

const [where, operation, times] = (process.env["CHAOS_STOP"] ?? "").split(" ")
let left = Number(times)

const stop = Effect.suspend(() => {
  process.stdout.write(`${stoppedLine}\n`)
  return Effect.never
})

/** Whether it is to stop at this place of this call. */
const stopsAt = (place: string, name: string) => place === where && name === operation && --left === 0

/** What an operation answers when it has not written anything. */
const wroteNothing = new Set(["Busy", "Running", "Completed", "KeyReused", "NotFound", "RateLimited", "Gone", "Lost"])

const stopping =
  (name: keyof ConversationRepo["Service"]) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      if (stopsAt("before", name)) return stop
      return Effect.tap(effect, (outcome) => {
        const tag = Predicate.hasProperty(outcome, "_tag") ? String(outcome._tag) : ""
        const wrote = name === "complete" ? tag === "Completed" : !wroteNothing.has(tag)
        return wrote && stopsAt("after", name) ? stop : Effect.void
      })
    })

const stoppingRepo = Layer.effect(
  ConversationRepo,
  Effect.map(ConversationRepo, (repo) =>
    ConversationRepo.of({
      ...repo,
      begin: (...args) => stopping("begin")(repo.begin(...args)),
      takeUp: (...args) => stopping("takeUp")(repo.takeUp(...args)),
      step: (claim, request, work, leaseMillis) => {
        // Within one statement there is no place to stop at: a step that may stop is carried out call by call.
        const execute = Effect.tap(work.execute, () => (stopsAt("within", "step") ? stop : Effect.void))
        const stepped = where === "within" || process.env["CHAOS_STEPPED"] !== undefined
        return stopping("step")(repo.step(claim, request, stepped ? { execute } : work, leaseMillis))
      },
      complete: (...args) => stopping("complete")(repo.complete(...args)),
      fail: (...args) => stopping("fail")(repo.fail(...args)),
      renew: (...args) => stopping("renew")(repo.renew(...args)),
      handBack: (...args) => stopping("handBack")(repo.handBack(...args))
    })
  )
)

const program = Effect.gen(function* () {
  const config = yield* Config.load
  const ports = Layer.provideMerge(stoppingRepo, Service.adapters(config))
  return yield* Layer.launch(Layer.provide(Service.serve(config), ports)).pipe(
    Effect.provideService(References.MinimumLogLevel, config.logLevel)
  )
})

NodeRuntime.runMain(program, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
