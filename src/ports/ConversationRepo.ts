import { Context, type DateTime, type Effect, type Option } from "effect"
import type {
  Conversation,
  ConversationId,
  MessageId,
  ToolCallId,
  TurnId,
  TurnStatus
} from "../domain/model/Conversation.ts"
import type { ConversationNotFound, StorageUnavailable, TurnNotFound } from "../domain/model/Errors.ts"
import type { Failure, IdempotencyKey, Told, Usage } from "../domain/model/Turn.ts"
import type { UserId } from "../domain/model/User.ts"
import type { TaskOperation, TaskTools } from "./TaskTools.ts"

/** The name of a turn. */
export interface TurnRef {
  readonly userId: UserId
  readonly conversationId: ConversationId
  readonly turnId: TurnId
}

/** The right to write a turn. Whoever takes the turn up after its lease gets a higher `fence`, and this one ends. */
export interface Claim extends TurnRef {
  readonly fence: number
}

/** The rules under which turns are claimed. */
export interface TurnPolicy {
  /** How long a claim holds unless it is renewed, by the store's own clock. */
  readonly leaseMillis: number
  /** How many rows of `messages` the history has, the turn's own message included. */
  readonly historyMessages: number
  /** After so many attempts a turn is not taken up again, but fails as `abandoned`. */
  readonly maxAttempts: number
  /** How many turns a user may begin in a minute; `null` for no limit. */
  readonly turnsPerMinute: number | null
  /** How many of a user's turns may run at once; `null` for no limit. */
  readonly turnsAtOnce: number | null
  /** How many conversations a user may have; `null` for no limit. */
  readonly maxConversations: number | null
}

/** What a turn's prompt needs from the session it began in, kept for whoever takes the turn up. */
export interface TurnContext {
  readonly userName: string
}

/** A request to begin a turn. All ids are made by the caller, so that the same request can be sent again. */
export interface BeginRequest {
  readonly userId: UserId
  readonly turnId: TurnId
  /** Names this very attempt to begin: sent again after a lost answer, it gets the same claim. */
  readonly holder: string
  readonly idempotencyKey: Option.Option<IdempotencyKey>
  /** The request in a canonical form. Under one key only equal ones are the same request; a store may keep a digest. */
  readonly fingerprint: string
  readonly conversationId: Option.Option<ConversationId>
  /** Whether the conversation `conversationId` is started when the user has none of that id. */
  readonly startIfAbsent?: boolean
  /** The id of the conversation that is started when `conversationId` is none, and the title of any that is started. */
  readonly newConversationId: ConversationId
  readonly title: string
  readonly messageId: MessageId
  readonly content: string
  readonly context: TurnContext
  /**
   * Whether this request has begun the turn, or waited for it, before. Then it is `Gone` when it is not there, and never
   * begun anew; and when it failed, that is the answer.
   */
  readonly begun: boolean
}

/** A row of what was said. */
export interface HistoryMessage {
  readonly seq: number
  readonly role: "user" | "assistant"
  readonly content: string
}

/** A step of a turn: one answer of the model that asked for tools. `seq` is that of the turn's user message. */
export interface HistoryStep {
  readonly seq: number
  /** Counts from 1 within the turn. */
  readonly step: number
  readonly content: string
}

/** A tool call that took place. */
export interface StoredCall {
  readonly id: ToolCallId
  readonly seq: number
  readonly step: number
  /** Counts from 0 within the step. */
  readonly position: number
  readonly providerCallId: string
  readonly toolName: string
  /** A JSON object, as text. */
  readonly arguments: string
  /** A JSON object, as text. */
  readonly result: string
  readonly status: "success" | "error"
}

/**
 * The last messages of a conversation, oldest first, with all the steps and calls of the turns whose user message is
 * among them. It may begin with a reply whose user message is left out.
 */
export interface History {
  readonly messages: ReadonlyArray<HistoryMessage>
  readonly steps: ReadonlyArray<HistoryStep>
  readonly calls: ReadonlyArray<StoredCall>
}

/** A turn that the caller now holds, as far as it has come. */
export interface ClaimedTurn {
  readonly claim: Claim
  /** The `seq` of its user message, which is the last message of `history`. */
  readonly seq: number
  /** How many steps are committed. */
  readonly steps: number
  /** What the committed part of the turn used. */
  readonly usage: Usage
  readonly context: TurnContext
  readonly history: History
  /** What its next step is to do, where that is kept already (`pend`): JSON text. */
  readonly pending: string | null
}

/** A turn that failed, with the calls that did take effect. */
export interface FailedTurn extends TurnRef {
  readonly failure: Failure
  /** Whether the same request under the same key takes it up again. */
  readonly retryable: boolean
  readonly usage: Usage
  readonly calls: ReadonlyArray<StoredCall>
}

/** The caller holds the turn now. */
export type Claimed = { readonly _tag: "Claimed"; readonly turn: ClaimedTurn }
/** The caller holds a turn that it did not ask for: an abandoned one of the same conversation, to be finished first. */
export type ClaimedOther = { readonly _tag: "ClaimedOther"; readonly turn: ClaimedTurn }
/** The turn is complete, or stopped, which is as final; `body` is the stored answer, byte for byte. */
export type Completed = { readonly _tag: "Completed"; readonly turnId: TurnId; readonly body: string }
/** The turn failed, and is not to be taken up. */
export type Failed = { readonly _tag: "Failed"; readonly turn: FailedTurn }
/** Someone else holds the turn, for so long at most unless it is renewed. */
export type Running = { readonly _tag: "Running"; readonly turn: TurnRef; readonly retryAfterMillis: number }
/** The turn, or its conversation, was deleted. */
export type Gone = { readonly _tag: "Gone" }
/** The claim is over: nothing was written. */
export type Lost = { readonly _tag: "Lost" }

export type BeginOutcome =
  | Claimed
  | ClaimedOther
  | Completed
  | Failed
  | Running
  | Gone
  | { readonly _tag: "Busy"; readonly retryAfterMillis: number }
  | { readonly _tag: "KeyReused" }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "RateLimited"; readonly retryAfterMillis: number }
  | TooManyTurns
  | { readonly _tag: "TooManyConversations" }

/** As many turns of the user run as may at once. */
export type TooManyTurns = { readonly _tag: "TooManyTurns" }

export type TakeUpOutcome = Claimed | Completed | Failed | Running | Gone

/** A model's answer that asks for tools. */
export interface StepRequest {
  /** How many steps of the turn are committed already; this one is the next. */
  readonly steps: number
  /** What the model said beside its calls. */
  readonly content: string
  /** What the model used since the last write of the turn. */
  readonly usage: Usage
  readonly calls: ReadonlyArray<{
    readonly id: ToolCallId
    readonly providerCallId: string
    readonly toolName: string
    readonly arguments: string
  }>
  /** Where in the telling of this step its content begins (`TurnEvents`), for those who are told of it later. */
  readonly toldFrom: number
}

/** What the next step of a turn is to do. */
export interface PendRequest {
  readonly steps: number
  /** JSON text, for the domain to read. */
  readonly pending: string
  /** What the model used since the last write of the turn. */
  readonly usage: Usage
}

/** It is kept. */
export type Pended = { readonly _tag: "Pended" }

/** What a tool answered: a JSON object as text. */
export interface CallResult {
  readonly status: "success" | "error"
  readonly result: string
}

/**
 * A tool call as a value: what it comes to is known already, or it is an operation on tasks. Then its result is
 * `{"success":true,"task":…}` or `{"success":true,"tasks":[…],"count":…}` with `"has_more":true` where the limit left some
 * out, tasks in the encoded form of `Task`; or `refusal`, where there is no such task, or no room for one more.
 */
export type FoldedCall =
  | { readonly _tag: "Known"; readonly result: CallResult }
  | { readonly _tag: "Task"; readonly operation: TaskOperation; readonly refusal: CallResult }

/** What a step does. */
export interface StepWork {
  /** Carries the calls out: as many results as calls, in their order. Operations of `TaskTools` in it join the step's transaction. */
  readonly execute: Effect.Effect<ReadonlyArray<CallResult>, StorageUnavailable>
  /**
   * The same as values, if all of it can be told so. A store that keeps the tasks of just this `TaskTools` may carry them out by
   * itself, in one go, and not run `execute`.
   */
  readonly folded?: { readonly tasks: TaskTools["Service"]; readonly calls: ReadonlyArray<FoldedCall> }
}

/** The calls as they are stored now; or the claim is over. */
export type StepOutcome = { readonly _tag: "Committed"; readonly calls: ReadonlyArray<StoredCall> } | Lost

export interface CompleteRequest {
  readonly steps: number
  readonly messageId: MessageId
  readonly content: string
  /** The answer to store and to repeat, byte for byte. */
  readonly response: string
  readonly usage: Usage
  /** Whether its user has stopped it: the reply is as far as it had come. */
  readonly stopped: boolean
  /** Where in the telling of the last step its content begins, as with steps. */
  readonly toldFrom: number
}

export interface FailRequest {
  readonly steps: number
  readonly failure: Failure
  readonly retryable: boolean
  readonly usage: Usage
}

/** How a turn stands. */
export interface StoredTurn extends TurnRef {
  readonly status: TurnStatus
  /** What its committed part used. */
  readonly usage: Usage
  /** The calls that did take effect. */
  readonly calls: ReadonlyArray<StoredCall>
  /** Its attempt: the fence under which it was last written. */
  readonly attempt: number
  /** What was said in each committed step, in order, and where in its telling that begins. */
  readonly steps: ReadonlyArray<{ readonly content: string; readonly toldFrom: number }>
  /** The same of the reply. */
  readonly toldFrom: number
  /** The stored answer, when it is complete or stopped. */
  readonly body: string | null
  /** Why it failed, if it did. */
  readonly failure: Failure | null
  /** Whether the same request under the same key takes it up again. */
  readonly retryable: boolean
}

/** What one who watches a turn from afar sees of it. */
export interface Glance {
  readonly turnId: TurnId
  readonly status: TurnStatus | "deleted"
  readonly attempt: number
  /** How many steps are committed. */
  readonly steps: number
  /** What its attempt has said behind these, as far as the instance that runs it has told. */
  readonly told: Told | null
}

/** One page of a list, and whether there is more behind it. */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly hasMore: boolean
}

/** A message with the calls that hang on it: those of its turn on the reply, or on the user message while there is none. */
export interface StoredMessage extends HistoryMessage {
  readonly id: MessageId
  readonly turnId: TurnId
  readonly turnStatus: TurnStatus
  /** The key that its turn was begun under, if it was. */
  readonly idempotencyKey: IdempotencyKey | null
  readonly createdAt: DateTime.Utc
  readonly calls: ReadonlyArray<StoredCall>
}

/**
 * Conversations and their turns: the one place where a turn's life is decided.
 *
 * All operations see one user's rows only, are all or nothing, and fail with `StorageUnavailable` when the store is out
 * of reach or gave no clear answer; each may then be sent again as it was. No operation waits for a lock without bound.
 */
export class ConversationRepo extends Context.Service<
  ConversationRepo,
  {
    /**
     * Begins a turn, in this order:
     *
     * 1. The key exists: `KeyReused` for another fingerprint; `Completed`, `Running` or `Gone` as it stands; `Claimed`
     *    when its lease is over, or when it failed, may be taken up and is the last turn of its conversation; else `Failed`.
     *    Who has waited for it (`begun`) gets its failure instead of taking it up. A failed turn is not taken up beside as many
     *    as may run at once: `TooManyTurns`.
     * 2. The conversation is not this user's, and is not to be started: `NotFound`.
     * 3. Another turn of it runs: `Busy`, or `ClaimedOther` when its lease is over.
     * 4. As many turns of the user run as may at once: `TooManyTurns`.
     * 5. Too many turns within a minute: `RateLimited`.
     * 6. It would start a conversation, and the user has as many as may be: `TooManyConversations`.
     * 7. The turn, its user message and, if need be, the conversation are written: `Claimed`.
     *
     * In 1 to 6 nothing new is written. No limit is exceeded by those that come at the same moment, of whom each may be told of
     * any of the limits that they reach together. Without a key the turn's id stands for it.
     */
    readonly begin: (request: BeginRequest, policy: TurnPolicy) => Effect.Effect<BeginOutcome, StorageUnavailable>
    /** Takes up a running turn whose lease is over; one that was attempted too often fails as `abandoned` instead. */
    readonly takeUp: (
      turn: TurnRef,
      holder: string,
      policy: TurnPolicy
    ) => Effect.Effect<TakeUpOutcome, StorageUnavailable>
    /**
     * Commits one step: under the claim, and only if `steps` are committed, does its work in one transaction together
     * with the record of its calls and results. The lease moves on.
     *
     * `Committed` tells the calls as stored. A step that the same claim had committed before (its answer was lost) is
     * read back, and nothing is done. `execute` may run more than once when an attempt was rolled back.
     */
    readonly step: (
      claim: Claim,
      request: StepRequest,
      work: StepWork,
      leaseMillis: number
    ) => Effect.Effect<StepOutcome, StorageUnavailable>
    /**
     * Keeps what the next step is to do, under the claim and only if `steps` are committed, before any of it is done outside of
     * the store: whoever takes the turn up goes on with just that, and asks nobody anew. Its usage counts from then on. The
     * lease moves on. Sent again, it changes nothing.
     */
    readonly pend: (
      claim: Claim,
      request: PendRequest,
      leaseMillis: number
    ) => Effect.Effect<Pended | Lost, StorageUnavailable>
    /**
     * Runs what changes a user's rows as one transaction, all or nothing. Inside the work of a step it is a part of that, which
     * may fail alone: what it changed is undone, and the step goes on.
     */
    readonly atomically: <A, E, R>(
      userId: UserId,
      effect: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | StorageUnavailable, R>
    /** Writes the reply and ends the turn, as completed or as stopped. Sent again, it answers what is stored. */
    readonly complete: (claim: Claim, request: CompleteRequest) => Effect.Effect<Completed | Lost, StorageUnavailable>
    /** Ends the turn without a reply. Sent again, it answers what is stored. */
    readonly fail: (claim: Claim, request: FailRequest) => Effect.Effect<Failed | Lost, StorageUnavailable>
    /**
     * Moves the leases of these claims on. Answers the turns that someone else has taken up or that are gone; a turn that
     * has ended under its claim is not among them.
     */
    readonly renew: (
      claims: ReadonlyArray<Claim>,
      leaseMillis: number
    ) => Effect.Effect<ReadonlyArray<TurnId>, StorageUnavailable>
    /** Gives these claims up, so that another instance takes the turns up at once; the attempts do not count. */
    readonly handBack: (claims: ReadonlyArray<Claim>) => Effect.Effect<void, StorageUnavailable>
    /** Those of the turns that nobody holds any more: they ended, are gone, or their lease is over. */
    readonly settled: (
      turns: ReadonlyArray<TurnRef>,
      leaseMillis: number
    ) => Effect.Effect<ReadonlyArray<TurnId>, StorageUnavailable>
    /** Up to `limit` running turns whose lease is over, those first that have waited longest. */
    readonly abandoned: (
      limit: number,
      leaseMillis: number
    ) => Effect.Effect<ReadonlyArray<TurnRef>, StorageUnavailable>
    /** Ends every lease: for an instance that knows itself to be the only one, at its start. */
    readonly expireLeases: Effect.Effect<void, StorageUnavailable>
    /**
     * Says that somebody watches these turns, for so many milliseconds from now on, or wants one stopped, and tells how they
     * stand. A turn that fails before it is stopped may be taken up by its key, and is not stopped then. It is for the instances that run them to see (`watched`). Turns that are not there are left out.
     */
    readonly watch: (
      turns: ReadonlyArray<TurnRef & { readonly stop: boolean }>,
      forMillis: number
    ) => Effect.Effect<ReadonlyArray<Glance>, StorageUnavailable>
    /** The turns that somebody watches, whether they are to be stopped, and whether anything is told of them, whoever runs them. */
    readonly watched: Effect.Effect<
      ReadonlyArray<{ readonly turnId: TurnId; readonly stop: boolean; readonly told: boolean }>,
      StorageUnavailable
    >
    /**
     * Tells those who watch what these attempts have said behind their committed steps. An attempt that is over, whether it
     * knows that or not, tells nothing.
     */
    readonly tell: (
      told: ReadonlyArray<{ readonly claim: Claim; readonly steps: number; readonly told: Told }>
    ) => Effect.Effect<void, StorageUnavailable>
    /** Forgets what has had its time: the keys of conversations that were deleted so long ago, old rate limits, and who watched. */
    readonly sweep: (afterMillis: number) => Effect.Effect<void, StorageUnavailable>

    /** Conversations, the most recently active first, from behind the given one. */
    readonly list: (
      userId: UserId,
      query: {
        readonly limit: number
        readonly after: Option.Option<{ readonly updatedAt: DateTime.Utc; readonly id: ConversationId }>
      }
    ) => Effect.Effect<Page<Conversation>, StorageUnavailable>
    readonly get: (
      userId: UserId,
      conversationId: ConversationId
    ) => Effect.Effect<Conversation, ConversationNotFound | StorageUnavailable>
    /** Changes the title, which is no activity: the conversation keeps its place in the list. */
    readonly rename: (
      userId: UserId,
      conversationId: ConversationId,
      title: string
    ) => Effect.Effect<Conversation, ConversationNotFound | StorageUnavailable>
    /** Removes a conversation with all it holds. Its keys are remembered; what its turns did to tasks stays. */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId
    ) => Effect.Effect<void, ConversationNotFound | StorageUnavailable>
    /** Messages by `seq`, from behind the given one. */
    readonly messages: (
      userId: UserId,
      conversationId: ConversationId,
      query: { readonly limit: number; readonly order: "asc" | "desc"; readonly after: Option.Option<number> }
    ) => Effect.Effect<Page<StoredMessage>, ConversationNotFound | StorageUnavailable>
    /** How a turn stands. One whose conversation was deleted is none. */
    readonly turn: (userId: UserId, turnId: TurnId) => Effect.Effect<StoredTurn, TurnNotFound | StorageUnavailable>
    /** Removes all that the store holds of a user: conversations, turns with their keys, tasks, keys of direct calls. */
    readonly eraseUser: (userId: UserId) => Effect.Effect<void, StorageUnavailable>
    /** Succeeds when the store answers and has all that this version needs. */
    readonly check: Effect.Effect<void, StorageUnavailable>
  }
>()("turnkeeper/ports/ConversationRepo") {}
