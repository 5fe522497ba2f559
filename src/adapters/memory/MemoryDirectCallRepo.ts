import { Clock, Effect, Layer, Option } from "effect"
import type { UserId } from "../../domain/model/User.ts"
import {
  type CallBegun,
  type Carried,
  DirectCallRepo,
  type KeyedCall,
  type KeyRefused
} from "../../ports/DirectCallRepo.ts"
import { type DirectCallRow, MemoryStore, stateOf, withEntry } from "./MemoryStore.ts"

/** `DirectCallRepo` in memory. */
export const layer: Layer.Layer<DirectCallRepo, never, MemoryStore> = Layer.effect(
  DirectCallRepo,
  Effect.gen(function* () {
    const { exclusively, transaction, users } = yield* MemoryStore

    const put = (userId: UserId, row: DirectCallRow): void => {
      const state = stateOf(users, userId)
      users.set(userId, { ...state, directCalls: withEntry(state.directCalls, row.key, row) })
    }

    const begin = (userId: UserId, { callId, fingerprint, key, keysAtMost }: KeyedCall) =>
      Effect.map(Clock.currentTimeMillis, (now): CallBegun | Carried | KeyRefused => {
        const { directCalls } = stateOf(users, userId)
        const row = directCalls.get(key)
        if (row === undefined) {
          if (directCalls.size >= keysAtMost) return { _tag: "TooManyKeys" }
          put(userId, { key, fingerprint, callId, result: null, createdAt: now })
          return { _tag: "Begun", callId }
        }
        if (row.fingerprint !== fingerprint) return { _tag: "KeyReused" }
        return row.result === null ? { _tag: "Begun", callId: row.callId } : { _tag: "Carried", result: row.result }
      })

    const finish: DirectCallRepo["Service"]["finish"] = (userId, key, callId, result) =>
      Effect.sync(() => {
        const row = stateOf(users, userId).directCalls.get(key)
        // Erased meanwhile: there is nothing to keep it in.
        if (row === undefined || row.callId !== callId) return result
        if (row.result === null) put(userId, { ...row, result })
        return row.result ?? result
      })

    return DirectCallRepo.of({
      perform: (userId, keyed, execute) =>
        transaction(
          userId,
          Effect.gen(function* () {
            if (Option.isNone(keyed)) return { _tag: "Carried", result: yield* execute } as const
            const begun = yield* begin(userId, keyed.value)
            if (begun._tag !== "Begun") return begun
            const result = yield* finish(userId, keyed.value.key, begun.callId, yield* execute)
            return { _tag: "Carried", result } as const
          })
        ),
      begin: (userId, keyed) => exclusively(begin(userId, keyed)),
      finish: (userId, key, callId, result) => exclusively(finish(userId, key, callId, result)),
      sweep: (afterMillis) =>
        exclusively(
          Effect.map(Clock.currentTimeMillis, (now) => {
            for (const [userId, state] of users) {
              const directCalls = new Map(
                [...state.directCalls].filter(([, { createdAt }]) => createdAt >= now - afterMillis)
              )
              users.set(userId, { ...state, directCalls })
            }
          })
        )
    })
  })
)
