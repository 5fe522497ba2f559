import { Clock, DateTime, Effect, Layer, Option } from "effect"
import type { Conversation, ConversationId, TurnId } from "../../domain/model/Conversation.ts"
import { ConversationNotFound, TurnNotFound } from "../../domain/model/Errors.ts"
import { addUsage, noUsage } from "../../domain/model/Turn.ts"
import type { UserId } from "../../domain/model/User.ts"
import {
  type BeginOutcome,
  type BeginRequest,
  type Claim,
  type Claimed,
  ConversationRepo,
  type Failed,
  type Glance,
  type StoredCall,
  type TakeUpOutcome,
  type TurnPolicy,
  type TurnRef
} from "../../ports/ConversationRepo.ts"
import {
  type ConversationRow,
  MemoryStore,
  stateOf,
  type TurnRow,
  type UserState,
  type Watch,
  withEntry,
  withoutEntry
} from "./MemoryStore.ts"

/** `ConversationRepo` in memory, with leases by the `Clock`: the same protocol as in the database, step for step. */
export const layer: Layer.Layer<ConversationRepo, never, MemoryStore> = Layer.effect(
  ConversationRepo,
  Effect.gen(function* () {
    const { exclusively, transaction, users } = yield* MemoryStore

    const at = <A, E = never>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
      exclusively(Effect.flatMap(Clock.currentTimeMillis, f))
    const now = <A>(f: (now: number) => A): Effect.Effect<A> => exclusively(Effect.map(Clock.currentTimeMillis, f))

    const update = (userId: UserId, f: (state: UserState) => Partial<UserState>): void => {
      const state = stateOf(users, userId)
      users.set(userId, { ...state, ...f(state) })
    }
    const putTurn = (userId: UserId, turn: TurnRow): TurnRow => {
      update(userId, (state) => ({ turns: withEntry(state.turns, turn.id, turn) }))
      return turn
    }
    const putConversation = (userId: UserId, conversation: ConversationRow): void =>
      update(userId, (state) => ({ conversations: withEntry(state.conversations, conversation.id, conversation) }))
    const putWatch = (userId: UserId, turnId: TurnId, watch: Watch): void =>
      update(userId, ({ watches }) => ({ watches: withEntry(watches, turnId, watch) }))
    const turnOf = ({ turnId, userId }: TurnRef): TurnRow | undefined => stateOf(users, userId).turns.get(turnId)
    const conversationOf = (userId: UserId, id: ConversationId): ConversationRow | undefined =>
      stateOf(users, userId).conversations.get(id)
    const found = (userId: UserId, conversationId: ConversationId) => {
      const conversation = conversationOf(userId, conversationId)
      return conversation === undefined
        ? Effect.fail(new ConversationNotFound({ conversationId }))
        : Effect.succeed(conversation)
    }

    const claimed = (userId: UserId, turn: TurnRow, policy: TurnPolicy): Claimed => {
      const conversation = conversationOf(userId, turn.conversationId)
      const inWindow = (row: { readonly seq: number }) => row.seq > turn.seq - policy.historyMessages
      return {
        _tag: "Claimed",
        turn: {
          claim: { userId, conversationId: turn.conversationId, turnId: turn.id, fence: turn.fence },
          seq: turn.seq,
          steps: turn.steps,
          usage: turn.usage,
          context: turn.context,
          pending: turn.pending,
          history: {
            messages: (conversation?.messages ?? [])
              .filter(inWindow)
              .map(({ content, role, seq }) => ({ seq, role, content })),
            steps: (conversation?.steps ?? [])
              .filter(inWindow)
              .map(({ content, seq, step }) => ({ seq, step, content })),
            calls: (conversation?.calls ?? []).filter(inWindow)
          }
        }
      }
    }

    const failed = (userId: UserId, turn: TurnRow, retryable: boolean): Failed => ({
      _tag: "Failed",
      turn: {
        userId,
        conversationId: turn.conversationId,
        turnId: turn.id,
        failure: turn.failure ?? { code: "abandoned" },
        retryable: turn.retryable && retryable,
        usage: turn.usage,
        calls: conversationOf(userId, turn.conversationId)?.calls.filter((call) => call.seq === turn.seq) ?? []
      }
    })

    const abandon = (userId: UserId, turn: TurnRow, now: number): TurnRow =>
      putTurn(userId, {
        ...turn,
        status: "failed",
        failure: { code: "abandoned" },
        retryable: false,
        finishedAt: now,
        fence: turn.fence + 1
      })

    const hasRoom = (userId: UserId, { turnsAtOnce }: TurnPolicy): boolean =>
      turnsAtOnce === null ||
      [...stateOf(users, userId).turns.values()].filter((turn) => turn.status === "running").length < turnsAtOnce

    const mayRetry = (userId: UserId, turn: TurnRow): boolean =>
      turn.retryable && conversationOf(userId, turn.conversationId)?.lastTurnId === turn.id

    /** How a running turn stands for a holder who would not get it anew. */
    const heldOutcome = (
      userId: UserId,
      turn: TurnRow,
      holder: string,
      policy: TurnPolicy,
      now: number
    ): TakeUpOutcome | undefined => {
      if (turn.holder === holder) return claimed(userId, turn, policy)
      if (leaseHolds(turn, now, policy.leaseMillis)) {
        return { _tag: "Running", turn: refOf(userId, turn), retryAfterMillis: Math.ceil(turn.leaseUntil - now) }
      }
      return turn.attempts >= policy.maxAttempts ? failed(userId, abandon(userId, turn, now), false) : undefined
    }

    const takeUp = (ref: TurnRef, holder: string, policy: TurnPolicy, by: Taker, now: number): TakeUpOutcome => {
      const { userId } = ref
      const turn = turnOf(ref)
      if (turn === undefined || turn.status === "deleted") return { _tag: "Gone" }
      if (turn.response !== null) return { _tag: "Completed", turnId: turn.id, body: turn.response }
      if (turn.status === "failed") {
        const retryable = mayRetry(userId, turn)
        if (by !== "key" || !retryable) return failed(userId, turn, by === "waiter" && retryable)
        update(userId, ({ watches }) => ({ watches: withoutEntry(watches, turn.id) }))
      } else {
        const held = heldOutcome(userId, turn, holder, policy, now)
        if (held !== undefined) return held
      }
      return claimed(
        userId,
        putTurn(userId, {
          ...turn,
          status: "running",
          fence: turn.fence + 1,
          holder,
          leaseUntil: now + policy.leaseMillis,
          attempts: turn.status === "failed" ? 1 : turn.attempts + 1,
          failure: null,
          retryable: false,
          finishedAt: null
        }),
        policy
      )
    }

    /** What a begin comes to when the turn is there already. */
    const beginOfSame = (request: BeginRequest, policy: TurnPolicy, now: number): BeginOutcome | undefined => {
      const { idempotencyKey, userId } = request
      const { turns } = stateOf(users, userId)
      const same = Option.match(idempotencyKey, {
        onNone: () => turns.get(request.turnId),
        onSome: (key) => [...turns.values()].find((turn) => turn.idempotencyKey === key)
      })
      if (same === undefined) return request.begun ? { _tag: "Gone" } : undefined
      if (same.fingerprint !== request.fingerprint) return { _tag: "KeyReused" }
      if (same.status === "failed" && !request.begun && mayRetry(userId, same) && !hasRoom(userId, policy)) {
        return { _tag: "TooManyTurns" }
      }
      return takeUp(refOf(userId, same), request.holder, policy, request.begun ? "waiter" : "key", now)
    }

    /** What a begin comes to when its conversation is not there, or another turn of it runs. */
    const beginOfOther = (request: BeginRequest, policy: TurnPolicy, now: number): BeginOutcome | undefined => {
      const { conversationId, startIfAbsent, userId } = request
      if (Option.isNone(conversationId)) return undefined
      const conversation = conversationOf(userId, conversationId.value)
      if (conversation === undefined) return startIfAbsent === true ? undefined : { _tag: "NotFound" }
      const last = stateOf(users, userId).turns.get(conversation.lastTurnId)
      if (last?.status !== "running") return undefined
      const outcome = takeUp(refOf(userId, last), request.holder, policy, "other", now)
      if (outcome._tag === "Claimed") return { _tag: "ClaimedOther", turn: outcome.turn }
      return outcome._tag === "Running" ? { _tag: "Busy", retryAfterMillis: outcome.retryAfterMillis } : undefined
    }

    /** Counts a new turn, or tells that there were too many (by the generic cell rate algorithm). */
    const limitRate = (userId: UserId, policy: TurnPolicy, now: number): BeginOutcome | undefined => {
      if (policy.turnsPerMinute === null) return undefined
      const each = 60_000 / policy.turnsPerMinute
      const { fullAt } = stateOf(users, userId)
      const wait = fullAt - now - 60_000 + each
      if (wait > 0) return { _tag: "RateLimited", retryAfterMillis: Math.ceil(wait) }
      update(userId, () => ({ fullAt: Math.max(fullAt, now) + each }))
      return undefined
    }

    /** What a new turn comes to when one of the user's limits is reached. */
    const limited = (request: BeginRequest, policy: TurnPolicy, now: number): BeginOutcome | undefined => {
      const { userId } = request
      if (!hasRoom(userId, policy)) return { _tag: "TooManyTurns" }
      const before = stateOf(users, userId)
      const rate = limitRate(userId, policy, now)
      const goesOn = before.conversations.has(conversationIdOf(request))
      if (rate !== undefined || goesOn || policy.maxConversations === null) return rate
      if (before.conversations.size < policy.maxConversations) return undefined
      update(userId, () => ({ fullAt: before.fullAt }))
      return { _tag: "TooManyConversations" }
    }

    /** The fence: `done` when a write of this claim is committed already. */
    const fence = (claim: Claim, steps: number): "ok" | "done" | "lost" => {
      const turn = turnOf(claim)
      if (turn === undefined || turn.fence !== claim.fence) return "lost"
      if (turn.status !== "running" || turn.steps === steps + 1) return "done"
      return turn.steps === steps ? "ok" : "lost"
    }

    return ConversationRepo.of({
      begin: (request, policy) =>
        now((now): BeginOutcome => {
          const { userId } = request
          const key = Option.getOrNull(request.idempotencyKey)
          const otherwise =
            beginOfSame(request, policy, now) ?? beginOfOther(request, policy, now) ?? limited(request, policy, now)
          if (otherwise !== undefined) return otherwise
          const conversationId = conversationIdOf(request)
          const before = conversationOf(userId, conversationId)
          const seq = (before?.messages.length ?? 0) + 1
          const turn: TurnRow = {
            id: request.turnId,
            conversationId,
            idempotencyKey: key,
            fingerprint: request.fingerprint,
            status: "running",
            holder: request.holder,
            fence: 1,
            leaseUntil: now + policy.leaseMillis,
            attempts: 1,
            steps: 0,
            toldFrom: 0,
            pending: null,
            seq,
            context: request.context,
            usage: noUsage,
            response: null,
            failure: null,
            retryable: false,
            finishedAt: null
          }
          putTurn(userId, turn)
          putConversation(userId, {
            id: conversationId,
            title: before?.title ?? request.title,
            lastTurnId: turn.id,
            createdAt: before?.createdAt ?? now,
            updatedAt: now,
            messages: [
              ...(before?.messages ?? []),
              {
                id: request.messageId,
                seq,
                turnId: turn.id,
                role: "user",
                content: request.content,
                createdAt: now
              }
            ],
            steps: before?.steps ?? [],
            calls: before?.calls ?? []
          })
          return claimed(userId, turn, policy)
        }),
      takeUp: (turn, holder, policy) => now((now) => takeUp(turn, holder, policy, "other", now)),
      step: (claim, request, { execute }, leaseMillis) =>
        transaction(
          claim.userId,
          Effect.gen(function* () {
            const state = fence(claim, request.steps)
            const before = turnOf(claim)
            if (state === "lost" || before?.status !== "running") return { _tag: "Lost" } as const
            const step = request.steps + 1
            if (state === "done") {
              const conversation = conversationOf(claim.userId, claim.conversationId)
              return {
                _tag: "Committed",
                calls: conversation?.calls.filter((call) => call.seq === before.seq && call.step === step) ?? []
              } as const
            }
            const results = yield* execute
            const now = yield* Clock.currentTimeMillis
            const conversation = yield* Effect.orDie(found(claim.userId, claim.conversationId))
            const calls = request.calls.flatMap((call, position): ReadonlyArray<StoredCall> => {
              const result = results[position]
              return result === undefined ? [] : [{ ...call, ...result, seq: before.seq, step, position }]
            })
            putTurn(claim.userId, {
              ...before,
              steps: step,
              pending: null,
              usage: addUsage(before.usage, request.usage),
              leaseUntil: now + leaseMillis
            })
            putConversation(claim.userId, {
              ...conversation,
              steps: [
                ...conversation.steps,
                { seq: before.seq, step, content: request.content, toldFrom: request.toldFrom }
              ],
              calls: [...conversation.calls, ...calls]
            })
            return { _tag: "Committed", calls } as const
          })
        ),
      pend: (claim, request, leaseMillis) =>
        now((now) => {
          const turn = turnOf(claim)
          if (turn === undefined || fence(claim, request.steps) !== "ok") return { _tag: "Lost" }
          if (turn.pending === null) {
            putTurn(claim.userId, {
              ...turn,
              pending: request.pending,
              usage: addUsage(turn.usage, request.usage),
              leaseUntil: now + leaseMillis
            })
          }
          return { _tag: "Pended" }
        }),
      atomically: transaction,
      complete: (claim, request) =>
        now((now) => {
          const state = fence(claim, request.steps)
          const turn = turnOf(claim)
          const conversation = conversationOf(claim.userId, claim.conversationId)
          if (state === "lost" || turn === undefined || conversation === undefined) return { _tag: "Lost" }
          if (state === "done") {
            return turn.response !== null
              ? { _tag: "Completed", turnId: turn.id, body: turn.response }
              : { _tag: "Lost" }
          }
          putTurn(claim.userId, {
            ...turn,
            status: request.stopped ? "stopped" : "completed",
            response: request.response,
            toldFrom: request.toldFrom,
            usage: addUsage(turn.usage, request.usage),
            finishedAt: now
          })
          putConversation(claim.userId, {
            ...conversation,
            updatedAt: now,
            messages: [
              ...conversation.messages,
              {
                id: request.messageId,
                seq: conversation.messages.length + 1,
                turnId: turn.id,
                role: "assistant",
                content: request.content,
                createdAt: now
              }
            ]
          })
          return { _tag: "Completed", turnId: turn.id, body: request.response }
        }),
      fail: (claim, request) =>
        now((now) => {
          const state = fence(claim, request.steps)
          const turn = turnOf(claim)
          if (state === "lost" || turn === undefined) return { _tag: "Lost" }
          if (state === "done") return turn.status === "failed" ? failed(claim.userId, turn, true) : { _tag: "Lost" }
          return failed(
            claim.userId,
            putTurn(claim.userId, {
              ...turn,
              status: "failed",
              failure: request.failure,
              retryable: request.retryable,
              usage: addUsage(turn.usage, request.usage),
              finishedAt: now
            }),
            true
          )
        }),
      renew: (claims, leaseMillis) =>
        now((now) =>
          claims.flatMap((claim): ReadonlyArray<TurnId> => {
            const turn = turnOf(claim)
            if (turn === undefined || turn.status === "deleted" || turn.fence !== claim.fence) return [claim.turnId]
            if (turn.status === "running") putTurn(claim.userId, { ...turn, leaseUntil: now + leaseMillis })
            return []
          })
        ),
      handBack: (claims) =>
        now(() => {
          for (const claim of claims) {
            const turn = turnOf(claim)
            if (turn?.status === "running" && turn.fence === claim.fence) {
              putTurn(claim.userId, {
                ...turn,
                leaseUntil: Number.NEGATIVE_INFINITY,
                fence: turn.fence + 1,
                attempts: turn.attempts - 1
              })
            }
          }
        }),
      settled: (turns, leaseMillis) =>
        now((now) =>
          turns
            .filter((ref) => {
              const turn = turnOf(ref)
              return turn?.status !== "running" || !leaseHolds(turn, now, leaseMillis)
            })
            .map((ref) => ref.turnId)
        ),
      watch: (turns, forMillis) =>
        now((now) =>
          turns.flatMap(({ stop, ...ref }): ReadonlyArray<Glance> => {
            const turn = turnOf(ref)
            if (turn === undefined) return []
            const before = stateOf(users, ref.userId).watches.get(turn.id)
            if (turn.status === "running") {
              const inForce = before !== undefined && before.until > now
              putWatch(ref.userId, turn.id, {
                fence: before?.fence ?? 0,
                steps: before?.steps ?? 0,
                told: before?.told ?? null,
                until: now + forMillis,
                stop: stop || (inForce && before.stop)
              })
            }
            const isNow = before?.fence === turn.fence && before.steps === turn.steps
            return [
              {
                turnId: turn.id,
                status: turn.status,
                attempt: turn.fence,
                steps: turn.steps,
                told: isNow ? before.told : null
              }
            ]
          })
        ),
      watched: now((now) =>
        [...users.values()].flatMap(({ watches }) =>
          [...watches]
            .filter(([, { until }]) => until > now)
            .map(([turnId, { stop, told }]) => ({ turnId, stop, told: told !== null }))
        )
      ),
      tell: (told) =>
        now(() => {
          for (const news of told) {
            const { fence, turnId, userId } = news.claim
            const watch = stateOf(users, userId).watches.get(turnId)
            const turn = turnOf(news.claim)
            if (watch !== undefined && turn?.status === "running" && turn.fence === fence) {
              putWatch(userId, turnId, { ...watch, fence, steps: news.steps, told: news.told })
            }
          }
        }),
      abandoned: (limit, leaseMillis) =>
        now((now) =>
          [...users]
            .flatMap(([userId, state]) =>
              [...state.turns.values()]
                .filter((turn) => turn.status === "running" && !leaseHolds(turn, now, leaseMillis))
                .map((turn) => ({ ref: refOf(userId, turn), leaseUntil: turn.leaseUntil }))
            )
            .sort((a, b) => (a.leaseUntil < b.leaseUntil ? -1 : 1))
            .slice(0, limit)
            .map(({ ref }) => ref)
        ),
      expireLeases: now(() => {
        for (const [userId, state] of users) {
          for (const turn of state.turns.values()) {
            if (turn.status === "running") putTurn(userId, { ...turn, leaseUntil: Number.NEGATIVE_INFINITY })
          }
        }
      }),
      sweep: (afterMillis) =>
        now((now) => {
          for (const [userId, state] of users) {
            for (const turn of state.turns.values()) {
              if (turn.status === "deleted" && (turn.finishedAt ?? now) < now - afterMillis) {
                update(userId, ({ turns }) => ({ turns: withoutEntry(turns, turn.id) }))
              }
            }
            update(userId, ({ watches }) => ({
              watches: new Map([...watches].filter(([, { until }]) => until >= now - 60_000))
            }))
          }
        }),

      list: (userId, { after, limit }) =>
        now(() => {
          const behind = Option.match(after, {
            onNone: () => () => true,
            onSome: (cursor) => (row: ConversationRow) =>
              byActivity(row, { updatedAt: DateTime.toEpochMillis(cursor.updatedAt), id: cursor.id }) > 0
          })
          const rows = [...stateOf(users, userId).conversations.values()].filter(behind).sort(byActivity)
          return { items: rows.slice(0, limit).map(toConversation), hasMore: rows.length > limit }
        }),
      get: (userId, conversationId) => at(() => Effect.map(found(userId, conversationId), toConversation)),
      rename: (userId, conversationId, title) =>
        at(() =>
          Effect.map(found(userId, conversationId), (conversation) => {
            putConversation(userId, { ...conversation, title })
            return toConversation({ ...conversation, title })
          })
        ),
      remove: (userId, conversationId) =>
        at((now) =>
          Effect.map(found(userId, conversationId), () => {
            for (const turn of stateOf(users, userId).turns.values()) {
              if (turn.conversationId !== conversationId || turn.status === "deleted") continue
              update(userId, ({ watches }) => ({ watches: withoutEntry(watches, turn.id) }))
              update(userId, ({ turns }) => ({
                turns:
                  turn.idempotencyKey === null
                    ? withoutEntry(turns, turn.id)
                    : withEntry(turns, turn.id, {
                        ...turn,
                        status: "deleted",
                        fence: turn.fence + 1,
                        context: { userName: "" },
                        response: null,
                        failure: null,
                        retryable: false,
                        finishedAt: now
                      })
              }))
            }
            update(userId, ({ conversations }) => ({ conversations: withoutEntry(conversations, conversationId) }))
          })
        ),
      messages: (userId, conversationId, { after, limit, order }) =>
        at(() =>
          Effect.map(found(userId, conversationId), (conversation) => {
            const ordered = order === "asc" ? conversation.messages : conversation.messages.toReversed()
            const rows = ordered.filter(
              (row) => Option.isNone(after) || (order === "asc" ? row.seq > after.value : row.seq < after.value)
            )
            return {
              items: rows.slice(0, limit).map((row) => {
                const turn = stateOf(users, userId).turns.get(row.turnId)
                const status = turn?.status
                const callsOf =
                  row.role === "assistant" ? row.seq - 1 : status === "running" || status === "failed" ? row.seq : 0
                return {
                  id: row.id,
                  seq: row.seq,
                  turnId: row.turnId,
                  turnStatus: status === undefined || status === "deleted" ? "completed" : status,
                  idempotencyKey: turn?.idempotencyKey ?? null,
                  role: row.role,
                  content: row.content,
                  createdAt: DateTime.makeUnsafe(row.createdAt),
                  calls: conversation.calls.filter((call) => call.seq === callsOf)
                }
              }),
              hasMore: rows.length > limit
            }
          })
        ),
      turn: (userId, turnId) =>
        at(() => {
          const turn = stateOf(users, userId).turns.get(turnId)
          if (turn === undefined || turn.status === "deleted") return Effect.fail(new TurnNotFound({ turnId }))
          const conversation = conversationOf(userId, turn.conversationId)
          return Effect.succeed({
            ...refOf(userId, turn),
            status: turn.status,
            usage: turn.usage,
            calls: conversation?.calls.filter((call) => call.seq === turn.seq) ?? [],
            attempt: turn.fence,
            steps: (conversation?.steps ?? [])
              .filter((step) => step.seq === turn.seq)
              .map(({ content, toldFrom }) => ({ content, toldFrom })),
            toldFrom: turn.toldFrom,
            body: turn.response,
            failure: turn.failure,
            retryable: mayRetry(userId, turn)
          })
        }),
      eraseUser: (userId) =>
        now((now) => {
          const { fullAt } = stateOf(users, userId)
          users.delete(userId)
          // A rate limit in force stays, or erasing would be a way around it.
          if (fullAt > now) update(userId, () => ({ fullAt }))
        }),
      check: Effect.void
    })
  })
)

/** The conversation that a turn is to begin in, be it there or not. */
const conversationIdOf = ({ conversationId, newConversationId }: BeginRequest): ConversationId =>
  Option.getOrElse(conversationId, () => newConversationId)

/** Who takes a turn up: a new request under its key, one that has waited for it, or someone else. */
type Taker = "key" | "waiter" | "other"

/** A lease much further ahead than its length counts as over: the clock was set back. */
const leaseHolds = (turn: TurnRow, now: number, leaseMillis: number): boolean =>
  turn.leaseUntil > now && turn.leaseUntil <= now + leaseMillis + 1000

const refOf = (userId: UserId, turn: TurnRow): TurnRef => ({
  userId,
  conversationId: turn.conversationId,
  turnId: turn.id
})

const byActivity = (
  a: { readonly updatedAt: number; readonly id: string },
  b: { readonly updatedAt: number; readonly id: string }
): number => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

const toConversation = (row: ConversationRow): Conversation => ({
  id: row.id,
  title: row.title,
  createdAt: DateTime.makeUnsafe(row.createdAt),
  updatedAt: DateTime.makeUnsafe(row.updatedAt)
})
