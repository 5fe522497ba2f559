import { Clock, Effect, Option } from "effect"
import { type DirectCallRow, stateOf, type UserState, withEntry } from "../../../src/adapters/memory/MemoryStore.ts"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import type { CallResult, ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import type { Carried, DirectCallRepo, KeyedCall } from "../../../src/ports/DirectCallRepo.ts"
import type { TaskTools } from "../../../src/ports/TaskTools.ts"
import { type Mutant, type Right, wrong } from "./Mutant.ts"

type Calls = DirectCallRepo["Service"]
type Stores = ConversationRepo | DirectCallRepo | TaskTools

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (right: Right) => Partial<Calls>
): Mutant<Stores> => ({ name, breaks, layer: wrong((right) => ({ calls: breaking(right) })) })

/** One whose `ConversationRepo` is what does otherwise. */
const beside = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (right: Right) => Partial<ConversationRepo["Service"]>
): Mutant<Stores> => ({ name, breaks, layer: wrong((right) => ({ repo: breaking(right) })) })

/** One that takes each call for another one. */
const seen = (
  name: string,
  breaks: ReadonlyArray<string>,
  as: (call: KeyedCall, userId: UserId) => Partial<KeyedCall>
) =>
  mutant(name, breaks, ({ calls }) => {
    const other = (userId: UserId, call: KeyedCall) => ({ ...call, ...as(call, userId) })
    return {
      perform: (userId, keyed, execute) =>
        calls.perform(
          userId,
          Option.map(keyed, (call) => other(userId, call)),
          execute
        ),
      begin: (userId, keyed) => calls.begin(userId, other(userId, keyed))
    }
  })

const rowsOf = ({ users }: Right, userId: UserId) => stateOf(users, userId).directCalls

const setRows = ({ users }: Right, userId: UserId, directCalls: ReadonlyMap<IdempotencyKey, DirectCallRow>): void => {
  users.set(userId, { ...stateOf(users, userId), directCalls })
}

/** Puts rows back that an operation has taken away. */
const keeping =
  (right: Right, keeps: (row: DirectCallRow, userId: UserId) => boolean) =>
  <A, E>(operation: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const before = [...right.users].map(([userId, state]) => [userId, state.directCalls] as const)
      return Effect.tap(operation, () =>
        Effect.sync(() => {
          for (const [userId, rows] of before) {
            const kept = [...rows].filter(([, row]) => keeps(row, userId))
            setRows(right, userId, new Map([...rowsOf(right, userId), ...kept]))
          }
        })
      )
    })

const rewritten = ({ result, status }: CallResult): CallResult => ({
  status,
  result: JSON.stringify(JSON.parse(result))
})

const carried = (result: CallResult): Carried => ({ _tag: "Carried", result })

/** Performs a call and keeps what came of it, without a transaction around both. */
const apart = (
  { calls }: Right,
  userId: UserId,
  call: KeyedCall,
  execute: Parameters<Calls["perform"]>[2]
): ReturnType<Calls["perform"]> =>
  Effect.gen(function* () {
    const result = yield* execute
    const begun = yield* calls.begin(userId, call)
    if (begun._tag !== "Begun") return begun
    return carried(yield* calls.finish(userId, call.key, begun.callId, result))
  })

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<Stores>> = [
  mutant("remembers a call without a key", ["performs a call without a key whenever it is asked to"], ({ calls }) => ({
    perform: (userId, keyed, execute) =>
      Effect.flatMap(uuidV7, (callId) => {
        const anonymous = { key: IdempotencyKey.make("none"), fingerprint: "", callId, keysAtMost: 100 }
        return calls.perform(
          userId,
          Option.orElseSome(keyed, () => anonymous),
          execute
        )
      })
  })),
  mutant(
    "keeps results in a form that orders their keys anew",
    [
      "performs a call once under its key, and answers what came of it to the byte from then on",
      "keeps the id of a call outside of the store, and the first of its results"
    ],
    ({ calls }) => ({
      perform: (userId, keyed, execute) => calls.perform(userId, keyed, Effect.map(execute, rewritten)),
      finish: (userId, key, callId, result) => calls.finish(userId, key, callId, rewritten(result))
    })
  ),
  mutant(
    "performs a call whatever its key",
    ["performs a call once under its key, and answers what came of it to the byte from then on"],
    ({ calls }) => ({ perform: (userId, _, execute) => calls.perform(userId, Option.none(), execute) })
  ),
  mutant(
    "forgets that a call came to an error",
    [
      "performs a call once under its key, and answers what came of it to the byte from then on",
      "keeps the id of a call outside of the store, and the first of its results"
    ],
    ({ calls }) => ({
      perform: (userId, keyed, execute) =>
        calls.perform(
          userId,
          keyed,
          Effect.map(execute, (result) => ({ ...result, status: "success" }))
        ),
      finish: (userId, key, callId, result) => calls.finish(userId, key, callId, { ...result, status: "success" })
    })
  ),
  mutant(
    "looks whether a key is there, and performs the call a moment later",
    ["performs it once however many ask for it at the same moment"],
    (right) => ({
      perform: (userId, keyed, execute) =>
        Effect.suspend(() => {
          const isNew = Option.exists(keyed, ({ key }) => !rowsOf(right, userId).has(key))
          if (Option.isNone(keyed) || !isNew) return right.calls.perform(userId, keyed, execute)
          return Effect.andThen(Effect.yieldNow, apart(right, userId, keyed.value, execute))
        })
    })
  ),
  mutant(
    "looks whether a call that has begun has a result, and performs it a moment later",
    ["performs it once however many ask for it at the same moment"],
    (right) => ({
      perform: (userId, keyed, execute) =>
        Effect.suspend(() => {
          const hasBegun = Option.exists(keyed, ({ key }) => rowsOf(right, userId).get(key)?.result === null)
          if (Option.isNone(keyed) || !hasBegun) return right.calls.perform(userId, keyed, execute)
          return Effect.andThen(Effect.yieldNow, apart(right, userId, keyed.value, execute))
        })
    })
  ),
  mutant("knows a key whosever it is", ["knows a key by its user"], ({ calls }) => {
    const nobody = UserId.make("nobody")
    return {
      perform: (_, keyed, execute) => calls.perform(nobody, keyed, execute),
      begin: (_, keyed) => calls.begin(nobody, keyed),
      finish: (_, ...rest) => calls.finish(nobody, ...rest)
    }
  }),
  mutant("keeps a result by the id of its call, whosever it is", ["knows a key by its user"], (right) => ({
    finish: (userId, key, callId, result) =>
      Effect.andThen(
        Effect.forEach([...right.users.keys()], (other) => right.calls.finish(other, key, callId, result)),
        right.calls.finish(userId, key, callId, result)
      )
  })),
  seen(
    "does not compare calls under one key",
    ["refuses a key that was that of another call, and does nothing then"],
    () => ({ fingerprint: "" })
  ),
  seen(
    "compares the beginnings of calls",
    ["refuses a key that was that of another call, and does nothing then"],
    ({ fingerprint }) => ({ fingerprint: fingerprint.slice(0, 1000) })
  ),
  mutant(
    "takes the latest call for that of its key",
    ["refuses a key that was that of another call, and does nothing then"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.tap(right.calls.begin(userId, keyed), () =>
          Effect.sync(() => {
            const rows = rowsOf(right, userId)
            const row = rows.get(keyed.key)
            if (row === undefined) return
            setRows(right, userId, withEntry(rows, keyed.key, { ...row, fingerprint: keyed.fingerprint }))
          })
        )
    })
  ),
  mutant(
    "looks at the key behind the call",
    [
      "refuses a key that was that of another call, and does nothing then",
      "remembers no more keys of a user than may be; old ones are answered all the same"
    ],
    (right) => ({
      perform: (userId, keyed, execute) =>
        Option.isNone(keyed) ? right.calls.perform(userId, keyed, execute) : apart(right, userId, keyed.value, execute)
    })
  ),
  mutant(
    "performs a call without a key in no transaction",
    ["has nothing of a call that failed, died or was interrupted, nor of its key"],
    ({ calls }) => ({
      perform: (userId, keyed, execute) =>
        Option.isNone(keyed) ? Effect.map(execute, carried) : calls.perform(userId, keyed, execute)
    })
  ),
  mutant(
    "keeps the key of a call that failed",
    ["has nothing of a call that failed, died or was interrupted, nor of its key"],
    ({ calls }) => ({
      perform: (userId, keyed, execute) =>
        Effect.onError(calls.perform(userId, keyed, execute), () =>
          Option.isSome(keyed) ? Effect.ignore(calls.begin(userId, keyed.value)) : Effect.void
        )
    })
  ),
  mutant(
    "undoes what fails, and not what dies",
    ["has nothing of a call that failed, died or was interrupted, nor of its key"],
    ({ calls }) => ({
      perform: (userId, keyed, execute) =>
        Effect.gen(function* () {
          let defect = Option.none<unknown>()
          const caught = Effect.catchDefect(execute, (died) => {
            defect = Option.some(died)
            return Effect.succeed<CallResult>({ status: "error", result: "{}" })
          })
          const outcome = yield* calls.perform(userId, keyed, caught)
          return Option.isSome(defect) ? yield* Effect.die(defect.value) : outcome
        })
    })
  ),
  mutant(
    "commits what an interrupted call has done",
    ["has nothing of a call that failed, died or was interrupted, nor of its key"],
    ({ calls, users }) => ({
      perform: (userId, keyed, execute) =>
        Effect.suspend(() => {
          let done = stateOf(users, userId)
          const noting = Effect.onInterrupt(execute, () =>
            Effect.sync(() => {
              done = stateOf(users, userId)
            })
          )
          return Effect.onInterrupt(calls.perform(userId, keyed, noting), () =>
            Effect.sync(() => users.set(userId, done))
          )
        })
    })
  ),
  beside("undoes no part of a call", ["undoes a part of a call that fails, and nothing but that"], () => ({
    atomically: (_, effect) => effect
  })),
  beside(
    "undoes with a part of a call what came before it",
    ["undoes a part of a call that fails, and nothing but that"],
    ({ users }) => ({
      atomically: (userId, effect) => Effect.onError(effect, () => Effect.sync(() => void users.delete(userId)))
    })
  ),
  {
    name: "commits each part of a call by itself",
    breaks: ["undoes with a call the parts of it that had succeeded"],
    layer: wrong(({ calls, repo, users }) => {
      const committed = new Map<UserId, UserState>()
      return {
        repo: {
          atomically: (userId, effect) =>
            Effect.tap(repo.atomically(userId, effect), () =>
              Effect.sync(() => committed.set(userId, stateOf(users, userId)))
            )
        },
        calls: {
          perform: (userId, keyed, execute) =>
            Effect.onError(calls.perform(userId, keyed, execute), () =>
              Effect.sync(() => users.set(userId, committed.get(userId) ?? stateOf(users, userId)))
            )
        }
      }
    })
  },
  mutant(
    "forgets the id of a call",
    ["keeps the id of a call outside of the store, and the first of its results"],
    ({ calls }) => ({
      begin: (userId, keyed) =>
        Effect.map(calls.begin(userId, keyed), (begun) =>
          begun._tag === "Begun" ? { ...begun, callId: keyed.callId } : begun
        )
    })
  ),
  mutant(
    "keeps the last result of a call",
    [
      "keeps the id of a call outside of the store, and the first of its results",
      "tells all the same who begin or finish a call at the same moment"
    ],
    (right) => ({
      finish: (userId, key, callId, result) =>
        Effect.suspend(() => {
          const row = rowsOf(right, userId).get(key)
          if (row !== undefined) setRows(right, userId, withEntry(rowsOf(right, userId), key, { ...row, result: null }))
          return right.calls.finish(userId, key, callId, result)
        })
    })
  ),
  mutant(
    "answers the result that it is given, whatever it keeps",
    [
      "keeps the id of a call outside of the store, and the first of its results",
      "tells all the same who begin or finish a call at the same moment"
    ],
    ({ calls }) => ({
      finish: (userId, key, callId, result) => Effect.as(calls.finish(userId, key, callId, result), result)
    })
  ),
  mutant(
    "looks whether there is a result, and keeps one a moment later",
    ["tells all the same who begin or finish a call at the same moment"],
    (right) => ({
      finish: (userId, key, callId, result) =>
        Effect.suspend(() => {
          const row = rowsOf(right, userId).get(key)
          if (row === undefined || row.result !== null) return right.calls.finish(userId, key, callId, result)
          return Effect.as(
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => setRows(right, userId, withEntry(rowsOf(right, userId), key, { ...row, result })))
            ),
            result
          )
        })
    })
  ),
  mutant(
    "looks whether a call has begun, and begins it a moment later",
    ["tells all the same who begin or finish a call at the same moment"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.suspend(() => {
          const isNew = !rowsOf(right, userId).has(keyed.key)
          const begin = right.calls.begin(userId, keyed)
          return isNew
            ? Effect.as(Effect.andThen(Effect.yieldNow, begin), { _tag: "Begun", callId: keyed.callId } as const)
            : begin
        })
    })
  ),
  seen(
    "remembers a key too many",
    [
      "remembers no more keys of a user than may be; old ones are answered all the same",
      "remembers no more of them however many come at the same moment"
    ],
    ({ keysAtMost }) => ({ keysAtMost: keysAtMost + 1 })
  ),
  mutant(
    "refuses old keys as well where there is no room",
    ["remembers no more keys of a user than may be; old ones are answered all the same"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.suspend(() =>
          rowsOf(right, userId).size >= keyed.keysAtMost
            ? Effect.succeed({ _tag: "TooManyKeys" } as const)
            : right.calls.begin(userId, keyed)
        )
    })
  ),
  mutant(
    "counts the keys of all users together",
    ["remembers no more keys of a user than may be; old ones are answered all the same"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.suspend(() => {
          const others = [...right.users.keys()].filter((other) => other !== userId)
          const taken = others.reduce((sum, other) => sum + rowsOf(right, other).size, 0)
          return right.calls.begin(userId, { ...keyed, keysAtMost: keyed.keysAtMost - taken })
        })
    })
  ),
  mutant(
    "counts the keys, and remembers one a moment later",
    ["remembers no more of them however many come at the same moment"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.suspend(() =>
          rowsOf(right, userId).size < keyed.keysAtMost
            ? Effect.andThen(Effect.yieldNow, right.calls.begin(userId, { ...keyed, keysAtMost: 100 }))
            : right.calls.begin(userId, keyed)
        )
    })
  ),
  mutant("sweeps nothing", ["forgets keys that are old when it is swept, and no others"], () => ({
    sweep: () => Effect.void
  })),
  mutant("sweeps all there is", ["forgets keys that are old when it is swept, and no others"], ({ calls }) => ({
    sweep: () => calls.sweep(-1e9)
  })),
  mutant(
    "sweeps only keys whose calls have a result",
    ["forgets keys that are old when it is swept, and no others"],
    (right) => ({
      sweep: (afterMillis) => keeping(right, ({ result }) => result === null)(right.calls.sweep(afterMillis))
    })
  ),
  mutant(
    "sweeps only keys whose calls have none",
    ["forgets keys that are old when it is swept, and no others"],
    (right) => ({
      sweep: (afterMillis) => keeping(right, ({ result }) => result !== null)(right.calls.sweep(afterMillis))
    })
  ),
  mutant("sweeps one user's keys", ["forgets keys that are old when it is swept, and no others"], (right) => ({
    sweep: (afterMillis) =>
      keeping(right, (_, userId) => userId !== [...right.users.keys()][0])(right.calls.sweep(afterMillis))
  })),
  mutant(
    "takes the age of keys for seconds",
    ["counts the age of a key from its first call on, in milliseconds"],
    ({ calls }) => ({ sweep: (after) => calls.sweep(after * 1000) })
  ),
  mutant(
    "counts the age of a key from its latest call on",
    ["counts the age of a key from its first call on, in milliseconds"],
    (right) => ({
      begin: (userId, keyed) =>
        Effect.gen(function* () {
          const begun = yield* right.calls.begin(userId, keyed)
          const createdAt = yield* Clock.currentTimeMillis
          const row = rowsOf(right, userId).get(keyed.key)
          if (row !== undefined)
            setRows(right, userId, withEntry(rowsOf(right, userId), keyed.key, { ...row, createdAt }))
          return begun
        })
    })
  ),
  beside(
    "keeps the keys of a user that is erased",
    [
      "forgets the keys of a user that is erased, and no others",
      "leaves nothing half of a user that is erased while calls are performed",
      "tells what came of a call whose user was erased meanwhile, and keeps it nowhere"
    ],
    (right) => ({ eraseUser: (userId) => keeping(right, () => true)(right.repo.eraseUser(userId)) })
  ),
  beside(
    "keeps the results of a user that is erased",
    ["forgets the keys of a user that is erased, and no others"],
    (right) => ({
      eraseUser: (userId) => keeping(right, ({ result }) => result !== null)(right.repo.eraseUser(userId))
    })
  ),
  beside(
    "forgets all users' keys with one",
    ["forgets the keys of a user that is erased, and no others"],
    ({ calls, repo }) => ({ eraseUser: (userId) => Effect.andThen(calls.sweep(-1e9), repo.eraseUser(userId)) })
  ),
  mutant(
    "keeps the result of a call that it does not know",
    ["tells what came of a call whose user was erased meanwhile, and keeps it nowhere"],
    ({ calls }) => ({
      finish: (userId, key, callId, result) =>
        Effect.andThen(
          calls.begin(userId, { key, fingerprint: "[]", callId, keysAtMost: 100 }),
          calls.finish(userId, key, callId, result)
        )
    })
  ),
  mutant(
    "keeps a result by its key alone",
    ["tells what came of a call whose user was erased meanwhile, and keeps it nowhere"],
    (right) => ({
      finish: (userId, key, callId, result) =>
        Effect.suspend(() => right.calls.finish(userId, key, rowsOf(right, userId).get(key)?.callId ?? callId, result))
    })
  ),
  beside(
    "erases what a user has, and the keys a moment later",
    ["leaves nothing half of a user that is erased while calls are performed"],
    (right) => ({
      eraseUser: (userId) =>
        right.repo.eraseUser(userId).pipe(
          keeping(right, () => true),
          Effect.andThen(Effect.yieldNow),
          Effect.andThen(Effect.sync(() => setRows(right, userId, new Map())))
        )
    })
  )
]
