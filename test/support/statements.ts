import { assert } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import { conversationOf, tokenOf, withClient } from "../../bench/seed.ts"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import * as Postgres from "../../src/adapters/postgres/Postgres.ts"
import { uuidV7 } from "../../src/domain/Ids.ts"
import { ConversationId, MessageId, ToolCallId, TurnId } from "../../src/domain/model/Conversation.ts"
import { TaskId } from "../../src/domain/model/Task.ts"
import { IdempotencyKey } from "../../src/domain/model/Turn.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { Auth } from "../../src/ports/Auth.ts"
import { type BeginRequest, type ClaimedTurn, ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { explainAll, type Plan, plansIn } from "./plans.ts"
import type { PostgresServer } from "./postgres.ts"

const policy = {
  leaseMillis: 15_000,
  historyMessages: 20,
  maxAttempts: 3,
  turnsPerMinute: 60,
  turnsAtOnce: 10,
  maxConversations: 10_000
}
const usage = { promptTokens: 1, completionTokens: 1 }
const ada = UserId.make("user0")
const long = ConversationId.make(conversationOf(0))

const request = Effect.fnUntraced(function* (more: Partial<BeginRequest> = {}) {
  return {
    userId: ada,
    turnId: TurnId.make(yield* uuidV7),
    holder: yield* uuidV7,
    idempotencyKey: Option.some(IdempotencyKey.make(yield* uuidV7)),
    fingerprint: "[]",
    conversationId: Option.some(long),
    newConversationId: ConversationId.make(yield* uuidV7),
    title: "Chat",
    messageId: MessageId.make(yield* uuidV7),
    content: "Hello",
    context: { userName: "Ada" },
    begun: false,
    ...more
  } satisfies BeginRequest
})

const claim = Effect.fnUntraced(function* (more: Partial<BeginRequest> = {}) {
  const repo = yield* ConversationRepo
  const outcome = yield* repo.begin(yield* request(more), policy)
  return outcome._tag === "Claimed" ? outcome.turn : assert.fail(outcome._tag)
})

const step = Effect.fnUntraced(function* ({ claim, steps }: ClaimedTurn, folded: boolean) {
  const repo = yield* ConversationRepo
  const tasks = yield* TaskTools
  const work = {
    execute: Effect.map(Effect.orDie(tasks.add(ada, { title: "Milk", description: null }, null)), () => [
      { status: "success", result: "{}" } as const
    ]),
    ...(folded && {
      folded: {
        tasks,
        calls: [
          {
            _tag: "Task",
            operation: { _tag: "List", status: "pending", limit: 100, bytes: 16_384 },
            refusal: { status: "error", result: "{}" }
          } as const
        ]
      }
    })
  }
  const call = { id: ToolCallId.make(yield* uuidV7), providerCallId: "1", toolName: "a_task", arguments: "{}" }
  const outcome = yield* repo.step(
    claim,
    { steps, content: "", usage, calls: [call], toldFrom: 0 },
    work,
    policy.leaseMillis
  )
  assert.strictEqual(outcome._tag, "Committed")
})

/** Everything that is ever asked of the database, by the user `user0`, whose conversation 0 is. */
const everything = Effect.fnUntraced(function* (token: string) {
  const repo = yield* ConversationRepo
  const tasks = yield* TaskTools
  yield* (yield* Auth).authenticate(Redacted.make(token))

  const turn = yield* claim()
  yield* repo.pend(turn.claim, { steps: 0, pending: "{}", usage }, policy.leaseMillis)
  yield* step(turn, true)
  yield* step({ ...turn, steps: 1 }, false)
  const messageId = MessageId.make(yield* uuidV7)
  const reply = { messageId, content: "Hi", response: "{}", usage, stopped: false, toldFrom: 0 }
  yield* repo.renew([turn.claim], policy.leaseMillis)
  yield* repo.settled([turn.claim], policy.leaseMillis)
  yield* repo.watch([{ ...turn.claim, stop: true }], 10_000)
  assert.isNotEmpty(yield* repo.watched)
  yield* repo.tell([{ claim: turn.claim, steps: 2, told: { from: 0, text: "Hi", calls: [] } }])
  assert.strictEqual((yield* repo.complete(turn.claim, { ...reply, steps: 2 }))._tag, "Completed")
  const failing = yield* request({ conversationId: Option.none() })
  const failed = yield* claim(failing)
  yield* repo.fail(failed.claim, { steps: 0, failure: { code: "model_failed" }, retryable: true, usage })
  const again = yield* repo.begin({ ...failing, holder: yield* uuidV7 }, policy)
  assert.strictEqual(again._tag, "Claimed")
  yield* repo.handBack([failed.claim])
  yield* repo.abandoned(10, policy.leaseMillis)
  yield* repo.expireLeases
  yield* repo.takeUp(failed.claim, yield* uuidV7, policy)

  const chosen = { conversationId: Option.some(ConversationId.make(yield* uuidV7)), startIfAbsent: true }
  yield* repo.handBack([(yield* claim(chosen)).claim])

  const page = { limit: 50, after: Option.none() }
  const cursor = Option.some({ updatedAt: yield* DateTime.now, id: ConversationId.make(conversationOf(100)) })
  for (const after of [Option.none(), cursor]) yield* repo.list(ada, { limit: 50, after })
  yield* repo.get(ada, long)
  yield* repo.turn(ada, turn.claim.turnId)
  yield* repo.rename(ada, long, "Long")
  for (const order of ["asc", "desc"] as const) {
    yield* repo.messages(ada, long, { ...page, order })
    yield* repo.messages(ada, long, { limit: 50, order, after: Option.some(2000) })
  }
  for (const status of ["all", "pending"] as const) yield* tasks.list(ada, { ...page, status })
  const { id } = yield* tasks.add(ada, { title: "Bread", description: null }, 10_000)
  yield* tasks.list(ada, { ...page, status: "all", after: Option.some(TaskId.make(50)) })
  yield* tasks.get(ada, id)
  yield* tasks.update(ada, id, { title: "Rye bread" })
  yield* tasks.complete(ada, id)
  yield* tasks.remove(ada, id)

  const calls = yield* DirectCallRepo
  const key = IdempotencyKey.make(yield* uuidV7)
  const keyed = { key, fingerprint: "[]", callId: yield* uuidV7, keysAtMost: 10_000 }
  const result = { status: "success", result: "{}" } as const
  yield* calls.perform(ada, Option.none(), Effect.succeed(result))
  yield* calls.begin(ada, keyed)
  for (const _ of [1, 2]) yield* calls.perform(ada, Option.some(keyed), Effect.succeed(result))
  yield* calls.finish(ada, key, keyed.callId, result)
  yield* calls.sweep(24 * 3600 * 1000)

  yield* repo.remove(ada, failed.claim.conversationId)
  yield* repo.eraseUser(UserId.make("user7"))
  yield* repo.sweep(30 * 24 * 3600 * 1000)
  yield* repo.check
})

/**
 * The plans of everything that is ever asked of a database, which the benchmark has filled: each statement is carried out
 * once before it is looked at, or the pages of the catalogs would count that every connection reads at first.
 */
export const explainEverything = Effect.fnUntraced(function* (server: PostgresServer, url: string) {
  const database = new URL(url).pathname.slice(1)
  yield* Effect.promise(() => withClient(url, (client) => client.query(explainAll(database).join(";"))))
  let log = ""
  server.onLog((text) => {
    log += text
  })
  const auth = BetterAuth.layer({ names: BetterAuth.defaultNames, secret: Option.none(), requireSigned: false })
  const adapters = Layer.provide(
    Layer.mergeAll(Postgres.layer(), auth),
    PgDatabase.layer({ url: Redacted.make(url), connections: 1, prepare: true })
  )
  yield* Effect.provide(
    Effect.andThen(
      everything(tokenOf(0)),
      Effect.suspend(() => {
        log = ""
        return everything(tokenOf(1))
      })
    ),
    adapters
  )
  const ended = "the last statement"
  yield* Effect.promise(() => withClient(url, (client) => client.query(`select '${ended}'`)))
  while (!log.includes(ended)) yield* Effect.sleep("20 millis")
  return plansIn(log).filter((plan) => !plan.query.includes(ended))
})

/**
 * Read whole on purpose: the migrations, of which there is a row each; and once an hour the rate limits, which are those of
 * an hour's users then, since an index for that would cost every begin a write.
 */
const isMeant = ({ query }: Plan, relation: string): boolean =>
  relation === "turnkeeper_migrations" ||
  (relation === "rate_limits" && query.startsWith('delete from "turnkeeper".rate_limits where full_at <'))

/** The tables that a plan reads from end to end, and should not. */
export const scannedBy = (plan: Plan): ReadonlyArray<string> =>
  plan.nodes.flatMap(({ relation = "", type }) => (type === "Seq Scan" && !isMeant(plan, relation) ? [relation] : []))
