import { Context, type Effect, type Option } from "effect"
import type { StorageUnavailable } from "../domain/model/Errors.ts"
import type { IdempotencyKey } from "../domain/model/Turn.ts"
import type { UserId } from "../domain/model/User.ts"
import type { CallResult } from "./ConversationRepo.ts"

/** A call that a client has given a key. */
export interface KeyedCall {
  readonly key: IdempotencyKey
  /** The call in a canonical form. Under one key only equal ones are the same call; a store may keep a digest. */
  readonly fingerprint: string
  /** The id that the call gets if its key is new: a UUID, made by the caller. */
  readonly callId: string
  /** How many keys are remembered of a user at most. */
  readonly keysAtMost: number
}

/** The call has a result, which it keeps. */
export type Carried = { readonly _tag: "Carried"; readonly result: CallResult }

/** Why a call is not carried out: nothing was written. */
export type KeyRefused =
  /** The key is that of another call. */
  | { readonly _tag: "KeyReused" }
  /** As many keys as may be are remembered of this user. */
  | { readonly _tag: "TooManyKeys" }

/** The call has no result yet. `callId` is the one that its key had at first. */
export type CallBegun = { readonly _tag: "Begun"; readonly callId: string }

/**
 * What clients have tools do by themselves, outside of any turn.
 *
 * All operations see one user's rows only, are all or nothing, and fail with `StorageUnavailable` when the store is out of
 * reach or gave no clear answer. Under a key each may then be sent again as it was. `ConversationRepo.eraseUser` forgets the
 * user's keys as well.
 */
export class DirectCallRepo extends Context.Service<
  DirectCallRepo,
  {
    /**
     * Carries a call out in one transaction, all or nothing, which operations of `TaskTools` and
     * `ConversationRepo.atomically` join. Under a key it happens once, however often and by how many at once it is asked
     * for: its result is kept in the same transaction, and is the answer from then on. `execute` may run more than once
     * where an attempt was rolled back.
     */
    readonly perform: (
      userId: UserId,
      keyed: Option.Option<KeyedCall>,
      execute: Effect.Effect<CallResult, StorageUnavailable>
    ) => Effect.Effect<Carried | KeyRefused, StorageUnavailable>
    /** Remembers a call that is to be carried out outside of the store, before it is. Sent again, it tells the same. */
    readonly begin: (
      userId: UserId,
      keyed: KeyedCall
    ) => Effect.Effect<CallBegun | Carried | KeyRefused, StorageUnavailable>
    /** Keeps what came of such a call. Answers what is kept: of several results, the first. */
    readonly finish: (
      userId: UserId,
      key: IdempotencyKey,
      callId: string,
      result: CallResult
    ) => Effect.Effect<CallResult, StorageUnavailable>
    /** Forgets the keys that are older than so many milliseconds. */
    readonly sweep: (afterMillis: number) => Effect.Effect<void, StorageUnavailable>
  }
>()("turnkeeper/ports/DirectCallRepo") {}
