import { Context, Duration, Effect, Layer, Option, Schema } from "effect"
import type { CallResult } from "../ports/ConversationRepo.ts"
import { DirectCallRepo, type KeyedCall } from "../ports/DirectCallRepo.ts"
import { repeatedly, soon } from "./Background.ts"
import { uuidV7 } from "./Ids.ts"
import { IdempotencyKeyReused, type StorageUnavailable, TooManyKeys, type TooMuchAtOnce } from "./model/Errors.ts"
import type { IdempotencyKey } from "./model/Turn.ts"
import type { UserId } from "./model/User.ts"
import { FairShare, fairShare } from "./Places.ts"
import { Tools } from "./Tools.ts"

/** For how long a key is remembered: as long as anybody may still be trying. */
const rememberedFor = Duration.hours(24)
const sweepEvery = Duration.hours(1)
/** How many keys are remembered of a user: their results are kept as well. */
const keysAtMost = 10_000

/** A tool call that a client asks for itself. */
export interface DirectCall {
  /** By the session, never by what was sent. */
  readonly userId: UserId
  readonly name: string
  readonly arguments: { readonly [name: string]: Schema.Json }
  readonly idempotencyKey: Option.Option<IdempotencyKey>
}

/** The tools of the agent, for clients that use them themselves, outside of any turn. */
export class DirectCalls extends Context.Service<
  DirectCalls,
  {
    /**
     * Carries a call out, and answers what a model would be told. A user has as many carried out at once as requests over
     * HTTP, and what is asked for beyond that waits.
     *
     * A *transactional* tool works in one transaction; under a key that happens exactly once, and its result is kept for 24
     * hours. An *external* one is called with the same `key` as long as its result is not kept.
     *
     * - fails with `IdempotencyKeyReused` when the key was that of another call, and with `TooManyKeys` after 10,000 of them
     * - fails with `TooMuchAtOnce` when the call has not begun in time
     * - fails with `StorageUnavailable` when it may or may not have happened: under the same key it is safe to ask again
     */
    readonly call: (
      call: DirectCall
    ) => Effect.Effect<CallResult, IdempotencyKeyReused | TooManyKeys | TooMuchAtOnce | StorageUnavailable>
  }
>()("turnkeeper/domain/DirectCalls") {}

/** Without the user's share, which is one for all who carry calls out, whatever their tools. */
export const layerWithoutShare: Layer.Layer<DirectCalls, never, DirectCallRepo | FairShare | Tools> = Layer.effect(
  DirectCalls,
  Effect.gen(function* () {
    const repo = yield* DirectCallRepo
    const tools = yield* Tools
    const { within } = yield* FairShare

    const outside = Effect.fnUntraced(function* (call: DirectCall, args: string, keyed: KeyedCall) {
      const begun = yield* repo.begin(call.userId, keyed)
      if (begun._tag !== "Begun") return begun
      const { execute } = tools.prepare(call.userId, call.name, args, begun.callId)
      const result = yield* repo.finish(call.userId, keyed.key, begun.callId, yield* execute)
      return { _tag: "Carried", result } as const
    })

    const carryOut = Effect.fnUntraced(function* (call: DirectCall) {
      const callId = yield* uuidV7
      const args = encodeJson(call.arguments)
      const keyed = Option.map(call.idempotencyKey, (key) => ({
        key,
        fingerprint: encodeJson([call.name, sorted(call.arguments)]),
        callId,
        keysAtMost
      }))
      const { execute, isExternal } = tools.prepare(call.userId, call.name, args, callId)
      if (!isExternal) return yield* repo.perform(call.userId, keyed, execute)
      return Option.isSome(keyed)
        ? yield* outside(call, args, keyed.value)
        : ({ _tag: "Carried", result: yield* execute } as const)
    })

    yield* repeatedly("Forgetting keys", sweepEvery, soon(repo.sweep(Duration.toMillis(rememberedFor))))

    return DirectCalls.of({
      call: Effect.fn("DirectCalls.call")(function* (call) {
        const outcome = yield* within(call.userId, carryOut(call))
        switch (outcome._tag) {
          case "Carried":
            return outcome.result
          case "KeyReused":
            return yield* new IdempotencyKeyReused()
          case "TooManyKeys":
            return yield* new TooManyKeys({ limit: keysAtMost })
        }
      })
    })
  })
)

export const layer: Layer.Layer<DirectCalls, never, DirectCallRepo | Tools> = Layer.provide(
  layerWithoutShare,
  fairShare
)

const encodeJson = Schema.encodeSync(Schema.fromJsonString(Schema.Json))

/** The same JSON, whatever the order of an object's members. */
const sorted = (value: Schema.Json): Schema.Json => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)])
  )
}
