import assert from "node:assert/strict"
import { DateTime, Effect, Option, Result } from "effect"
import { uuidV7 } from "../domain/Ids.ts"
import { ConversationId, MessageId, ToolCallId, TurnId } from "../domain/model/Conversation.ts"
import { StorageUnavailable, TurnNotFound } from "../domain/model/Errors.ts"
import { toStorable } from "../domain/model/Text.ts"
import { IdempotencyKey, noUsage } from "../domain/model/Turn.ts"
import { UserId } from "../domain/model/User.ts"
import { defaultSettings, Settings } from "../domain/Settings.ts"
import * as Tools from "../domain/Tools.ts"
import {
  type BeginRequest,
  type CallResult,
  type ClaimedTurn,
  type CompleteRequest,
  ConversationRepo,
  type StepRequest,
  type StepWork,
  type TurnPolicy
} from "../ports/ConversationRepo.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import { adversarialCalls, foreignTitle } from "./Adversary.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

const policy: TurnPolicy = {
  leaseMillis: 15_000,
  historyMessages: 20,
  maxAttempts: 3,
  turnsPerMinute: null,
  turnsAtOnce: null,
  maxConversations: null
}
const usage = { promptTokens: 7, completionTokens: 3 }

const newUser = Effect.map(uuidV7, (id) => UserId.make(id))
const holder = uuidV7

/** A request to begin a turn, with fresh ids and what is given otherwise. */
const request = Effect.fnUntraced(function* (userId: UserId, more: Partial<BeginRequest> = {}) {
  const message = more.content ?? "Hello"
  return {
    userId,
    turnId: TurnId.make(yield* uuidV7),
    holder: yield* holder,
    idempotencyKey: Option.none(),
    fingerprint: JSON.stringify(["chat", Option.getOrNull(more.conversationId ?? Option.none()), message]),
    conversationId: Option.none(),
    newConversationId: ConversationId.make(yield* uuidV7),
    title: "Chat 2026-01-19 10:00",
    messageId: MessageId.make(yield* uuidV7),
    content: message,
    context: { userName: "Ada" },
    begun: false,
    ...more
  } satisfies BeginRequest
})

const begin = Effect.fnUntraced(function* (userId: UserId, more: Partial<BeginRequest> = {}, rules = policy) {
  const repo = yield* ConversationRepo
  return yield* repo.begin(yield* request(userId, more), rules)
})

/** Begins a turn that must be claimed. */
const claim = Effect.fnUntraced(function* (userId: UserId, more: Partial<BeginRequest> = {}) {
  const outcome = yield* begin(userId, more)
  Expect.isTagged(outcome, "Claimed")
  return outcome.turn
})

const complete = Effect.fnUntraced(function* (
  turn: ClaimedTurn,
  content = "Hi",
  response = `{"message":"${content}"}`,
  more: Partial<CompleteRequest> = {}
) {
  const repo = yield* ConversationRepo
  return yield* repo.complete(turn.claim, {
    steps: turn.steps,
    messageId: MessageId.make(yield* uuidV7),
    content,
    response,
    usage,
    stopped: false,
    toldFrom: 0,
    ...more
  })
})

const fail = Effect.fnUntraced(function* (turn: ClaimedTurn, retryable: boolean, steps = turn.steps) {
  const repo = yield* ConversationRepo
  return yield* repo.fail(turn.claim, {
    steps,
    failure: { code: "model_failed", reason: "overloaded" },
    retryable,
    usage
  })
})

const stepRequest = Effect.fnUntraced(function* (turn: ClaimedTurn, more: Partial<StepRequest> = {}) {
  return {
    steps: turn.steps,
    content: "Let me see",
    usage,
    calls: [
      {
        id: ToolCallId.make(yield* uuidV7),
        providerCallId: "call_1",
        toolName: "add_task",
        arguments: `{"title": "Milk",  "b":1, "a":2}`
      }
    ],
    toldFrom: 0,
    ...more
  } satisfies StepRequest
})

/** What runs inside a step: adds a task by the port, and answers in the form of a tool. */
const addMilk = (userId: UserId): Effect.Effect<ReadonlyArray<CallResult>, StorageUnavailable, TaskTools> =>
  Effect.gen(function* () {
    const tasks = yield* TaskTools
    const task = yield* Effect.catchTag(
      tasks.add(userId, { title: "Milk", description: null }, null),
      "TooManyTasks",
      Effect.die
    )
    return [{ status: "success" as const, result: `{"success":true,"id":${task.id}}` }]
  })

const step = Effect.fnUntraced(function* (turn: ClaimedTurn, more: Partial<StepRequest> = {}) {
  const repo = yield* ConversationRepo
  const execute = Effect.provideService(addMilk(turn.claim.userId), TaskTools, yield* TaskTools)
  return yield* repo.step(turn.claim, yield* stepRequest(turn, more), { execute }, policy.leaseMillis)
})

/** A step with these calls of the agent's tools, in both forms. */
const toolStep = Effect.fnUntraced(function* (
  turn: ClaimedTurn,
  calls: ReadonlyArray<readonly [name: string, args: object | string]>,
  form: "values" | "effect" = "values"
) {
  const textOf = (args: object | string) => (typeof args === "string" ? args : JSON.stringify(args))
  const repo = yield* ConversationRepo
  const tools = yield* Effect.provide(Tools.Tools, Tools.layer)
  const prepared = calls.map(([name, args]) => tools.prepare(turn.claim.userId, name, textOf(args), ""))
  const ids = yield* Effect.forEach(calls, () => uuidV7)
  const execute = Effect.forEach(prepared, (call) => call.execute)
  const asked = yield* stepRequest(turn, {
    calls: calls.map(([toolName, args], i) => ({
      id: ToolCallId.make(ids[i] ?? ""),
      providerCallId: `call_${i}`,
      toolName: toStorable(toolName),
      arguments: Tools.storableArguments(textOf(args))
    }))
  })
  const folded = { tasks: tools.tasks ?? assert.fail(), calls: prepared.flatMap((call) => call.folded ?? []) }
  return yield* repo.step(turn.claim, asked, form === "values" ? { execute, folded } : { execute }, policy.leaseMillis)
})

const titles = Effect.fnUntraced(function* (userId: UserId) {
  const tasks = yield* TaskTools
  const page = yield* tasks.list(userId, { status: "all", limit: 200, after: Option.none() })
  return page.items.map((task) => task.title)
})

const messagesOf = Effect.fnUntraced(function* (turn: ClaimedTurn) {
  const repo = yield* ConversationRepo
  const page = yield* repo.messages(turn.claim.userId, turn.claim.conversationId, {
    limit: 200,
    order: "asc",
    after: Option.none()
  })
  return page.items
})

/** Talks in a conversation until it is the most recently active one by the store's clock, which has only so fine a tick. */
const touch = Effect.fnUntraced(function* (turn: ClaimedTurn) {
  const repo = yield* ConversationRepo
  const { conversationId, userId } = turn.claim
  const { items } = yield* repo.list(userId, { limit: 100, after: Option.none() })
  const latest = Math.max(...items.map((item) => DateTime.toEpochMillis(item.updatedAt)))
  for (let i = 0; i < 1000; i++) {
    yield* complete(yield* claim(userId, inConversation(turn)))
    const { updatedAt } = yield* repo.get(userId, conversationId)
    if (DateTime.toEpochMillis(updatedAt) > latest) return
  }
  assert.fail("a conversation in which something was said is not the most recently active one")
})

const key = (text: string) => Option.some(IdempotencyKey.make(text))
const inConversation = (turn: ClaimedTurn) => ({ conversationId: Option.some(turn.claim.conversationId) })

/** A conversation whose id the client has chosen. */
const chosen = (id: ConversationId) => ({ conversationId: Option.some(id), startIfAbsent: true })
const newChosen = Effect.map(uuidV7, (id) => chosen(ConversationId.make(id)))

const obligation = obligationsOf("ConversationRepo")

/**
 * What every adapter of `ConversationRepo` must do. The layer is built once and shared, so tests keep apart by their
 * users; `expireLeases` is how a lease ends here, since leases go by the store's own clock.
 */
export const obligations: ReadonlyArray<Obligation<ConversationRepo | TaskTools>> = [
  obligation(
    "begins a turn in a new conversation",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const asked = yield* request(user, { content: 'Hello \u{1f600} \\u0000 "quoted"' })
      const outcome = yield* repo.begin(asked, policy)
      assert.deepStrictEqual(outcome, {
        _tag: "Claimed",
        turn: {
          claim: { userId: user, conversationId: asked.newConversationId, turnId: asked.turnId, fence: 1 },
          seq: 1,
          steps: 0,
          usage: noUsage,
          context: { userName: "Ada" },
          pending: null,
          history: { messages: [{ seq: 1, role: "user", content: asked.content }], steps: [], calls: [] }
        }
      })
      const conversation = yield* repo.get(user, asked.newConversationId)
      assert.strictEqual(conversation.title, asked.title)
      const { items } = yield* repo.messages(user, asked.newConversationId, {
        limit: 10,
        order: "asc",
        after: Option.none()
      })
      assert.deepStrictEqual(
        items.map(({ createdAt: _, ...message }) => message),
        [
          {
            id: asked.messageId,
            seq: 1,
            turnId: asked.turnId,
            turnStatus: "running",
            idempotencyKey: null,
            role: "user",
            content: asked.content,
            calls: []
          }
        ]
      )
    })
  ),

  obligation(
    "goes on in a conversation, with the next seq and the history",
    Effect.gen(function* () {
      const user = yield* newUser
      const first = yield* claim(user)
      yield* step(first)
      yield* complete({ ...first, steps: 1 }, "Added")
      const second = yield* claim(user, { ...inConversation(first), content: "And now?" })
      assert.strictEqual(second.seq, 3)
      assert.deepStrictEqual(second.history.messages, [
        { seq: 1, role: "user", content: "Hello" },
        { seq: 2, role: "assistant", content: "Added" },
        { seq: 3, role: "user", content: "And now?" }
      ])
      assert.deepStrictEqual(second.history.steps, [{ seq: 1, step: 1, content: "Let me see" }])
      assert.deepStrictEqual(
        second.history.calls.map(({ id: _, ...call }) => call),
        [
          {
            seq: 1,
            step: 1,
            position: 0,
            providerCallId: "call_1",
            toolName: "add_task",
            arguments: `{"title": "Milk",  "b":1, "a":2}`,
            result: `{"success":true,"id":1}`,
            status: "success"
          }
        ]
      )
    })
  ),

  obligation(
    "reads only the newest rows of the history",
    Effect.gen(function* () {
      const user = yield* newUser
      const first = yield* claim(user)
      yield* step(first)
      yield* complete({ ...first, steps: 1 })
      for (let i = 0; i < 2; i++) yield* complete(yield* claim(user, inConversation(first)))
      const outcome = yield* begin(user, inConversation(first), { ...policy, historyMessages: 4 })
      Expect.isTagged(outcome, "Claimed")
      assert.deepStrictEqual(
        outcome.turn.history.messages.map((row) => row.seq),
        [4, 5, 6, 7]
      )
      assert.deepStrictEqual(outcome.turn.history.steps, [])
      assert.deepStrictEqual(outcome.turn.history.calls, [])
    })
  ),

  obligation(
    "does not find a conversation that is absent or someone else's, and writes nothing",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const foreign = yield* claim(other)
      yield* complete(foreign)
      const absent = Option.some(ConversationId.make(yield* uuidV7))
      assert.deepStrictEqual(yield* begin(user, inConversation(foreign)), { _tag: "NotFound" })
      assert.deepStrictEqual(yield* begin(user, { conversationId: absent, idempotencyKey: key("k") }), {
        _tag: "NotFound"
      })
      assert.deepStrictEqual((yield* repo.list(user, { limit: 10, after: Option.none() })).items, [])
      assert.strictEqual((yield* messagesOf(foreign)).length, 2)
      // The key was not used up either.
      assert.strictEqual((yield* begin(user, { idempotencyKey: key("k") }))._tag, "Claimed")
    })
  ),

  obligation(
    "starts a conversation under an id of the client's choice, and goes on in it from then on",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const id = ConversationId.make(yield* uuidV7)
      const first = yield* claim(user, chosen(id))
      assert.deepStrictEqual([first.claim.conversationId, first.seq], [id, 1])
      assert.strictEqual((yield* begin(user, chosen(id)))._tag, "Busy")
      yield* complete(first)
      const second = yield* claim(user, { ...chosen(id), content: "And now?", title: "Another" })
      assert.strictEqual(second.seq, 3)
      assert.strictEqual((yield* repo.get(user, id)).title, "Chat 2026-01-19 10:00")
      // The id is another conversation for another user.
      const foreign = yield* claim(other, chosen(id))
      assert.deepStrictEqual([foreign.claim.conversationId, foreign.seq], [id, 1])
      assert.strictEqual((yield* messagesOf(second)).length, 3)
    })
  ),

  obligation(
    "starts it once when many come at once, of whom the others find it busy",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const same = yield* newChosen
      const rules = { ...policy, turnsPerMinute: 60, turnsAtOnce: 10, maxConversations: 1 }
      const outcomes = yield* Effect.all(
        Array.from({ length: 10 }, (_, i) => begin(user, { ...same, idempotencyKey: key(`k${i}`) }, rules)),
        { concurrency: "unbounded" }
      )
      const count = (tag: string) => outcomes.filter((outcome) => outcome._tag === tag).length
      assert.deepStrictEqual([count("Claimed"), count("Busy")], [1, 9])
      assert.strictEqual((yield* repo.list(user, { limit: 10, after: Option.none() })).items.length, 1)
      const outcome = outcomes.find(({ _tag }) => _tag === "Claimed")
      Expect.isThere(outcome)
      Expect.isTagged(outcome, "Claimed")
      assert.strictEqual((yield* messagesOf(outcome.turn)).length, 1)
      yield* complete(outcome.turn)
      // There is no room for another, but for more in the one that there is; and the same key is the same turn.
      assert.strictEqual((yield* begin(user, yield* newChosen, rules))._tag, "TooManyConversations")
      const used = { ...same, idempotencyKey: key(`k${outcomes.indexOf(outcome)}`) }
      assert.strictEqual((yield* begin(user, used, rules))._tag, "Completed")
      assert.strictEqual((yield* begin(user, same, rules))._tag, "Claimed")
    })
  ),

  obligation(
    "starts a conversation anew that was deleted, but not the turns that were in it",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const id = ConversationId.make(yield* uuidV7)
      yield* complete(yield* claim(user, { ...chosen(id), idempotencyKey: key("k") }))
      yield* repo.remove(user, id)
      assert.strictEqual((yield* begin(user, { ...chosen(id), idempotencyKey: key("k") }))._tag, "Gone")
      const anew = yield* claim(user, { ...chosen(id), idempotencyKey: key("l") })
      assert.strictEqual(anew.seq, 1)
      assert.strictEqual((yield* messagesOf(anew)).length, 1)
    })
  ),

  obligation(
    "decides in the order that its port lays down what a begin comes to",
    Effect.gen(function* () {
      const user = yield* newUser
      const rules = { ...policy, turnsAtOnce: 1, turnsPerMinute: 1, maxConversations: 1 }
      const asked = yield* request(user, { idempotencyKey: key("k") })
      const first = yield* (yield* ConversationRepo).begin(asked, rules)
      Expect.isTagged(first, "Claimed")
      const absent = { conversationId: Option.some(ConversationId.make(yield* uuidV7)) }
      const outcome = (more: Partial<BeginRequest>, policy: TurnPolicy) =>
        Effect.map(begin(user, more, policy), ({ _tag }) => _tag)
      const again = { idempotencyKey: key("k"), ...inConversation(first.turn), fingerprint: asked.fingerprint }
      assert.strictEqual(yield* outcome({ idempotencyKey: key("k"), ...absent }, rules), "KeyReused")
      assert.strictEqual(yield* outcome(again, rules), "Running")
      assert.strictEqual(yield* outcome(absent, rules), "NotFound")
      assert.strictEqual(yield* outcome(inConversation(first.turn), rules), "Busy")
      assert.strictEqual(yield* outcome({}, rules), "TooManyTurns")
      yield* complete(first.turn)
      assert.strictEqual(yield* outcome({}, rules), "RateLimited")
      assert.strictEqual(yield* outcome({}, { ...rules, turnsPerMinute: null }), "TooManyConversations")
    })
  ),

  obligation(
    "answers a begin that is sent again with the same claim",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      for (const more of [{ idempotencyKey: key("again") }, {}, yield* newChosen]) {
        const asked = yield* request(user, more)
        const outcome = yield* repo.begin(asked, policy)
        assert.deepStrictEqual(yield* repo.begin(asked, policy), outcome)
      }
      assert.strictEqual((yield* repo.list(user, { limit: 10, after: Option.none() })).items.length, 3)
    })
  ),

  obligation(
    "repeats the stored answer under its key, byte for byte",
    Effect.gen(function* () {
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      const body = `{ "b":1,"a" : "\\u0000 \\ud800 \u{1f600}", "a":2}`
      assert.deepStrictEqual(yield* complete(turn, "Hi", body), {
        _tag: "Completed",
        turnId: turn.claim.turnId,
        body
      })
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k") }), {
        _tag: "Completed",
        turnId: turn.claim.turnId,
        body
      })
      assert.strictEqual((yield* messagesOf(turn)).length, 2)
    })
  ),

  obligation(
    "refuses a key with another request, and keeps keys of users apart",
    Effect.gen(function* () {
      const [user, other] = [yield* newUser, yield* newUser]
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k"), content: "Other" }), {
        _tag: "KeyReused"
      })
      yield* complete(turn)
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k"), content: "Other" }), {
        _tag: "KeyReused"
      })
      assert.strictEqual((yield* begin(other, { idempotencyKey: key("k"), content: "Other" }))._tag, "Claimed")
      assert.strictEqual((yield* begin(user, { idempotencyKey: key("K"), content: "Other" }))._tag, "Claimed")
    })
  ),

  obligation(
    "tells a turn that runs from one whose lease is over",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      const running = yield* begin(user, { idempotencyKey: key("k") })
      Expect.isTagged(running, "Running")
      assert.strictEqual(running.turn.turnId, turn.claim.turnId)
      Expect.isWithin(running.retryAfterMillis, [10_001, 15_000])
      yield* repo.expireLeases
      const taken = yield* begin(user, { idempotencyKey: key("k") })
      Expect.isTagged(taken, "Claimed")
      assert.deepStrictEqual(taken.turn, { ...turn, claim: { ...turn.claim, fence: 2 } })
      assert.deepStrictEqual(yield* complete(turn), { _tag: "Lost" })
      assert.strictEqual((yield* complete(taken.turn))._tag, "Completed")
      assert.strictEqual((yield* messagesOf(turn)).length, 2)
    })
  ),

  obligation(
    "counts a lease as over that is much further ahead than its length: the clock was set back",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const outcome = yield* begin(user, { idempotencyKey: key("k") }, { ...policy, leaseMillis: 3_600_000 })
      Expect.isTagged(outcome, "Claimed")
      const ref = outcome.turn.claim
      assert.deepStrictEqual(yield* repo.settled([ref], policy.leaseMillis), [ref.turnId])
      const abandoned = yield* repo.abandoned(1000, policy.leaseMillis)
      assert.ok(abandoned.some(({ turnId }) => turnId === ref.turnId))
      assert.strictEqual((yield* begin(user, { idempotencyKey: key("k") }))._tag, "Claimed")
    })
  ),

  obligation(
    "keeps a conversation to one turn at a time, and hands out an abandoned one first",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      const busy = yield* begin(user, inConversation(turn))
      Expect.isTagged(busy, "Busy")
      Expect.isWithin(busy.retryAfterMillis, [10_001, 15_000])
      yield* repo.expireLeases
      const other = yield* begin(user, { ...inConversation(turn), content: "New" })
      Expect.isTagged(other, "ClaimedOther")
      assert.deepStrictEqual(other.turn, { ...turn, claim: { ...turn.claim, fence: 2 } })
      yield* complete(other.turn)
      assert.strictEqual((yield* messagesOf(turn)).length, 2)
      assert.strictEqual((yield* claim(user, inConversation(turn))).seq, 3)
    })
  ),

  obligation(
    "answers a take-up that is sent again with the same claim",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      yield* repo.expireLeases
      const name = yield* holder
      const taken = yield* repo.takeUp(turn.claim, name, policy)
      Expect.isTagged(taken, "Claimed")
      assert.deepStrictEqual(taken.turn, { ...turn, claim: { ...turn.claim, fence: 2 } })
      assert.deepStrictEqual(yield* repo.takeUp(turn.claim, name, policy), taken)
      // Whoever looks sees that it is another attempt.
      assert.strictEqual((yield* repo.turn(user, turn.claim.turnId)).attempt, 2)
      const [glance] = yield* repo.watch([{ ...turn.claim, stop: false }], 1000)
      assert.strictEqual(glance?.attempt, 2)
      // So is the begin of another message that was given the turn.
      yield* repo.expireLeases
      const next = yield* request(user, { ...inConversation(turn), content: "And now?" })
      const other = yield* repo.begin(next, policy)
      Expect.isTagged(other, "ClaimedOther")
      assert.strictEqual(other.turn.claim.fence, 3)
      assert.deepStrictEqual(yield* repo.begin(next, policy), other)
    })
  ),

  obligation(
    "takes up no turn that is held, over or gone",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const take = (turn: ClaimedTurn) => Effect.flatMap(holder, (name) => repo.takeUp(turn.claim, name, policy))
      const [held, over] = [yield* claim(user), yield* claim(user)]
      const running = yield* take(held)
      Expect.isTagged(running, "Running")
      assert.strictEqual(running.turn.turnId, held.claim.turnId)
      Expect.isWithin(running.retryAfterMillis, [10_001, 15_000])
      assert.strictEqual((yield* complete(held))._tag, "Completed")
      const completed = yield* complete(over, "Hi", `{ "n":1}`)
      assert.deepStrictEqual(yield* take(over), completed)
      const unknown = { ...over, claim: { ...over.claim, turnId: TurnId.make(yield* uuidV7) } }
      assert.deepStrictEqual(yield* take(unknown), { _tag: "Gone" })
    })
  ),

  obligation(
    "abandons a turn after its last attempt, for its key and for its conversation",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      yield* step(turn)
      for (let attempt = 2; attempt <= 3; attempt++) {
        yield* repo.expireLeases
        const taken = yield* repo.takeUp(turn.claim, yield* holder, policy)
        Expect.isTagged(taken, "Claimed")
        assert.strictEqual(taken.turn.steps, 1)
        assert.strictEqual(taken.turn.history.calls.length, 1)
        assert.deepStrictEqual(taken.turn.usage, usage)
      }
      yield* repo.expireLeases
      const next = yield* begin(user, inConversation(turn))
      assert.strictEqual(next._tag, "Claimed")
      const failed = yield* begin(user, { idempotencyKey: key("k") })
      Expect.isTagged(failed, "Failed")
      assert.deepStrictEqual(failed.turn.failure, { code: "abandoned" })
      assert.strictEqual(failed.turn.retryable, false)
      assert.deepStrictEqual(failed.turn.usage, usage)
      assert.deepStrictEqual(
        failed.turn.calls.map((call) => call.toolName),
        ["add_task"]
      )
      assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Failed")
    })
  ),

  obligation(
    "takes up a failed turn by its key while it is the last one",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      yield* step(turn)
      const failed = yield* fail(turn, true, 1)
      Expect.isTagged(failed, "Failed")
      assert.strictEqual(failed.turn.retryable, true)
      assert.deepStrictEqual(failed.turn.usage, { promptTokens: 14, completionTokens: 6 })
      assert.strictEqual(failed.turn.calls.length, 1)
      // Only its key takes it up: for others it is over.
      assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Failed")
      const taken = yield* begin(user, { idempotencyKey: key("k") })
      Expect.isTagged(taken, "Claimed")
      assert.strictEqual(taken.turn.claim.fence, 2)
      assert.strictEqual(taken.turn.steps, 1)
      assert.deepStrictEqual(taken.turn.usage, { promptTokens: 14, completionTokens: 6 })
      yield* complete(taken.turn)
      yield* claim(user, inConversation(turn))
      assert.deepStrictEqual(
        (yield* messagesOf(turn)).map((row) => [row.turnStatus, row.idempotencyKey]),
        [
          ["completed", "k"],
          ["completed", "k"],
          ["running", null]
        ]
      )
    })
  ),

  obligation(
    "gives a failed turn that is taken up by its key all of its attempts again",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      let turn = yield* claim(user, { idempotencyKey: key("k") })
      const takeUp = Effect.gen(function* () {
        yield* repo.expireLeases
        const taken = yield* repo.takeUp(turn.claim, yield* holder, policy)
        Expect.isTagged(taken, "Claimed")
        return taken.turn
      })
      for (let again = 0; again < 2; again++) {
        for (let attempt = 2; attempt <= 3; attempt++) turn = yield* takeUp
        assert.strictEqual((yield* fail(turn, true))._tag, "Failed")
        turn = yield* claim(user, { idempotencyKey: key("k") })
      }
    })
  ),

  obligation(
    "does not take up a failed turn after a newer one, nor one that may not be tried again",
    Effect.gen(function* () {
      const user = yield* newUser
      const first = yield* claim(user, { idempotencyKey: key("first") })
      yield* fail(first, true)
      const second = yield* claim(user, { ...inConversation(first), idempotencyKey: key("second") })
      const old = yield* begin(user, { idempotencyKey: key("first") })
      Expect.isTagged(old, "Failed")
      assert.strictEqual(old.turn.retryable, false)
      assert.deepStrictEqual(old.turn.failure, { code: "model_failed", reason: "overloaded" })
      yield* fail(second, false)
      const last = yield* begin(user, { ...inConversation(first), idempotencyKey: key("second") })
      Expect.isTagged(last, "Failed")
      assert.strictEqual(last.turn.retryable, false)
    })
  ),

  obligation(
    "lets exactly one of many equal requests begin",
    Effect.gen(function* () {
      const user = yield* newUser
      const outcomes = yield* Effect.all(
        Array.from({ length: 20 }, () => begin(user, { idempotencyKey: key("k") })),
        { concurrency: "unbounded" }
      )
      const count = (tag: string) => outcomes.filter((outcome) => outcome._tag === tag).length
      assert.deepStrictEqual([count("Claimed"), count("Running")], [1, 19])
    })
  ),

  obligation(
    "lets exactly one of many messages to a conversation begin",
    Effect.gen(function* () {
      const user = yield* newUser
      const first = yield* claim(user)
      yield* complete(first)
      const outcomes = yield* Effect.all(
        Array.from({ length: 20 }, () => begin(user, inConversation(first))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "Claimed").length, 1)
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "Busy").length, 19)
      assert.strictEqual((yield* messagesOf(first)).length, 3)
    })
  ),

  obligation(
    "limits new turns of a user within a minute, and writes nothing beyond",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const rules = { ...policy, turnsPerMinute: 3 }
      const outcomes = yield* Effect.all(
        Array.from({ length: 10 }, (_, i) => begin(user, { idempotencyKey: key(`k${i}`) }, rules)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "Claimed").length, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "RateLimited").length, 7)
      const limited = yield* begin(user, { idempotencyKey: key("k10") }, rules)
      Expect.isTagged(limited, "RateLimited")
      Expect.isWithin(limited.retryAfterMillis, [15_001, 20_000])
      assert.strictEqual((yield* repo.list(user, { limit: 100, after: Option.none() })).items.length, 3)
      // Neither what was begun before nor other users are held up.
      const again = outcomes.findIndex((outcome) => outcome._tag === "Claimed")
      assert.strictEqual((yield* begin(user, { idempotencyKey: key(`k${again}`) }, rules))._tag, "Running")
      assert.strictEqual((yield* begin(other, {}, rules))._tag, "Claimed")
    })
  ),

  obligation(
    "lets no more turns of a user run at once than may, and writes nothing beyond",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const rules = { ...policy, turnsAtOnce: 3, turnsPerMinute: 30 }
      const outcomes = yield* Effect.all(
        Array.from({ length: 10 }, (_, i) => begin(user, { idempotencyKey: key(`k${i}`) }, rules)),
        { concurrency: "unbounded" }
      )
      const turns = outcomes.flatMap((outcome) => (outcome._tag === "Claimed" ? [outcome.turn] : []))
      assert.strictEqual(turns.length, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "TooManyTurns").length, 7)
      assert.strictEqual((yield* repo.list(user, { limit: 100, after: Option.none() })).items.length, 3)
      assert.strictEqual((yield* begin(other, {}, rules))._tag, "Claimed")
      const [running] = turns
      Expect.isThere(running)
      // Neither what runs already nor what it does to its conversation is told otherwise for that.
      const again = outcomes.findIndex((outcome) => outcome._tag === "Claimed")
      assert.strictEqual((yield* begin(user, { idempotencyKey: key(`k${again}`) }, rules))._tag, "Running")
      assert.strictEqual((yield* begin(user, inConversation(running), rules))._tag, "Busy")
      // Whatever ends makes room.
      yield* complete(running)
      assert.strictEqual((yield* begin(user, inConversation(running), rules))._tag, "Claimed")
      assert.strictEqual((yield* begin(user, inConversation(running), rules))._tag, "Busy")
      for (let i = 0; i < 40; i++) {
        assert.strictEqual((yield* begin(user, {}, rules))._tag, "TooManyTurns")
      }
    })
  ),

  obligation(
    "takes no failed turn up beside as many as may run at once",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const rules = { ...policy, turnsAtOnce: 3 }
      const requests = Array.from({ length: 6 }, (_, i) => ({ idempotencyKey: key(`k${i}`) }))
      for (const request of requests) {
        const outcome = yield* begin(user, request, rules)
        Expect.isTagged(outcome, "Claimed")
        yield* repo.fail(outcome.turn.claim, {
          steps: 0,
          failure: { code: "model_failed", reason: "overloaded" },
          retryable: true,
          usage: outcome.turn.usage
        })
      }
      const again = yield* Effect.forEach(requests, (request) => begin(user, request, rules), {
        concurrency: "unbounded"
      })
      const claimed = again.flatMap((outcome) => (outcome._tag === "Claimed" ? [outcome.turn] : []))
      assert.strictEqual(claimed.length, 3)
      assert.strictEqual(again.filter((outcome) => outcome._tag === "TooManyTurns").length, 3)
      yield* Effect.forEach(claimed, (turn) => complete(turn))
      // Those that were refused are as they were.
      const later = yield* Effect.forEach(requests, (request) => begin(user, request, rules))
      assert.deepStrictEqual(later.map((outcome) => outcome._tag).toSorted(), [
        ...Array.from({ length: 3 }, () => "Claimed"),
        ...Array.from({ length: 3 }, () => "Completed")
      ])
    })
  ),

  obligation(
    "starts no more conversations of a user than may be",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const rules = { ...policy, maxConversations: 3, turnsPerMinute: 6 }
      const outcomes = yield* Effect.all(
        Array.from({ length: 10 }, () => begin(user, {}, rules)),
        { concurrency: "unbounded" }
      )
      const turns = outcomes.flatMap((outcome) => (outcome._tag === "Claimed" ? [outcome.turn] : []))
      assert.strictEqual(turns.length, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "TooManyConversations").length, 7)
      const list = Effect.map(repo.list(user, { limit: 100, after: Option.none() }), ({ items }) => items.length)
      assert.strictEqual(yield* list, 3)
      assert.strictEqual((yield* begin(other, {}, rules))._tag, "Claimed")
      const [first] = turns
      Expect.isThere(first)
      yield* complete(first)
      assert.strictEqual((yield* begin(user, inConversation(first), rules))._tag, "Claimed")
      // A key that was refused was not used.
      const kept = { idempotencyKey: key("k") }
      for (let i = 0; i < 10; i++) {
        assert.strictEqual((yield* begin(user, kept, rules))._tag, "TooManyConversations")
      }
      yield* repo.remove(user, first.claim.conversationId)
      assert.strictEqual((yield* begin(user, kept, rules))._tag, "Claimed")
      assert.strictEqual((yield* begin(user, kept, rules))._tag, "Running")
      assert.strictEqual(yield* list, 3)
    })
  ),

  obligation(
    "commits a step together with what its tools did",
    Effect.gen(function* () {
      const user = yield* newUser
      const turn = yield* claim(user)
      const { calls } = yield* stepRequest(turn)
      const outcome = yield* step(turn, { calls })
      Expect.isTagged(outcome, "Committed")
      assert.deepStrictEqual(
        outcome.calls.map(({ id: _, ...call }) => call),
        [
          {
            providerCallId: "call_1",
            toolName: "add_task",
            arguments: `{"title": "Milk",  "b":1, "a":2}`,
            status: "success",
            result: `{"success":true,"id":1}`,
            seq: 1,
            step: 1,
            position: 0
          }
        ]
      )
      assert.strictEqual(outcome.calls[0]?.id, calls[0]?.id)
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
      // While there is no reply, the calls hang on the user's message.
      const running = yield* messagesOf(turn)
      assert.deepStrictEqual(
        running.map((row) => [row.turnStatus, row.calls.length]),
        [["running", 1]]
      )
      yield* complete({ ...turn, steps: 1 })
      const over = yield* messagesOf(turn)
      assert.deepStrictEqual(
        over.map((row) => [row.role, row.turnStatus, row.calls.length]),
        [
          ["user", "completed", 0],
          ["assistant", "completed", 1]
        ]
      )
      assert.deepStrictEqual(over[1]?.calls, outcome.calls)
    })
  ),

  obligation(
    "moves the lease on with each write of a turn that goes on",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tasks = yield* TaskTools
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      const result: CallResult = { status: "success", result: "{}" }
      const execute = Effect.succeed([result])
      const folded = { tasks, calls: [{ _tag: "Known", result } as const] }
      const stepAs = (work: StepWork, steps: number, lease: number) =>
        Effect.flatMap(stepRequest(turn, { steps }), (asked) => repo.step(turn.claim, asked, work, lease))
      const writes = [
        (lease: number) => repo.pend(turn.claim, { steps: 0, pending: "{}", usage }, lease),
        (lease: number) => stepAs({ execute }, 0, lease),
        (lease: number) => stepAs({ execute, folded }, 1, lease),
        (lease: number) => repo.renew([turn.claim], lease)
      ]
      for (const [i, write] of writes.entries()) {
        const lease = 60_000 * (i + 1)
        yield* write(lease)
        const running = yield* begin(user, { idempotencyKey: key("k") }, { ...policy, leaseMillis: 600_000 })
        Expect.isTagged(running, "Running")
        Expect.isWithin(running.retryAfterMillis, [lease - 30_000, lease])
      }
    })
  ),

  obligation(
    "does nothing in a step whose tools fail",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tools = yield* TaskTools
      const user = yield* newUser
      const turn = yield* claim(user)
      const broken = new StorageUnavailable({ operation: "test" })
      const failing = Effect.andThen(Effect.provideService(addMilk(user), TaskTools, tools), Effect.fail(broken))
      const error = yield* Expect.failureOf(
        repo.step(turn.claim, yield* stepRequest(turn), { execute: failing }, policy.leaseMillis)
      )
      assert.strictEqual(error, broken)
      const died = yield* Effect.exit(
        repo.step(
          turn.claim,
          yield* stepRequest(turn),
          { execute: Effect.andThen(Effect.provideService(addMilk(user), TaskTools, tools), Effect.die("bug")) },
          policy.leaseMillis
        )
      )
      assert.strictEqual(died._tag, "Failure")
      assert.deepStrictEqual(yield* titles(user), [])
      assert.deepStrictEqual(
        (yield* messagesOf(turn)).map((row) => row.calls.length),
        [0]
      )
      assert.strictEqual((yield* step(turn))._tag, "Committed")
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
    })
  ),

  obligation(
    "reads a step back that was committed before, and does not run it again",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      const first = yield* step(turn)
      const again = yield* repo.step(
        turn.claim,
        yield* stepRequest(turn),
        { execute: Effect.die("it ran again") },
        policy.leaseMillis
      )
      assert.deepStrictEqual(again, first)
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
      // The next step is not the same one.
      assert.strictEqual((yield* step(turn, { steps: 1 }))._tag, "Committed")
      assert.deepStrictEqual(yield* step(turn), { _tag: "Lost" })
      assert.deepStrictEqual(yield* titles(user), ["Milk", "Milk"])
    })
  ),

  obligation(
    "does calls as values as it does them as an effect, to the byte",
    Effect.gen(function* () {
      const odd = `"quoted" \\ / \u2028 \u007f \u0001\b\f\n\r\t \u{1f95b} {} [] , <b> é`
      const calls: ReadonlyArray<readonly [string, object]> = [
        ["list_tasks", {}],
        ["add_task", { title: "Milk" }],
        ["add_task", { title: `Odd ${odd}.`, description: odd }],
        ["add_task", { title: "Bread", description: "" }],
        ["add_task", { title: "" }],
        ["make_coffee", {}],
        ["complete_task", { task_id: 1 }],
        ["complete_task", { task_id: 1 }],
        ["complete_task", { task_id: 77 }],
        ["update_task", { task_id: 2, title: "Even" }],
        ["update_task", { task_id: 3, description: odd }],
        ["update_task", { task_id: 2, description: null }],
        ["update_task", { task_id: 78, title: "Nothing" }],
        ["list_tasks", { status: "pending" }],
        ["list_tasks", { status: "completed" }],
        ["delete_task", { task_id: 2 }],
        ["delete_task", { task_id: 2 }],
        ["list_tasks", { status: "all" }]
      ]
      const done = Effect.fnUntraced(function* (form: "values" | "effect") {
        const turn = yield* claim(yield* newUser)
        const outcome = yield* toolStep(turn, calls, form)
        Expect.isTagged(outcome, "Committed")
        assert.deepStrictEqual((yield* messagesOf(turn))[0]?.calls, outcome.calls)
        const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g
        return outcome.calls.map(({ id: _, ...call }) => ({ ...call, result: call.result.replace(times, "now") }))
      })
      const values = yield* done("values")
      assert.deepStrictEqual(values, yield* done("effect"))
      assert.strictEqual(values.filter((call) => call.status === "error").length, 5)
      assert.strictEqual(
        values[15]?.result,
        `{"success":true,"task":{"id":2,"title":"Even","description":null,"completed":false,"created_at":"now","updated_at":"now"}}`
      )
    })
  ),

  obligation(
    "adds no task over the limit in either form, be that none at all",
    Effect.gen(function* () {
      const add = ["add_task", { title: "Milk" }] as const
      const done = Effect.fnUntraced(function* (form: "values" | "effect", maxTasks: number | null) {
        const user = yield* newUser
        const step = toolStep(yield* claim(user), [add, add, add], form)
        const outcome = yield* Effect.provideService(step, Settings, { ...defaultSettings, maxTasks })
        Expect.isTagged(outcome, "Committed")
        return [outcome.calls.map((call) => call.status), (yield* titles(user)).length]
      })
      for (const form of ["values", "effect"] as const) {
        assert.deepStrictEqual(yield* done(form, 0), [["error", "error", "error"], 0])
        assert.deepStrictEqual(yield* done(form, 1), [["success", "error", "error"], 1])
        assert.deepStrictEqual(yield* done(form, null), [["success", "success", "success"], 3])
      }
    })
  ),

  obligation(
    "leaves out of a list as a value what is over the limit, and says so",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      yield* Effect.forEach(
        Array.from({ length: 101 }),
        () => tasks.add(user, { title: "Milk", description: null }, null),
        {
          concurrency: 10
        }
      )
      const outcome = yield* toolStep(yield* claim(user), [["list_tasks", {}]])
      Expect.isTagged(outcome, "Committed")
      const result = JSON.parse(outcome.calls[0]?.result ?? "")
      assert.deepStrictEqual(
        [result.count, result.has_more, result.tasks.map((task: { id: number }) => task.id)],
        [100, true, Array.from({ length: 100 }, (_, i) => i + 1)]
      )
    })
  ),

  obligation(
    "lists no more than 16 KiB of titles and descriptions in either form, and says so",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      // 2 and 3 bytes a character, and a pair of surrogates with 4.
      for (const description of [null, "é".repeat(2000), "€".repeat(2000), "😀".repeat(1000), "x".repeat(2000)]) {
        yield* tasks.add(user, { title: "Milk", description }, null)
      }
      const results = yield* Effect.forEach(["values", "effect"] as const, (form) =>
        Effect.gen(function* () {
          const outcome = yield* toolStep(yield* claim(user), [["list_tasks", {}]], form)
          Expect.isTagged(outcome, "Committed")
          return outcome.calls[0]?.result ?? ""
        })
      )
      for (const text of results) {
        const result = JSON.parse(text)
        // 16,020 bytes in all.
        assert.strictEqual(result.count, 5)
        assert.ok(!("has_more" in result))
      }
      // With this one it is 16,384, and the next is too much.
      yield* tasks.add(user, { title: "y".repeat(255), description: "x".repeat(109) }, null)
      yield* tasks.add(user, { title: "z", description: null }, null)
      for (const form of ["values", "effect"] as const) {
        const outcome = yield* toolStep(yield* claim(user), [["list_tasks", {}]], form)
        Expect.isTagged(outcome, "Committed")
        const result = JSON.parse(outcome.calls[0]?.result ?? "")
        assert.deepStrictEqual(
          [result.count, result.has_more, result.tasks.map((task: { id: number }) => task.id)],
          [6, true, [1, 2, 3, 4, 5, 6]]
        )
      }
    })
  ),

  obligation(
    "gives and changes nothing of another user's, whatever calls a model makes up",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const [ada, bob] = [yield* newUser, yield* newUser]
      for (let i = 0; i < 40; i++) yield* tasks.add(bob, { title: foreignTitle, description: foreignTitle }, null)
      const everything = { status: "all", limit: 200, after: Option.none() } as const
      const before = yield* tasks.list(bob, everything)
      const calls = adversarialCalls(bob, 960)
      for (let at = 0; at < calls.length; at += 16) {
        const outcome = yield* toolStep(yield* claim(ada), calls.slice(at, at + 16))
        Expect.isTagged(outcome, "Committed")
        for (const call of outcome.calls) {
          assert.strictEqual(typeof JSON.parse(call.result).success, "boolean")
          Expect.lacks(call.result, foreignTitle)
        }
      }
      assert.deepStrictEqual(yield* tasks.list(bob, everything), before)
      assert.ok((yield* tasks.list(ada, everything)).items.length > 10)
    })
  ),

  obligation(
    "does a step as values once, and only under its claim",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      const add = [["add_task", { title: "Milk" }]] as const
      const first = yield* toolStep(turn, add)
      assert.strictEqual(first._tag, "Committed")
      assert.deepStrictEqual(yield* toolStep(turn, add), first)
      yield* repo.expireLeases
      const taken = yield* repo.takeUp(turn.claim, yield* holder, policy)
      Expect.isTagged(taken, "Claimed")
      assert.deepStrictEqual(yield* toolStep({ ...turn, steps: 1 }, add), { _tag: "Lost" })
      assert.strictEqual(taken.turn.usage.promptTokens, usage.promptTokens)
      assert.strictEqual((yield* toolStep(taken.turn, add))._tag, "Committed")
      yield* complete({ ...taken.turn, steps: 2 })
      assert.deepStrictEqual(yield* toolStep({ ...taken.turn, steps: 2 }, add), { _tag: "Lost" })
      assert.deepStrictEqual(yield* titles(user), ["Milk", "Milk"])
    })
  ),

  obligation(
    "carries out by itself only what is done by its own tasks",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const turn = yield* claim(user)
      const asked: Array<string> = []
      const other = TaskTools.of({
        ...tasks,
        add: (userId, task, limit) => {
          asked.push(task.title)
          return tasks.add(userId, task, limit)
        }
      })
      const outcome = yield* Effect.provideService(toolStep(turn, [["add_task", { title: "Milk" }]]), TaskTools, other)
      assert.strictEqual(outcome._tag, "Committed")
      assert.deepStrictEqual(asked, ["Milk"])
    })
  ),

  obligation(
    "writes nothing under a claim that is over",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      yield* repo.expireLeases
      const taken = yield* repo.takeUp(turn.claim, yield* holder, policy)
      Expect.isTagged(taken, "Claimed")
      assert.deepStrictEqual(yield* step(turn), { _tag: "Lost" })
      assert.deepStrictEqual(yield* complete(turn), { _tag: "Lost" })
      assert.deepStrictEqual(yield* fail(turn, true), { _tag: "Lost" })
      assert.deepStrictEqual(yield* titles(user), [])
      assert.strictEqual((yield* step(taken.turn))._tag, "Committed")
      // It did not see the step.
      assert.deepStrictEqual(yield* complete(taken.turn), { _tag: "Lost" })
      assert.deepStrictEqual(yield* fail(taken.turn, true), { _tag: "Lost" })
      assert.strictEqual((yield* complete({ ...taken.turn, steps: 1 }))._tag, "Completed")
      assert.deepStrictEqual(yield* step({ ...taken.turn, steps: 1 }), { _tag: "Lost" })
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
    })
  ),

  obligation(
    "answers what is stored when an end is sent again",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      const messageId = MessageId.make(yield* uuidV7)
      const first = yield* complete(turn, "One", `{"n":1}`, { messageId })
      assert.deepStrictEqual(yield* complete(turn, "Two", `{"n":2}`), first)
      assert.deepStrictEqual(yield* fail(turn, true), { _tag: "Lost" })
      assert.deepStrictEqual(
        (yield* messagesOf(turn)).map((row) => row.content),
        ["Hello", "One"]
      )
      assert.strictEqual((yield* messagesOf(turn))[1]?.id, messageId)
      assert.deepStrictEqual((yield* repo.turn(user, turn.claim.turnId)).usage, usage)
      const second = yield* claim(user, inConversation(turn))
      const failed = yield* fail(second, true)
      assert.deepStrictEqual(yield* fail(second, true), failed)
      assert.deepStrictEqual((yield* repo.turn(user, second.claim.turnId)).usage, usage)
      assert.deepStrictEqual(yield* complete(second), { _tag: "Lost" })
      assert.deepStrictEqual(
        (yield* messagesOf(turn)).map((row) => row.turnStatus),
        ["completed", "completed", "failed"]
      )
    })
  ),

  obligation(
    "runs steps of one user in several conversations at once",
    Effect.gen(function* () {
      const user = yield* newUser
      const turns = yield* Effect.all(
        Array.from({ length: 8 }, () => claim(user)),
        { concurrency: "unbounded" }
      )
      const outcomes = yield* Effect.forEach(turns, (turn) => step(turn), { concurrency: "unbounded" })
      assert.ok(outcomes.every((outcome) => outcome._tag === "Committed"))
      assert.strictEqual((yield* titles(user)).length, 8)
    })
  ),

  obligation(
    "knows a turn under its own user alone",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const turn = yield* claim(user)
      const foreign = { ...turn, claim: { ...turn.claim, userId: other } }
      const pending = { steps: 0, pending: "{}", usage }
      assert.deepStrictEqual(yield* step(foreign), { _tag: "Lost" })
      assert.deepStrictEqual(yield* toolStep(foreign, [["add_task", { title: "Milk" }]]), { _tag: "Lost" })
      assert.deepStrictEqual(yield* repo.pend(foreign.claim, pending, policy.leaseMillis), { _tag: "Lost" })
      assert.deepStrictEqual(yield* complete(foreign), { _tag: "Lost" })
      assert.deepStrictEqual(yield* fail(foreign, true), { _tag: "Lost" })
      assert.deepStrictEqual(yield* repo.renew([foreign.claim], policy.leaseMillis), [turn.claim.turnId])
      assert.deepStrictEqual(yield* repo.settled([foreign.claim], policy.leaseMillis), [turn.claim.turnId])
      yield* repo.handBack([foreign.claim])
      assert.deepStrictEqual(yield* repo.takeUp(foreign.claim, yield* holder, policy), { _tag: "Gone" })
      assert.deepStrictEqual([yield* titles(user), yield* titles(other)], [[], []])
      const stored = yield* repo.turn(user, turn.claim.turnId)
      assert.deepStrictEqual([stored.status, stored.attempt, stored.usage], ["running", 1, noUsage])
      assert.deepStrictEqual(yield* repo.renew([turn.claim], policy.leaseMillis), [])
    })
  ),

  obligation(
    "renews leases, and names the claims that are over",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const [kept, lost, ended] = [yield* claim(user), yield* claim(user), yield* claim(user)]
      yield* repo.expireLeases
      yield* repo.takeUp(lost.claim, yield* holder, policy)
      yield* complete(ended)
      const claims = [kept.claim, lost.claim, ended.claim]
      Expect.hasAll(yield* repo.renew(claims, policy.leaseMillis), [lost.claim.turnId])
      assert.deepStrictEqual(yield* repo.settled(claims, policy.leaseMillis), [ended.claim.turnId])
      assert.deepStrictEqual(yield* repo.renew([], policy.leaseMillis), [])
    })
  ),

  obligation(
    "hands claims back, so that others take the turns up at once",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      let turn = yield* claim(user, { idempotencyKey: key("k") })
      // More often than there are attempts: what is handed back does not count as one.
      for (let i = 0; i < 5; i++) {
        const other = yield* claim(user)
        yield* repo.handBack([turn.claim, other.claim])
        assert.deepStrictEqual(yield* step(turn), { _tag: "Lost" })
        assert.deepStrictEqual(yield* step(other), { _tag: "Lost" })
        const abandoned = yield* repo.abandoned(1000, policy.leaseMillis)
        Expect.includes(abandoned, {
          userId: user,
          conversationId: turn.claim.conversationId,
          turnId: turn.claim.turnId
        })
        const taken = yield* repo.takeUp(turn.claim, yield* holder, policy)
        Expect.isTagged(taken, "Claimed")
        turn = taken.turn
      }
      const stale = { ...turn.claim, fence: turn.claim.fence - 1 }
      yield* repo.handBack([stale])
      assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Running")
    })
  ),

  obligation(
    "gives a claim up once, however often it is handed back",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      yield* repo.handBack([turn.claim])
      yield* repo.handBack([turn.claim])
      // It has its three attempts still, and no more.
      for (let attempt = 1; attempt <= 3; attempt++) {
        assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Claimed")
        yield* repo.handBack([turn.claim])
        assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Running")
        yield* repo.expireLeases
      }
      assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Failed")
    })
  ),

  obligation(
    "tells those of the turns that nobody holds",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const settled = (turns: ReadonlyArray<ClaimedTurn>) =>
        repo.settled(
          turns.map((turn) => turn.claim),
          policy.leaseMillis
        )
      const turns = yield* Effect.replicateEffect(claim(user), 6)
      const [held, late, completed, stopped, failed, deleted] = turns
      for (const turn of [held, late, completed, stopped, failed, deleted]) Expect.isThere(turn)
      assert.deepStrictEqual(yield* settled(turns), [])
      assert.deepStrictEqual(yield* settled([]), [])
      yield* repo.expireLeases
      yield* repo.renew(
        turns.filter((turn) => turn !== late).map((turn) => turn.claim),
        policy.leaseMillis
      )
      for (const turn of turns) {
        if (turn === completed) yield* complete(turn)
        if (turn === stopped) yield* complete(turn, "", "{}", { stopped: true })
        if (turn === failed) yield* fail(turn, true)
        if (turn === deleted) yield* repo.remove(user, turn.claim.conversationId)
      }
      Expect.hasAll(
        yield* settled(turns),
        turns.filter((turn) => turn !== held).map((turn) => turn.claim.turnId)
      )
    })
  ),

  obligation(
    "lists abandoned turns, no more than asked for",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turns = [yield* claim(user), yield* claim(user), yield* claim(user)]
      const mine = Effect.map(repo.abandoned(1000, policy.leaseMillis), (refs) =>
        refs.filter((ref) => ref.userId === user).map((ref) => ref.turnId)
      )
      assert.deepStrictEqual(yield* mine, [])
      yield* repo.expireLeases
      Expect.hasAll(
        [...(yield* mine)],
        turns.map((turn) => turn.claim.turnId)
      )
      assert.strictEqual((yield* repo.abandoned(2, policy.leaseMillis)).length, 2)
    })
  ),

  obligation(
    "lists those abandoned turns first that have waited longest",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const abandoned = Effect.map(repo.abandoned(1000, policy.leaseMillis), (refs) =>
        refs.filter((ref) => ref.userId === user).map((ref) => ref.turnId)
      )
      const turns = yield* Effect.replicateEffect(claim(user), 3)
      // The last one's lease is the first to end.
      const lateFirst = turns.toReversed()
      for (const [i, turn] of lateFirst.entries()) yield* repo.renew([turn.claim], 1 + 40 * i)
      yield* Expect.eventually(
        "three leases are over",
        Effect.map(abandoned, ({ length }) => length === 3)
      )
      assert.deepStrictEqual(
        yield* abandoned,
        lateFirst.map((turn) => turn.claim.turnId)
      )
    })
  ),

  obligation(
    "forgets a conversation but remembers its keys",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      yield* step(turn)
      yield* complete({ ...turn, steps: 1 })
      const running = yield* claim(user, inConversation(turn))
      const { conversationId } = turn.claim
      yield* repo.remove(user, conversationId)
      const gone = [
        Effect.asVoid(repo.get(user, conversationId)),
        repo.remove(user, conversationId),
        Effect.asVoid(repo.rename(user, conversationId, "x")),
        Effect.asVoid(messagesOf(turn))
      ]
      for (const effect of gone) {
        const error = yield* Expect.failureOf(effect)
        assert.strictEqual(error._tag, "ConversationNotFound")
      }
      assert.deepStrictEqual(yield* step(running), { _tag: "Lost" })
      assert.deepStrictEqual(yield* complete(running), { _tag: "Lost" })
      assert.deepStrictEqual(yield* repo.renew([running.claim], policy.leaseMillis), [running.claim.turnId])
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k") }), { _tag: "Gone" })
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k"), content: "x" }), { _tag: "KeyReused" })
      assert.deepStrictEqual(yield* repo.takeUp(turn.claim, yield* holder, policy), { _tag: "Gone" })
      assert.deepStrictEqual(yield* titles(user), ["Milk"]) // what was done stays done
      yield* repo.sweep(3_600_000)
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key("k") }), { _tag: "Gone" })
      yield* repo.sweep(-3_600_000)
      assert.strictEqual((yield* begin(user, { idempotencyKey: key("k") }))._tag, "Claimed")
    })
  ),

  obligation(
    "does not begin a turn anew that is known to have begun",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      for (const idempotencyKey of [key("k"), Option.none()]) {
        const asked = yield* request(user, { idempotencyKey })
        const outcome = yield* repo.begin(asked, policy)
        assert.deepStrictEqual(yield* repo.begin({ ...asked, begun: true }, policy), outcome)
        yield* repo.eraseUser(user)
        assert.deepStrictEqual(yield* repo.begin({ ...asked, begun: true }, policy), { _tag: "Gone" })
        assert.deepStrictEqual((yield* repo.list(user, { limit: 10, after: Option.none() })).items, [])
      }
    })
  ),

  obligation(
    "gives a failure to whoever waited for the turn, instead of the turn",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user, { idempotencyKey: key("k") })
      yield* fail(turn, true)
      const waited = yield* begin(user, { idempotencyKey: key("k"), begun: true })
      Expect.isTagged(waited, "Failed")
      assert.strictEqual(waited.turn.retryable, true)
      const next = yield* claim(user, inConversation(turn))
      yield* complete(next)
      const late = yield* begin(user, { idempotencyKey: key("k"), begun: true })
      Expect.isTagged(late, "Failed")
      assert.strictEqual(late.turn.retryable, false)
      yield* repo.check
    })
  ),

  obligation(
    "limits no repetition of a request",
    Effect.gen(function* () {
      const user = yield* newUser
      const outcomes = yield* Effect.replicateEffect(
        begin(user, { idempotencyKey: key("k") }, { ...policy, turnsPerMinute: 1 }),
        10,
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(outcomes.map((outcome) => outcome._tag).toSorted(), [
        "Claimed",
        ...Array.from({ length: 9 }, () => "Running")
      ])
    })
  ),

  obligation(
    "leaves whole what begins while its user is erased",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const beginThree = Effect.replicateEffect(
        Effect.flatMap(claim(user), (turn) => Effect.as(step(turn), turn)),
        3,
        { concurrency: "unbounded" }
      )
      // With its conversation a turn is there, and without it there is none.
      const checkWhole = Effect.fnUntraced(function* (turn: ClaimedTurn, there: boolean) {
        const ended = yield* complete({ ...turn, steps: 1 })
        assert.strictEqual(ended._tag, there ? "Completed" : "Lost")
        const messages = there ? yield* messagesOf(turn) : []
        assert.strictEqual(messages.length, there ? 2 : 0)
      })
      for (let round = 0; round < 10; round++) {
        const [turns] = yield* Effect.all([beginThree, repo.eraseUser(user)], { concurrency: "unbounded" })
        const { items } = yield* repo.list(user, { limit: 100, after: Option.none() })
        yield* Effect.forEach(turns, (turn) =>
          checkWhole(
            turn,
            items.some((item) => item.id === turn.claim.conversationId)
          )
        )
      }
    })
  ),

  obligation(
    "lists conversations by activity, page by page",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      yield* claim(other)
      const turns = yield* Effect.all(Array.from({ length: 5 }, () => claim(user)))
      yield* Effect.forEach(turns, (turn) => complete(turn))
      for (const i of [2, 0, 4, 1, 3]) {
        const turn = turns[i]
        Expect.isThere(turn)
        yield* touch(turn)
      }
      const seen: Array<string> = []
      let after: Parameters<typeof repo.list>[1]["after"] = Option.none()
      for (let pages = 0; pages < 3; pages++) {
        const page = yield* repo.list(user, { limit: 2, after })
        assert.strictEqual(page.hasMore, pages < 2)
        seen.push(...page.items.map((item) => item.id))
        const last = page.items.at(-1)
        after = Option.fromNullishOr(last)
      }
      Expect.hasAll(
        seen,
        turns.map((turn) => turn.claim.conversationId)
      )
      assert.strictEqual(new Set(seen).size, 5)
      assert.deepStrictEqual(yield* repo.list(user, { limit: 2, after }), { items: [], hasMore: false })
      assert.strictEqual((yield* repo.list(user, { limit: 5, after: Option.none() })).hasMore, false)
      const order = (yield* repo.list(user, { limit: 10, after: Option.none() })).items
      assert.deepStrictEqual(
        order.map((item) => item.id),
        [3, 1, 4, 0, 2].map((i) => turns[i]?.claim.conversationId)
      )
      assert.deepStrictEqual(
        seen,
        order.map((item) => item.id)
      )
      const times = order.map((item) => DateTime.toEpochMillis(item.updatedAt))
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => b - a)
      )
    })
  ),

  obligation(
    "renames a conversation of its user, which keeps its place",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const turn = yield* claim(user)
      const { conversationId } = turn.claim
      const before = yield* repo.get(user, conversationId)
      assert.deepStrictEqual(yield* repo.rename(user, conversationId, "Groceries"), { ...before, title: "Groceries" })
      assert.deepStrictEqual(yield* repo.get(user, conversationId), { ...before, title: "Groceries" })
      for (const effect of [
        Effect.asVoid(repo.get(other, conversationId)),
        Effect.asVoid(repo.rename(other, conversationId, "Mine")),
        repo.remove(other, conversationId),
        Effect.asVoid(repo.messages(other, conversationId, { limit: 1, order: "asc", after: Option.none() }))
      ]) {
        assert.strictEqual((yield* Expect.failureOf(effect))._tag, "ConversationNotFound")
      }
      assert.strictEqual((yield* repo.get(user, conversationId)).title, "Groceries")
    })
  ),

  obligation(
    "pages through messages in both directions",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const first = yield* claim(user)
      yield* complete(first)
      yield* complete(yield* claim(user, inConversation(first)))
      const page = (order: "asc" | "desc", after: number | undefined) =>
        Effect.map(
          repo.messages(user, first.claim.conversationId, { limit: 3, order, after: Option.fromUndefinedOr(after) }),
          ({ hasMore, items }) => [items.map((item) => item.seq), hasMore]
        )
      assert.deepStrictEqual(yield* page("asc", undefined), [[1, 2, 3], true])
      assert.deepStrictEqual(yield* page("asc", 3), [[4], false])
      assert.deepStrictEqual(yield* page("asc", 4), [[], false])
      assert.deepStrictEqual(yield* page("desc", undefined), [[4, 3, 2], true])
      assert.deepStrictEqual(yield* page("desc", 2), [[1], false])
      assert.deepStrictEqual(yield* page("asc", 1), [[2, 3, 4], false])
      const messages = yield* messagesOf(first)
      assert.strictEqual(messages[0]?.turnId, first.claim.turnId)
      const { createdAt } = yield* repo.get(user, first.claim.conversationId)
      const times = [createdAt, ...messages.map((message) => message.createdAt)].map(DateTime.toEpochMillis)
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => a - b)
      )
    })
  ),

  obligation(
    "tells how a turn stands, and of none that is another's or deleted",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const turn = yield* claim(user)
      const { conversationId, turnId } = turn.claim
      const known = { userId: user, conversationId, turnId, attempt: 1, body: null, failure: null, retryable: false }
      assert.deepStrictEqual(yield* repo.turn(user, turnId), {
        ...known,
        status: "running",
        usage: { promptTokens: 0, completionTokens: 0 },
        steps: [],
        toldFrom: 0,
        calls: []
      })
      const stepped = yield* step(turn, { toldFrom: 7 })
      Expect.isTagged(stepped, "Committed")
      const running = yield* repo.turn(user, turnId)
      assert.strictEqual(running.status, "running")
      assert.deepStrictEqual(running.calls, stepped.calls)
      assert.deepStrictEqual(running.steps, [{ content: "Let me see", toldFrom: 7 }])
      assert.ok(running.usage.promptTokens > 0)
      const failure = { code: "model_failed", reason: "overloaded" } as const
      yield* repo.fail(turn.claim, { steps: 1, failure, retryable: true, usage: turn.usage })
      const failed = { ...running, status: "failed" as const, failure, retryable: true }
      assert.deepStrictEqual(yield* repo.turn(user, turnId), failed)
      // A newer turn closes it for good.
      const newer = yield* claim(user, inConversation(turn))
      assert.deepStrictEqual(yield* repo.turn(user, turnId), { ...failed, retryable: false })
      yield* complete(newer, undefined, undefined, { toldFrom: 9 })
      const completed = yield* repo.turn(user, newer.claim.turnId)
      assert.strictEqual(completed.status, "completed")
      assert.strictEqual(completed.toldFrom, 9)
      assert.deepStrictEqual(completed.usage, usage)
      assert.strictEqual(completed.retryable, false)
      const stored = yield* complete(newer)
      assert.strictEqual(stored._tag === "Completed" && stored.body, completed.body)
      const unknown = TurnId.make(yield* uuidV7)
      for (const [asker, id] of [
        [other, turnId],
        [user, unknown]
      ] as const) {
        assert.deepStrictEqual(yield* Expect.failureOf(repo.turn(asker, id)), new TurnNotFound({ turnId: id }))
      }
      yield* repo.remove(user, conversationId)
      assert.strictEqual((yield* Expect.failureOf(repo.turn(user, turnId)))._tag, "TurnNotFound")
    })
  ),

  obligation(
    "stops a turn with a reply, which is as final as that of a completed one",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const key = Option.some(IdempotencyKey.make("k"))
      const turn = yield* claim(user, { idempotencyKey: key })
      assert.strictEqual((yield* step(turn))._tag, "Committed")
      const stopping = { ...turn, steps: 1 }
      const body = '{"message":"","stopped":true}'
      const outcome = { _tag: "Completed", turnId: turn.claim.turnId, body } as const
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual(yield* complete(stopping, "", body, { stopped: true }), outcome)
      }
      const stored = yield* repo.turn(user, turn.claim.turnId)
      assert.deepStrictEqual([stored.status, stored.body, stored.calls.length], ["stopped", body, 1])
      assert.deepStrictEqual(
        (yield* messagesOf(turn)).map((row) => [row.role, row.content, row.turnStatus, row.calls.length]),
        [
          ["user", "Hello", "stopped", 0],
          ["assistant", "", "stopped", 1]
        ]
      )
      assert.deepStrictEqual(yield* begin(user, { idempotencyKey: key }), outcome)
      assert.strictEqual((yield* claim(user, inConversation(turn))).seq, 3)
    })
  ),

  obligation(
    "tells who runs a turn that somebody watches it, and those who watch what it says",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const turn = yield* claim(user)
      const { turnId } = turn.claim
      const ofTurn = Effect.map(repo.watched, (all) => all.filter((one) => one.turnId === turnId))
      const watch = (stop = false) => repo.watch([{ ...turn.claim, stop }], 60_000)
      const glance = { turnId, status: "running", attempt: 1, steps: 0, told: null } as const
      assert.deepStrictEqual(yield* ofTurn, [])
      // Nobody is watching, so nobody is told.
      const told = { from: 3, text: "H\u00e9 \ud83d\ude00", calls: [] }
      yield* repo.tell([{ claim: turn.claim, steps: 0, told }])
      assert.deepStrictEqual(yield* watch(), [glance])
      assert.deepStrictEqual(yield* ofTurn, [{ turnId, stop: false, told: false }])
      yield* repo.tell([{ claim: turn.claim, steps: 0, told }])
      assert.deepStrictEqual(yield* watch(), [{ ...glance, told }])
      const call = { id: ToolCallId.make(yield* uuidV7), toolName: "add_task", arguments: '{"title":"x"}' }
      yield* repo.tell([{ claim: turn.claim, steps: 0, told: { ...told, calls: [call] } }])
      assert.deepStrictEqual(yield* watch(), [{ ...glance, told: { ...told, calls: [call] } }])
      // Who has lost the turn tells nothing of it, whatever it believes.
      yield* repo.tell([{ claim: { ...turn.claim, fence: 0 }, steps: 0, told: { from: 0, text: "Mine", calls: [] } }])
      assert.deepStrictEqual(yield* watch(), [{ ...glance, told: { ...told, calls: [call] } }])
      // It is of a step that is committed since, and tells nothing of the next.
      assert.strictEqual((yield* step(turn))._tag, "Committed")
      assert.deepStrictEqual(yield* watch(true), [{ ...glance, steps: 1 }])
      yield* watch()
      assert.deepStrictEqual(yield* ofTurn, [{ turnId, stop: true, told: true }])
      // Others neither see it nor can stop it.
      assert.deepStrictEqual(yield* repo.watch([{ ...turn.claim, userId: other, stop: true }], 60_000), [])
      const unknown = TurnId.make(yield* uuidV7)
      assert.deepStrictEqual(yield* repo.watch([{ ...turn.claim, turnId: unknown, stop: true }], 60_000), [])
      assert.strictEqual((yield* ofTurn).length, 1)
      yield* complete({ ...turn, steps: 1 })
      assert.deepStrictEqual(yield* watch(), [{ ...glance, status: "completed", steps: 1 }])
      yield* repo.remove(user, turn.claim.conversationId)
      assert.deepStrictEqual(yield* ofTurn, [])
      // What is over is not watched, and whoever watched for a moment does so no longer.
      const next = yield* claim(user)
      yield* complete(next)
      yield* repo.watch([{ ...next.claim, stop: false }], 60_000)
      const brief = yield* claim(user)
      yield* repo.watch([{ ...brief.claim, stop: true }], 0)
      const ids = (yield* repo.watched).map((one) => one.turnId)
      assert.ok(!ids.includes(next.claim.turnId))
      assert.ok(!ids.includes(brief.claim.turnId))
      yield* repo.watch([{ ...brief.claim, stop: false }], 60_000)
      Expect.includes(yield* repo.watched, { turnId: brief.claim.turnId, stop: false, told: false })
    })
  ),

  obligation(
    "stops no attempt that was begun after somebody wanted an earlier one stopped",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const key = Option.some(IdempotencyKey.make("k"))
      const turn = yield* claim(user, { idempotencyKey: key })
      const { turnId } = turn.claim
      const ofTurn = Effect.map(repo.watched, (all) => all.filter((one) => one.turnId === turnId))
      yield* repo.watch([{ ...turn.claim, stop: true }], 60_000)
      yield* fail(turn, true)
      yield* claim(user, { idempotencyKey: key })
      assert.deepStrictEqual(yield* ofTurn, [])
      // One that is taken up while it runs is the same attempt to its user.
      yield* repo.watch([{ ...turn.claim, stop: true }], 60_000)
      yield* repo.handBack([{ ...turn.claim, fence: 2 }])
      assert.strictEqual((yield* repo.takeUp(turn.claim, yield* holder, policy))._tag, "Claimed")
      assert.deepStrictEqual(yield* ofTurn, [{ turnId, stop: true, told: false }])
    })
  ),

  obligation(
    "keeps what a step is to do outside of the store, for whoever goes on with it",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const user = yield* newUser
      const turn = yield* claim(user)
      const { turnId } = turn.claim
      const pending = '{"calls": [{"b":1, "a":"\u00e9"}]}'
      const request = { steps: 0, pending, usage }
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual(yield* repo.pend(turn.claim, request, policy.leaseMillis), { _tag: "Pended" })
      }
      assert.deepStrictEqual((yield* repo.turn(user, turnId)).usage, usage)
      yield* repo.handBack([turn.claim])
      assert.deepStrictEqual(yield* repo.pend(turn.claim, request, policy.leaseMillis), { _tag: "Lost" })
      const again = yield* repo.takeUp(turn.claim, yield* holder, policy)
      Expect.isTagged(again, "Claimed")
      assert.deepStrictEqual([again.turn.pending, again.turn.usage], [pending, usage])
      // It is the step's, and nothing of the next one's.
      assert.strictEqual((yield* step(again.turn))._tag, "Committed")
      yield* repo.handBack([again.turn.claim])
      const next = yield* repo.takeUp(turn.claim, yield* holder, policy)
      Expect.isTagged(next, "Claimed")
      assert.deepStrictEqual([next.turn.pending, next.turn.steps], [null, 1])
      assert.deepStrictEqual(yield* repo.pend(next.turn.claim, request, policy.leaseMillis), { _tag: "Lost" })
    })
  ),

  obligation(
    "undoes a part of a step that fails, and nothing but that",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tasks = yield* TaskTools
      const user = yield* newUser
      const turn = yield* claim(user)
      const add = Effect.provideService(addMilk(user), TaskTools, tasks)
      const failing = Effect.result(repo.atomically(user, Effect.andThen(add, Effect.fail("no"))))
      const execute = Effect.flatMap(failing, () => repo.atomically(user, add))
      const outcome = yield* repo.step(turn.claim, yield* stepRequest(turn), { execute }, policy.leaseMillis)
      assert.strictEqual(outcome._tag, "Committed")
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
      // By itself it is all or nothing too.
      assert.deepStrictEqual(yield* failing, Result.fail("no"))
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
    })
  ),

  obligation(
    "erases all of a user, and nothing of others",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const [user, other] = [yield* newUser, yield* newUser]
      for (const someone of [user, other]) {
        const turn = yield* claim(someone, { idempotencyKey: key("k") })
        yield* step(turn)
        yield* complete({ ...turn, steps: 1 })
      }
      yield* repo.eraseUser(user)
      assert.deepStrictEqual((yield* repo.list(user, { limit: 10, after: Option.none() })).items, [])
      assert.deepStrictEqual(yield* titles(user), [])
      assert.strictEqual((yield* begin(user, { idempotencyKey: key("k") }))._tag, "Claimed")
      assert.strictEqual((yield* repo.list(other, { limit: 10, after: Option.none() })).items.length, 1)
      assert.deepStrictEqual(yield* titles(other), ["Milk"])
      assert.strictEqual((yield* begin(other, { idempotencyKey: key("k") }))._tag, "Completed")
    })
  ),

  obligation(
    "is ready",
    Effect.flatMap(ConversationRepo, (repo) => repo.check)
  )
]

/** What every adapter must do whose store is out of reach. */
export const outOfReach: ReadonlyArray<Obligation<ConversationRepo>> = [
  obligation(
    "fails with StorageUnavailable, whatever is asked, while the store is out of reach",
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const userId = yield* newUser
      const asked = yield* request(userId)
      const conversationId = asked.newConversationId
      const turn = { userId, conversationId, turnId: asked.turnId }
      const claim = { ...turn, fence: 1 }
      const lease = policy.leaseMillis
      const page = { limit: 10, after: Option.none() }
      const work = { execute: Effect.succeed([]) }
      const told = { from: 0, text: "Hi", calls: [] }
      const end = { steps: 0, messageId: asked.messageId, content: "Hi", response: "{}", usage, toldFrom: 0 }
      const step = { steps: 0, content: "", usage, calls: [], toldFrom: 0 }
      yield* Expect.allUnavailable({
        begin: repo.begin(asked, policy),
        takeUp: repo.takeUp(turn, asked.holder, policy),
        step: repo.step(claim, step, work, lease),
        pend: repo.pend(claim, { steps: 0, pending: "{}", usage }, lease),
        atomically: repo.atomically(userId, Effect.void),
        complete: repo.complete(claim, { ...end, stopped: false }),
        fail: repo.fail(claim, { steps: 0, failure: { code: "model_failed" }, retryable: true, usage }),
        renew: repo.renew([claim], lease),
        handBack: repo.handBack([claim]),
        settled: repo.settled([turn], lease),
        abandoned: repo.abandoned(10, lease),
        expireLeases: repo.expireLeases,
        watch: repo.watch([{ ...turn, stop: false }], 1000),
        watched: repo.watched,
        tell: repo.tell([{ claim, steps: 0, told }]),
        sweep: repo.sweep(0),
        list: repo.list(userId, page),
        get: repo.get(userId, conversationId),
        rename: repo.rename(userId, conversationId, "x"),
        remove: repo.remove(userId, conversationId),
        messages: repo.messages(userId, conversationId, { ...page, order: "asc" }),
        turn: repo.turn(userId, asked.turnId),
        eraseUser: repo.eraseUser(userId),
        check: repo.check
      } satisfies Record<keyof typeof repo, unknown>)
    })
  )
]
