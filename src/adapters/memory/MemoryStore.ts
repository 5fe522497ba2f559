import { Context, Effect, Layer, Semaphore } from "effect"
import type { ConversationId, MessageId, TurnId } from "../../domain/model/Conversation.ts"
import type { Task, TaskId } from "../../domain/model/Task.ts"
import type { Failure, IdempotencyKey, Told, Usage } from "../../domain/model/Turn.ts"
import type { UserId } from "../../domain/model/User.ts"
import type { CallResult, HistoryMessage, HistoryStep, StoredCall, TurnContext } from "../../ports/ConversationRepo.ts"

/** Times are milliseconds since the epoch, by the `Clock`. */
export interface ConversationRow {
  readonly id: ConversationId
  readonly title: string
  readonly lastTurnId: TurnId
  readonly createdAt: number
  readonly updatedAt: number
  readonly messages: ReadonlyArray<MessageRow>
  readonly steps: ReadonlyArray<HistoryStep & { readonly toldFrom: number }>
  readonly calls: ReadonlyArray<StoredCall>
}

export interface MessageRow extends HistoryMessage {
  readonly id: MessageId
  readonly turnId: TurnId
  readonly createdAt: number
}

export interface TurnRow {
  readonly id: TurnId
  readonly conversationId: ConversationId
  readonly idempotencyKey: IdempotencyKey | null
  readonly fingerprint: string
  readonly status: "running" | "completed" | "failed" | "stopped" | "deleted"
  readonly holder: string
  readonly fence: number
  readonly leaseUntil: number
  readonly attempts: number
  readonly steps: number
  readonly toldFrom: number
  readonly pending: string | null
  readonly seq: number
  readonly context: TurnContext
  readonly usage: Usage
  readonly response: string | null
  readonly failure: Failure | null
  readonly retryable: boolean
  readonly finishedAt: number | null
}

/** That somebody watches a turn or wants it stopped, and what its attempt has told them behind so many steps. */
export interface Watch {
  readonly until: number
  readonly stop: boolean
  readonly fence: number
  readonly steps: number
  readonly told: Told | null
}

/** A call under a key, and what came of it. */
export interface DirectCallRow {
  readonly key: IdempotencyKey
  readonly fingerprint: string
  readonly callId: string
  readonly result: CallResult | null
  readonly createdAt: number
}

/** All that is kept of one user. Rows are replaced, never changed, so that an old state can be put back. */
export interface UserState {
  readonly conversations: ReadonlyMap<ConversationId, ConversationRow>
  readonly turns: ReadonlyMap<TurnId, TurnRow>
  readonly tasks: ReadonlyMap<TaskId, Task>
  readonly nextTaskId: number
  readonly watches: ReadonlyMap<TurnId, Watch>
  readonly directCalls: ReadonlyMap<IdempotencyKey, DirectCallRow>
  /** When the user's whole allowance of turns is back. */
  readonly fullAt: number
}

const nothing: UserState = {
  conversations: new Map(),
  turns: new Map(),
  tasks: new Map(),
  nextTaskId: 1,
  watches: new Map(),
  directCalls: new Map(),
  fullAt: Number.NEGATIVE_INFINITY
}

/** A copy of a map with one entry set. */
export const withEntry = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> =>
  new Map(map).set(key, value)

/** A copy of a map without some entries. */
export const withoutEntry = <K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  const copy = new Map(map)
  copy.delete(key)
  return copy
}

/** Whether the fiber is inside a transaction, and so holds the lock already. */
const InTransaction = Context.Reference<boolean>("turnkeeper/adapters/memory/InTransaction", {
  defaultValue: () => false
})

/**
 * Users and all that is kept of them, in memory. Several instances of the service may share one store, as they would a
 * database.
 */
export class MemoryStore extends Context.Service<
  MemoryStore,
  {
    readonly users: Map<UserId, UserState>
    /** Runs an effect while nobody else sees or changes the store; inside a transaction it joins that. */
    readonly exclusively: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** The same, and if the effect fails, all that it changed of this user is put back. */
    readonly transaction: <A, E, R>(userId: UserId, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("turnkeeper/adapters/memory/MemoryStore") {}

/** What the store has of a user. */
export const stateOf = (users: ReadonlyMap<UserId, UserState>, userId: UserId): UserState =>
  users.get(userId) ?? nothing

/** An empty store. */
export const layer: Layer.Layer<MemoryStore> = Layer.effect(
  MemoryStore,
  Effect.gen(function* () {
    const users = new Map<UserId, UserState>()
    const lock = yield* Semaphore.make(1)

    const exclusively = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.flatMap(InTransaction, (joined) => (joined ? effect : lock.withPermit(effect)))

    return MemoryStore.of({
      users,
      exclusively,
      transaction: (userId, effect) =>
        exclusively(
          Effect.suspend(() => {
            const before = stateOf(users, userId)
            return effect.pipe(
              Effect.provideService(InTransaction, true),
              Effect.onError(() => Effect.sync(() => users.set(userId, before)))
            )
          })
        )
    })
  })
)
