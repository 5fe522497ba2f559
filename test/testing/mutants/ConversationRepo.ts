import { DateTime, Effect, Option, Schema } from "effect"
import { stateOf } from "../../../src/adapters/memory/MemoryStore.ts"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { type Conversation, MessageId, ToolCallId } from "../../../src/domain/model/Conversation.ts"
import { StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import { Task } from "../../../src/domain/model/Task.ts"
import { addUsage, noUsage } from "../../../src/domain/model/Turn.ts"
import type { UserId } from "../../../src/domain/model/User.ts"
import type {
  BeginOutcome,
  BeginRequest,
  CallResult,
  Claim,
  ConversationRepo,
  FoldedCall,
  History,
  StepWork,
  TurnPolicy
} from "../../../src/ports/ConversationRepo.ts"
import type { TaskTools } from "../../../src/ports/TaskTools.ts"
import { type Mutant, type Right, wrong } from "./Mutant.ts"

type Repo = ConversationRepo["Service"]
type Begin = Repo["begin"]

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (right: Right) => Partial<Repo>
): Mutant<ConversationRepo | TaskTools> => ({ name, breaks, layer: wrong((right) => ({ repo: breaking(right) })) })

/** One that begins turns otherwise. */
const beginning = (
  name: string,
  breaks: ReadonlyArray<string>,
  begin: (right: Right, request: BeginRequest, policy: TurnPolicy) => ReturnType<Begin>
) => mutant(name, breaks, (right) => ({ begin: (request, policy) => begin(right, request, policy) }))

/** The turn under the key of a request. */
const turnByKey = ({ users }: Right, { idempotencyKey, userId }: BeginRequest) =>
  Option.isNone(idempotencyKey)
    ? undefined
    : [...stateOf(users, userId).turns.values()].find((turn) => turn.idempotencyKey === idempotencyKey.value)

/** The conversation that a request names. */
const conversationOf = ({ users }: Right, { conversationId, userId }: BeginRequest) =>
  Option.isNone(conversationId) ? undefined : stateOf(users, userId).conversations.get(conversationId.value)

const turnOf = ({ users }: Right, { turnId, userId }: Pick<Claim, "turnId" | "userId">) =>
  stateOf(users, userId).turns.get(turnId)

/** A claim as it would have to be. */
const unfenced = (right: Right, claim: Claim): Claim => ({ ...claim, fence: turnOf(right, claim)?.fence ?? 0 })

const withHistory = (outcome: BeginOutcome, change: (history: History) => Partial<History>): BeginOutcome =>
  outcome._tag === "Claimed"
    ? { ...outcome, turn: { ...outcome.turn, history: { ...outcome.turn.history, ...change(outcome.turn.history) } } }
    : outcome

/** Begins as if nobody else were about, having looked a moment before. */
const inNewConversation = (
  { repo }: Right,
  request: BeginRequest,
  policy: TurnPolicy
): Effect.Effect<BeginOutcome, StorageUnavailable> =>
  Effect.andThen(
    Effect.yieldNow,
    repo.begin(
      {
        ...request,
        conversationId: Option.none(),
        newConversationId: Option.getOrElse(request.conversationId, () => request.newConversationId)
      },
      policy
    )
  )

/** Results of a step that came as values, changed. */
const foldedResults = (
  { repo }: Right,
  change: (result: CallResult, call: FoldedCall | undefined, userId: UserId) => Effect.Effect<CallResult>
): Partial<Repo> => ({
  step: (claim, request, work, lease) => {
    const calls = work.folded?.calls
    if (calls === undefined) return repo.step(claim, request, work, lease)
    const execute = Effect.flatMap(work.execute, (results) =>
      Effect.forEach(results, (result, i) => change(result, calls[i], claim.userId))
    )
    return repo.step(claim, request, { ...work, execute }, lease)
  }
})

const encodeTask = Schema.encodeSync(Task)

const hasMore = ',"has_more":true'

const jsonb = (text: string): string => JSON.stringify(JSON.parse(text))

const byId = (a: Conversation, b: Conversation): number => (a.id < b.id ? 1 : -1)

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<ConversationRepo | TaskTools>> = [
  beginning(
    "forgets the title of a conversation",
    ["begins a turn in a new conversation"],
    ({ repo }, request, policy) => repo.begin({ ...request, title: "Untitled" }, policy)
  ),
  beginning(
    "leaves the steps out of a history",
    ["goes on in a conversation, with the next seq and the history"],
    ({ repo }, request, policy) =>
      Effect.map(repo.begin(request, policy), (outcome) => withHistory(outcome, () => ({ steps: [] })))
  ),
  beginning(
    "reads a row too much of the history",
    ["reads only the newest rows of the history"],
    ({ repo }, request, policy) => repo.begin(request, { ...policy, historyMessages: policy.historyMessages + 1 })
  ),
  beginning(
    "starts conversations that it does not know",
    ["does not find a conversation that is absent or someone else's, and writes nothing"],
    ({ repo }, request, policy) => repo.begin({ ...request, startIfAbsent: true }, policy)
  ),
  beginning(
    "starts no conversation under an id of the client's choice",
    ["starts a conversation under an id of the client's choice, and goes on in it from then on"],
    ({ repo }, request, policy) => repo.begin({ ...request, startIfAbsent: false }, policy)
  ),
  beginning(
    "looks whether a conversation is there, and starts it a moment later",
    ["starts it once when many come at once, of whom the others find it busy"],
    (right, request, policy) =>
      request.startIfAbsent === true && conversationOf(right, request) === undefined
        ? inNewConversation(right, request, policy)
        : right.repo.begin(request, policy)
  ),
  mutant(
    "forgets the keys of a conversation that is deleted",
    [
      "starts a conversation anew that was deleted, but not the turns that were in it",
      "forgets a conversation but remembers its keys"
    ],
    ({ repo }) => ({
      remove: (userId, conversationId) => Effect.tap(repo.remove(userId, conversationId), () => repo.sweep(-1000))
    })
  ),
  beginning(
    "looks for the conversation before the key",
    ["decides in the order that its port lays down what a begin comes to"],
    (right, request, policy) =>
      Option.isSome(request.conversationId) &&
      request.startIfAbsent !== true &&
      conversationOf(right, request) === undefined
        ? Effect.succeed({ _tag: "NotFound" })
        : right.repo.begin(request, policy)
  ),
  beginning(
    "does not know a begin again",
    ["answers a begin that is sent again with the same claim"],
    ({ repo }, request, policy) => Effect.flatMap(uuidV7, (holder) => repo.begin({ ...request, holder }, policy))
  ),
  mutant("does not know a take-up again", ["answers a take-up that is sent again with the same claim"], ({ repo }) => ({
    takeUp: (turn, _, policy) => Effect.flatMap(uuidV7, (holder) => repo.takeUp(turn, holder, policy))
  })),
  mutant("takes up what somebody holds", ["takes up no turn that is held, over or gone"], ({ edit, repo }) => ({
    takeUp: (turn, holder, policy) =>
      Effect.suspend(() => {
        edit(turn.userId, turn.turnId, () => ({ leaseUntil: 0 }))
        return repo.takeUp(turn, holder, policy)
      })
  })),
  mutant(
    "keeps answers in a form that orders their keys anew",
    ["repeats the stored answer under its key, byte for byte"],
    ({ repo }) => ({
      complete: (claim, request) => repo.complete(claim, { ...request, response: jsonb(request.response) })
    })
  ),
  beginning(
    "does not compare requests under one key",
    ["refuses a key with another request, and keeps keys of users apart"],
    ({ repo }, request, policy) => repo.begin({ ...request, fingerprint: "" }, policy)
  ),
  beginning(
    "does not tell for how long a turn is held",
    ["tells a turn that runs from one whose lease is over"],
    ({ repo }, request, policy) =>
      Effect.map(repo.begin(request, policy), (outcome) =>
        outcome._tag === "Running" ? { ...outcome, retryAfterMillis: 0 } : outcome
      )
  ),
  mutant(
    "believes any lease that is ahead",
    ["counts a lease as over that is much further ahead than its length: the clock was set back"],
    ({ repo }) => ({ settled: (turns, lease) => repo.settled(turns, lease + 1e9) })
  ),
  beginning(
    "says busy of a conversation whose turn was abandoned",
    ["keeps a conversation to one turn at a time, and hands out an abandoned one first"],
    ({ repo }, request, policy) =>
      Effect.map(repo.begin(request, policy), (outcome) =>
        outcome._tag === "ClaimedOther" ? { _tag: "Busy", retryAfterMillis: 15_000 } : outcome
      )
  ),
  mutant(
    "never gives a turn up",
    ["abandons a turn after its last attempt, for its key and for its conversation"],
    ({ repo }) => ({
      begin: (request, policy) => repo.begin(request, { ...policy, maxAttempts: 100 }),
      takeUp: (turn, holder, policy) => repo.takeUp(turn, holder, { ...policy, maxAttempts: 100 })
    })
  ),
  beginning(
    "takes up no turn that failed",
    ["takes up a failed turn by its key while it is the last one"],
    ({ repo }, request, policy) =>
      repo.begin({ ...request, begun: true }, policy).pipe(
        Effect.filterOrElse(
          ({ _tag }) => _tag !== "Gone" || request.begun,
          () => repo.begin(request, policy)
        )
      )
  ),
  beginning(
    "counts the attempts of a failed turn on",
    ["gives a failed turn that is taken up by its key all of its attempts again"],
    (right, request, policy) => {
      const before = turnByKey(right, request)
      return Effect.tap(right.repo.begin(request, policy), (outcome) =>
        Effect.sync(() => {
          if (outcome._tag === "Claimed" && before?.status === "failed") {
            right.edit(request.userId, before.id, () => ({ attempts: before.attempts + 1 }))
          }
        })
      )
    }
  ),
  beginning(
    "takes up an old failed turn after a newer one",
    ["does not take up a failed turn after a newer one, nor one that may not be tried again"],
    (right, request, policy) => {
      const turn = turnByKey(right, request)
      const state = stateOf(right.users, request.userId)
      const conversation = turn === undefined ? undefined : state.conversations.get(turn.conversationId)
      if (turn?.status === "failed" && conversation !== undefined) {
        const conversations = new Map(state.conversations).set(conversation.id, {
          ...conversation,
          lastTurnId: turn.id
        })
        right.users.set(request.userId, { ...state, conversations })
      }
      return right.repo.begin(request, policy)
    }
  ),
  beginning(
    "looks for a key, and uses it a moment later",
    ["lets exactly one of many equal requests begin", "limits no repetition of a request"],
    (right, request, policy) =>
      turnByKey(right, request) !== undefined || Option.isNone(request.idempotencyKey)
        ? right.repo.begin(request, policy)
        : Effect.andThen(
            Effect.yieldNow,
            Effect.tap(right.repo.begin({ ...request, idempotencyKey: Option.none() }, policy), () =>
              Effect.sync(() =>
                right.edit(request.userId, request.turnId, () => ({
                  idempotencyKey: Option.getOrNull(request.idempotencyKey)
                }))
              )
            )
          )
  ),
  beginning(
    "looks whether a conversation is busy, and begins a moment later",
    ["lets exactly one of many messages to a conversation begin"],
    (right, request, policy) => {
      const conversation = conversationOf(right, request)
      const last = conversation && stateOf(right.users, request.userId).turns.get(conversation.lastTurnId)
      return last?.status === "completed"
        ? inNewConversation(right, request, policy)
        : right.repo.begin(request, policy)
    }
  ),
  beginning(
    "has no limit of turns within a minute",
    ["limits new turns of a user within a minute, and writes nothing beyond"],
    ({ repo }, request, policy) => repo.begin(request, { ...policy, turnsPerMinute: null })
  ),
  beginning(
    "has no limit of turns at once",
    ["lets no more turns of a user run at once than may, and writes nothing beyond"],
    ({ repo }, request, policy) => repo.begin(request, { ...policy, turnsAtOnce: null })
  ),
  beginning(
    "has no limit of turns at once for those that failed",
    ["takes no failed turn up beside as many as may run at once"],
    (right, request, policy) =>
      right.repo.begin(
        request,
        turnByKey(right, request)?.status === "failed" ? { ...policy, turnsAtOnce: null } : policy
      )
  ),
  beginning(
    "has no limit of conversations",
    ["starts no more conversations of a user than may be"],
    ({ repo }, request, policy) => repo.begin(request, { ...policy, maxConversations: null })
  ),
  mutant("hangs calls on no message", ["commits a step together with what its tools did"], ({ repo }) => ({
    messages: (userId, conversationId, query) =>
      Effect.map(repo.messages(userId, conversationId, query), (page) => ({
        ...page,
        items: page.items.map((item) => ({ ...item, calls: [] }))
      }))
  })),
  ...(["step", "pend", "renew"] as const).map((method) =>
    mutant(
      `leaves the lease as it is: ${method}`,
      ["moves the lease on with each write of a turn that goes on"],
      (right) => {
        const still = <A, E>(claim: Claim, write: Effect.Effect<A, E>): Effect.Effect<A, E> =>
          Effect.suspend(() => {
            const before = turnOf(right, claim)?.leaseUntil
            return Effect.tap(write, () =>
              Effect.sync(() => {
                if (before !== undefined) right.edit(claim.userId, claim.turnId, () => ({ leaseUntil: before }))
              })
            )
          })
        const { repo } = right
        const broken: Pick<Repo, "step" | "pend" | "renew"> = {
          step: (claim, request, work, lease) => still(claim, repo.step(claim, request, work, lease)),
          pend: (claim, request, lease) => still(claim, repo.pend(claim, request, lease)),
          renew: (claims, lease) =>
            claims[0] === undefined ? Effect.succeed([]) : still(claims[0], repo.renew(claims, lease))
        }
        return { [method]: broken[method] }
      }
    )
  ),
  mutant("runs the tools of a step before its transaction", ["does nothing in a step whose tools fail"], (right) => ({
    step: (claim, request, work, lease) => {
      const turn = turnOf(right, claim)
      return turn?.status !== "running" || turn.steps !== request.steps || turn.fence !== claim.fence
        ? right.repo.step(claim, request, work, lease)
        : Effect.flatMap(work.execute, (results) =>
            right.repo.step(claim, request, { execute: Effect.succeed(results) }, lease)
          )
    }
  })),
  mutant(
    "says lost of a step that it has committed",
    ["reads a step back that was committed before, and does not run it again"],
    (right) => ({
      step: (claim, request, work, lease) =>
        turnOf(right, claim)?.steps === request.steps + 1
          ? Effect.succeed({ _tag: "Lost" })
          : right.repo.step(claim, request, work, lease)
    })
  ),
  mutant(
    "writes the results of values in its own way",
    ["does calls as values as it does them as an effect, to the byte"],
    (right) =>
      foldedResults(right, (result) =>
        Effect.succeed({ ...result, result: result.result.replace('"success":', '"success": ') })
      )
  ),
  mutant(
    "takes a limit of 0 in a value for none",
    ["adds no task over the limit in either form, be that none at all"],
    (right) =>
      foldedResults(right, (result, call, userId) =>
        call?._tag === "Task" && call.operation._tag === "Add" && call.operation.limit === 0
          ? Effect.orDie(
              Effect.as(right.tasks.add(userId, call.operation.task, null), { ...result, status: "success" as const })
            )
          : Effect.succeed(result)
      )
  ),
  mutant(
    "does not say of a list as a value that there is more",
    ["leaves out of a list as a value what is over the limit, and says so"],
    (right) =>
      foldedResults(right, (result) => Effect.succeed({ ...result, result: result.result.replace(hasMore, "") }))
  ),
  mutant(
    "lists as a value whatever size that has",
    ["lists no more than 16 KiB of titles and descriptions in either form, and says so"],
    (right) =>
      foldedResults(right, (result, call, userId) => {
        if (call?._tag !== "Task" || call.operation._tag !== "List") return Effect.succeed(result)
        const { limit, status } = call.operation
        return Effect.orDie(
          Effect.map(right.tasks.list(userId, { status, limit, after: Option.none() }), ({ hasMore, items }) => ({
            status: "success" as const,
            result: JSON.stringify({
              success: true,
              tasks: items.map((task) => encodeTask(task)),
              count: items.length,
              ...(hasMore && { has_more: true })
            })
          }))
        )
      })
  ),
  {
    name: "lists everybody's tasks",
    breaks: ["gives and changes nothing of another user's, whatever calls a model makes up"],
    layer: wrong(({ tasks, users }) => ({
      tasks: {
        list: (userId, query) =>
          Effect.map(
            Effect.forEach([userId, ...users.keys()], (user) => tasks.list(user, query)),
            (pages) => ({
              items: pages.flatMap((page) => page.items).slice(0, query.limit),
              hasMore: false
            })
          )
      }
    }))
  },
  mutant("has no fence on a step as values", ["does a step as values once, and only under its claim"], (right) => ({
    step: (claim, request, work, lease) =>
      right.repo.step(work.folded === undefined ? claim : unfenced(right, claim), request, work, lease)
  })),
  mutant(
    "carries out values by its own tasks always",
    ["carries out by itself only what is done by its own tasks"],
    ({ repo, tasks }) => {
      const own = (userId: UserId, folded: NonNullable<StepWork["folded"]>) =>
        Effect.forEach(folded.calls, (call) =>
          call._tag === "Known" || call.operation._tag !== "Add"
            ? Effect.die("the check adds tasks only")
            : Effect.as(tasks.add(userId, call.operation.task, null), { status: "success", result: "{}" } as const)
        )
      return {
        step: (claim, request, work, lease) =>
          work.folded === undefined || work.folded.tasks === tasks
            ? repo.step(claim, request, work, lease)
            : repo.step(claim, request, { execute: Effect.orDie(own(claim.userId, work.folded)) }, lease)
      }
    }
  ),
  mutant("has no fence on a step", ["writes nothing under a claim that is over"], (right) => ({
    step: (claim, request, work, lease) => right.repo.step(unfenced(right, claim), request, work, lease)
  })),
  mutant("has no fence on a reply", ["writes nothing under a claim that is over"], (right) => ({
    complete: (claim, request) => right.repo.complete(unfenced(right, claim), request)
  })),
  mutant("has no fence on a failure", ["writes nothing under a claim that is over"], (right) => ({
    fail: (claim, request) => right.repo.fail(unfenced(right, claim), request)
  })),
  mutant(
    "answers a reply that is sent again as if it were stored",
    ["answers what is stored when an end is sent again"],
    ({ repo }) => ({
      complete: (claim, request) =>
        Effect.map(repo.complete(claim, request), (outcome) =>
          outcome._tag === "Completed" ? { ...outcome, body: request.response } : outcome
        )
    })
  ),
  mutant(
    "has two steps of a user block each other",
    ["runs steps of one user in several conversations at once"],
    ({ repo }) => {
      const busy = new Set<UserId>()
      return {
        step: (claim, request, work, lease) =>
          Effect.suspend(() => {
            if (busy.has(claim.userId)) return Effect.fail(new StorageUnavailable({ operation: "deadlock" }))
            busy.add(claim.userId)
            return Effect.andThen(Effect.yieldNow, repo.step(claim, request, work, lease)).pipe(
              Effect.ensuring(Effect.sync(() => busy.delete(claim.userId)))
            )
          })
      }
    }
  ),
  mutant("finds a turn under whatever user is named", ["knows a turn under its own user alone"], (right) => {
    const owned = (claim: Claim): Claim => ({
      ...claim,
      userId: [...right.users].find(([, state]) => state.turns.has(claim.turnId))?.[0] ?? claim.userId
    })
    return { fail: (claim, request) => right.repo.fail(owned(claim), request) }
  }),
  mutant("tells nobody that a claim is over", ["renews leases, and names the claims that are over"], ({ repo }) => ({
    renew: (claims, lease) => Effect.as(repo.renew(claims, lease), [])
  })),
  mutant("keeps claims that are handed back", ["hands claims back, so that others take the turns up at once"], () => ({
    handBack: () => Effect.void
  })),
  mutant(
    "takes back a claim that somebody else has by now",
    ["gives a claim up once, however often it is handed back"],
    (right) => ({ handBack: (claims) => right.repo.handBack(claims.map((claim) => unfenced(right, claim))) })
  ),
  mutant("counts a turn as held as long as it runs", ["tells those of the turns that nobody holds"], (right) => ({
    settled: (turns, lease) =>
      Effect.map(right.repo.settled(turns, lease), (settled) =>
        settled.filter((id) => turns.every((turn) => turn.turnId !== id || turnOf(right, turn)?.status !== "running"))
      )
  })),
  mutant("lists all abandoned turns at once", ["lists abandoned turns, no more than asked for"], ({ repo }) => ({
    abandoned: (_, lease) => repo.abandoned(1000, lease)
  })),
  mutant(
    "lists abandoned turns in any order",
    ["lists those abandoned turns first that have waited longest"],
    ({ repo }) => ({
      abandoned: (limit, lease) => Effect.map(repo.abandoned(limit, lease), (turns) => turns.toReversed())
    })
  ),
  beginning(
    "begins a turn anew that it does not know any more",
    ["does not begin a turn anew that is known to have begun"],
    (right, request, policy) =>
      right.repo.begin({ ...request, begun: turnByKey(right, request) !== undefined && request.begun }, policy)
  ),
  beginning(
    "has whoever waited for a turn run it",
    ["gives a failure to whoever waited for the turn, instead of the turn"],
    (right, request, policy) =>
      right.repo.begin({ ...request, begun: turnByKey(right, request)?.status !== "failed" && request.begun }, policy)
  ),
  mutant(
    "erases the turns of later on with the conversations of before",
    ["leaves whole what begins while its user is erased"],
    ({ repo, users }) => ({
      begin: (request, policy) => Effect.andThen(Effect.yieldNow, repo.begin(request, policy)),
      eraseUser: (userId) =>
        Effect.gen(function* () {
          const { conversations } = stateOf(users, userId)
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          const later = stateOf(users, userId).conversations
          yield* repo.eraseUser(userId)
          const left = new Map([...later].filter(([id]) => !conversations.has(id)))
          users.set(userId, { ...stateOf(users, userId), conversations: left })
        })
    })
  ),
  mutant("lists conversations by their age", ["lists conversations by activity, page by page"], ({ repo }) => ({
    list: (userId, { after, limit }) =>
      Effect.map(repo.list(userId, { limit: 10_000, after: Option.none() }), ({ items }) => {
        const behind = items.toSorted(byId).filter((item) => Option.isNone(after) || item.id < after.value.id)
        return { items: behind.slice(0, limit), hasMore: behind.length > limit }
      })
  })),
  mutant(
    "counts a new name as activity",
    ["renames a conversation of its user, which keeps its place"],
    ({ repo }) => ({
      rename: (userId, conversationId, title) =>
        Effect.map(repo.rename(userId, conversationId, title), (conversation) => ({
          ...conversation,
          updatedAt: DateTime.add(conversation.updatedAt, { minutes: 1 })
        }))
    })
  ),
  mutant("reads messages in one direction", ["pages through messages in both directions"], ({ repo }) => ({
    messages: (userId, conversationId, query) => repo.messages(userId, conversationId, { ...query, order: "asc" })
  })),
  mutant(
    "forgets what a turn used",
    ["tells how a turn stands, and of none that is another's or deleted"],
    ({ repo }) => ({
      turn: (userId, turnId) => Effect.map(repo.turn(userId, turnId), (turn) => ({ ...turn, usage: noUsage }))
    })
  ),
  mutant(
    "takes what was stopped for completed",
    ["stops a turn with a reply, which is as final as that of a completed one"],
    ({ repo }) => ({ complete: (claim, request) => repo.complete(claim, { ...request, stopped: false }) })
  ),
  mutant(
    "tells nobody what its attempt has said",
    ["tells who runs a turn that somebody watches it, and those who watch what it says"],
    () => ({ tell: () => Effect.void })
  ),
  beginning(
    "stops a turn that was to be stopped before it failed",
    ["stops no attempt that was begun after somebody wanted an earlier one stopped"],
    (right, request, policy) => {
      const { watches } = stateOf(right.users, request.userId)
      return Effect.tap(right.repo.begin(request, policy), () =>
        Effect.sync(() => {
          right.users.set(request.userId, { ...stateOf(right.users, request.userId), watches })
        })
      )
    }
  ),
  mutant(
    "keeps nothing of what a step is to do",
    ["keeps what a step is to do outside of the store, for whoever goes on with it"],
    () => ({ pend: () => Effect.succeed({ _tag: "Pended" }) })
  ),
  mutant("undoes nothing of a part that fails", ["undoes a part of a step that fails, and nothing but that"], () => ({
    atomically: (_, effect) => effect
  })),
  mutant("leaves the tasks of an erased user", ["erases all of a user, and nothing of others"], ({ repo, users }) => ({
    eraseUser: (userId) =>
      Effect.suspend(() => {
        const { tasks } = stateOf(users, userId)
        return Effect.tap(repo.eraseUser(userId), () =>
          Effect.sync(() => users.set(userId, { ...stateOf(users, userId), tasks }))
        )
      })
  })),
  mutant("is never ready", ["is ready"], () => ({
    check: Effect.fail(new StorageUnavailable({ operation: "ConversationRepo.check" }))
  })),
  mutant(
    "believes any lease that is ahead when it looks for abandoned turns",
    ["counts a lease as over that is much further ahead than its length: the clock was set back"],
    ({ repo }) => ({ abandoned: (limit, lease) => repo.abandoned(limit, lease + 1e9) })
  ),
  mutant(
    "forgets whose turn it takes up",
    ["answers a take-up that is sent again with the same claim"],
    ({ repo }) => ({
      takeUp: (turn, holder, policy) =>
        Effect.map(repo.takeUp(turn, holder, policy), (outcome) =>
          outcome._tag === "Claimed" ? { ...outcome, turn: { ...outcome.turn, context: { userName: "" } } } : outcome
        )
    })
  ),
  mutant("tells all attempts alike", ["answers a take-up that is sent again with the same claim"], ({ repo }) => ({
    watch: (turns, time) =>
      Effect.map(repo.watch(turns, time), (glances) => glances.map((glance) => ({ ...glance, attempt: 1 })))
  })),
  mutant("fails a turn whose steps it has not seen", ["writes nothing under a claim that is over"], (right) => ({
    fail: (claim, request) => right.repo.fail(claim, { ...request, steps: turnOf(right, claim)?.steps ?? 0 })
  })),
  mutant("makes ids of its own for messages", ["answers what is stored when an end is sent again"], ({ repo }) => ({
    complete: (claim, request) =>
      Effect.flatMap(uuidV7, (id) => repo.complete(claim, { ...request, messageId: MessageId.make(id) }))
  })),
  mutant("makes ids of its own for calls", ["commits a step together with what its tools did"], ({ repo }) => ({
    step: (claim, request, work, lease) =>
      Effect.gen(function* () {
        const ids = yield* Effect.forEach(request.calls, () => uuidV7)
        const calls = request.calls.map((call, i) => ({ ...call, id: ToolCallId.make(ids[i] ?? "") }))
        return yield* repo.step(claim, { ...request, calls }, work, lease)
      })
  })),
  mutant(
    "counts what was used again when an end is sent again",
    ["answers what is stored when an end is sent again"],
    (right) => ({
      complete: (claim, request) =>
        Effect.suspend(() => {
          const isOver = turnOf(right, claim)?.status === "completed"
          return Effect.tap(right.repo.complete(claim, request), () =>
            Effect.sync(() => {
              if (isOver) {
                right.edit(claim.userId, claim.turnId, ({ usage }) => ({ usage: addUsage(usage, request.usage) }))
              }
            })
          )
        })
    })
  ),
  mutant(
    "takes the first of several claims back",
    ["hands claims back, so that others take the turns up at once"],
    ({ repo }) => ({
      handBack: (claims) => repo.handBack(claims.slice(0, 1))
    })
  ),
  mutant("says of a full page that there is more", ["lists conversations by activity, page by page"], ({ repo }) => ({
    list: (userId, query) =>
      Effect.map(repo.list(userId, query), (page) => ({ ...page, hasMore: page.items.length === query.limit }))
  })),
  mutant("forgets when a message was written", ["pages through messages in both directions"], ({ repo }) => ({
    messages: (userId, conversationId, query) =>
      Effect.map(repo.messages(userId, conversationId, query), (page) => ({
        ...page,
        items: page.items.map((item) => ({ ...item, createdAt: DateTime.makeUnsafe(0) }))
      }))
  }))
]
