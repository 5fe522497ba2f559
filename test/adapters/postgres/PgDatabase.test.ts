import * as Net from "node:net"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import {
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  Fiber,
  Layer,
  Option,
  Queue,
  Redacted,
  Stream
} from "effect"
import { SqlClient } from "effect/sql"
import * as PgConversationRepo from "../../../src/adapters/postgres/PgConversationRepo.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import { defaultSchema } from "../../../src/adapters/postgres/Schema.ts"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { ConversationId, MessageId, TurnId } from "../../../src/domain/model/Conversation.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import { type BeginRequest, ConversationRepo, type TurnPolicy } from "../../../src/ports/ConversationRepo.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"
import { TurnNews } from "../../../src/ports/TurnNews.ts"
import { databaseOptions, freshDatabase, postgres, repositories } from "../../support/database.ts"

/** The repository alone, which builds without asking the database. */
const repository = Layer.effect(ConversationRepo, PgConversationRepo.make(defaultSchema))

const plain = (url: string) => PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })

describe("PgDatabase", () => {
  it.live("brings an empty database up to date, even when two instances start at once, and once only", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const options = databaseOptions(url)
      yield* Effect.all([PgDatabase.migrate(options), PgDatabase.migrate(options)], { concurrency: 2 })
      yield* PgDatabase.migrate(options)
      const ran = yield* Effect.provide(
        Effect.flatMap(
          SqlClient.SqlClient,
          (sql) => sql`select migration_id, name from turnkeeper.turnkeeper_migrations`
        ),
        plain(url)
      )
      assert.deepStrictEqual(ran, [{ migration_id: 1, name: "turns" }])
      yield* Effect.provide(PgDatabase.requireMigrations(defaultSchema), plain(url))
    })
  )

  it.live("goes on where somebody else creates its schema at the same moment", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const sql = Context.get(yield* Layer.build(plain(url)), SqlClient.SqlClient)
      const other = Context.get(yield* Layer.build(Layer.fresh(plain(url))), SqlClient.SqlClient)
      const waiting = other`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      const migrating = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`create schema turnkeeper`
          const fiber = yield* Effect.forkScoped(PgDatabase.migrate(databaseOptions(url)))
          while ((yield* waiting).length === 0) yield* Effect.yieldNow
          return fiber
        })
      )
      yield* Fiber.join(migrating)
      yield* Effect.provide(PgDatabase.requireMigrations(defaultSchema), plain(url))
    }).pipe(Effect.scoped)
  )

  it.live("refuses a database that lacks the migrations, and is not ready on it", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const error = yield* Effect.flip(Effect.provide(PgDatabase.requireMigrations(defaultSchema), plain(url)))
      assert(error._tag === "MigrationsMissing")
      assert.deepStrictEqual([error.found, error.needed], [0, 1])
      assert.include(error.message, "Run the migrations")
      const client = plain(url)
      const ready = Effect.flatMap(ConversationRepo, (repo) => repo.check).pipe(
        Effect.provide(repository.pipe(Layer.provide(client)))
      )
      assert.strictEqual((yield* Effect.exit(ready))._tag, "Failure")
    })
  )

  it.live("tells a database that is out of reach from a bug", () =>
    Effect.gen(function* () {
      const nowhere = PgDatabase.layer(databaseOptions("postgres://postgres@127.0.0.1:1/x"))
      const error = yield* Effect.flatMap(ConversationRepo, (repo) =>
        repo.list(UserId.make("ada"), { limit: 1, after: Option.none() })
      ).pipe(Effect.provide(repository.pipe(Layer.provide(nowhere))), Effect.flip)
      assert(error._tag === "StorageUnavailable")
      assert.strictEqual(error.operation, "ConversationRepo.list")
    })
  )
})

describe("the news of turns", () => {
  it.live("come from other instances at once, and again after the connection was lost", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const options = databaseOptions(url)
      yield* PgDatabase.migrate(options)
      const news = yield* Queue.unbounded<"watched" | "told">()
      yield* Effect.flatMap(
        TurnNews,
        Stream.runForEach((one) => Queue.offer(news, one))
      ).pipe(Effect.provide(PgDatabase.layer(options)), Effect.forkScoped)
      const context = yield* Layer.build(Layer.provideMerge(repository, PgDatabase.layer(options)))
      const sql = Context.get(context, SqlClient.SqlClient)
      const repo = Context.get(context, ConversationRepo)
      const { claim } = yield* claimed(repo, UserId.make("ada"))
      const listening = sql`select pid from pg_stat_activity where query = 'LISTEN "turnkeeper_turns.turnkeeper"'
        and datname = current_database()`
      const listens = Effect.gen(function* () {
        while (true) {
          const [row] = yield* listening
          if (row !== undefined) return row
        }
      })
      const hear = Effect.gen(function* () {
        yield* repo.watch([{ ...claim, stop: false }], 0)
        assert.strictEqual(yield* Queue.take(news), "watched")
        yield* repo.tell([{ claim, steps: 0, told: { from: 0, text: "Hi", calls: [] } }])
        assert.strictEqual(yield* Queue.take(news), "told")
      })
      const { pid } = yield* listens
      yield* hear
      yield* sql`select pg_terminate_backend(${pid})`
      while ((yield* listens)["pid"] === pid);
      yield* hear
    }).pipe(Effect.scoped)
  )
})

/** A server that takes what is sent and never answers, in front of the real one once it is told to. */
const blackHole = (target: URL) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<{ readonly url: string; readonly server: Net.Server; swallow: boolean }>((resolve) => {
          const server = Net.createServer((client) => {
            const upstream = Net.connect(Number(target.port), target.hostname)
            client.on("data", (data) => {
              if (!state.swallow) upstream.write(data)
            })
            upstream.on("data", (data) => client.write(data))
            for (const socket of [client, upstream]) {
              socket.on("error", () => {
                client.destroy()
                upstream.destroy()
              })
            }
          })
          const state = { url: "", server, swallow: false }
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            const url = new URL(target)
            url.port = typeof address === "object" && address !== null ? String(address.port) : ""
            state.url = url.href
            resolve(state)
          })
        })
    ),
    ({ server }) => Effect.sync(() => server.close())
  )

describe("a connection that stopped answering", () => {
  it.live("is given up, and the next one works", () =>
    Effect.gen(function* () {
      const hole = yield* blackHole(new URL(yield* freshDatabase()))
      const client = yield* Layer.build(PgDatabase.layer({ ...databaseOptions(hole.url, 1), silenceMillis: 1000 }))
      const sql = Context.get(client, SqlClient.SqlClient)
      const ask = sql`select 1 as one`
      assert.deepStrictEqual(yield* ask, [{ one: 1 }])
      hole.swallow = true
      assert.strictEqual((yield* Effect.flip(ask))._tag, "SqlError")
      hole.swallow = false
      assert.deepStrictEqual(yield* ask, [{ one: 1 }])
    }).pipe(Effect.scoped)
  )
})

layer(postgres(), { excludeTestServices: true, timeout: "60 seconds" })("statements", (it) => {
  it.effect("never scan a table whole, though all of them are empty", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [setting] = yield* sql`show enable_seqscan`
      assert.deepStrictEqual(setting, { enable_seqscan: "off" })
      const functions = yield* sql`select p.proname, p.proconfig from pg_proc p
        join pg_language l on l.oid = p.prolang
        where p.pronamespace = 'turnkeeper'::regnamespace and l.lanname = 'plpgsql'
          and p.proname <> 'constraints_hold' -- it runs triggers of the application, under that one's settings`
      assert.isAbove(functions.length, 15)
      for (const { proconfig, proname } of functions) {
        assert(Array.isArray(proconfig), String(proname))
        assert.include(proconfig, "enable_seqscan=off", String(proname))
        assert.include(proconfig, 'search_path="turnkeeper", pg_temp', String(proname))
      }
    })
  )
})

/** A database of its own with both repositories over one connection, a holder of locks, and one to look on. */
/** Comes back once so many wait for a lock. */
const waiting = Effect.fnUntraced(function* (watcher: SqlClient.SqlClient, count: number) {
  for (let i = 0; i < 1000; i++) {
    const rows = yield* watcher`select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`
    if (rows.length >= count) return
  }
  assert.fail("nobody waits")
})

const locking = Effect.gen(function* () {
  const options = databaseOptions(yield* freshDatabase(), 1)
  yield* PgDatabase.migrate(options)
  const context = yield* Layer.build(repositories.pipe(Layer.provide(PgDatabase.layer(options))))
  const other = yield* Layer.build(Layer.fresh(repositories.pipe(Layer.provide(PgDatabase.layer(options)))))
  const client = Effect.map(Layer.build(Layer.fresh(plain(Redacted.value(options.url)))), (built) =>
    Context.get(built, SqlClient.SqlClient)
  )
  const [holder, watcher] = [yield* client, yield* client]
  return {
    repo: Context.get(context, ConversationRepo),
    tools: Context.get(context, TaskTools),
    /** That of another instance. */
    otherRepo: Context.get(other, ConversationRepo),
    otherTools: Context.get(other, TaskTools),
    /** Holds what the statement locks until it is released; that may be after one more statement. */
    hold: Effect.fnUntraced(function* (statement: string) {
      const locked = yield* Deferred.make<void>()
      const last = yield* Deferred.make<string>()
      const fiber = yield* Effect.forkChild(
        holder.withTransaction(
          Effect.gen(function* () {
            yield* holder.unsafe(statement)
            yield* Deferred.succeed(locked, undefined)
            yield* holder.unsafe(yield* Deferred.await(last))
          })
        )
      )
      yield* Deferred.await(locked)
      const releaseAfter = (statement: string) => Effect.andThen(Deferred.succeed(last, statement), Fiber.join(fiber))
      return { release: releaseAfter("select 1"), releaseAfter }
    }),
    /** Ends all connections that are inside a transaction, as a server that goes down does. */
    cut: watcher`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and state like '%in transaction%' and pid <> pg_backend_pid()`,
    somebodyWaits: waiting(watcher, 1),
    twoWait: waiting(watcher, 2)
  }
})

const begin = Effect.fnUntraced(function* (
  repo: ConversationRepo["Service"],
  userId: UserId,
  conversation: Option.Option<ConversationId> = Option.none(),
  more: Partial<BeginRequest & TurnPolicy> = {}
) {
  return yield* repo.begin(
    {
      userId,
      turnId: TurnId.make(yield* uuidV7),
      holder: yield* uuidV7,
      idempotencyKey: Option.none(),
      fingerprint: "[]",
      conversationId: conversation,
      newConversationId: ConversationId.make(yield* uuidV7),
      title: "Chat",
      messageId: MessageId.make(yield* uuidV7),
      content: "Hello",
      context: { userName: "Ada" },
      begun: false,
      ...more
    },
    {
      leaseMillis: 15_000,
      historyMessages: 20,
      maxAttempts: 3,
      turnsPerMinute: null,
      turnsAtOnce: null,
      maxConversations: null,
      ...more
    }
  )
})

const claimed = (repo: ConversationRepo["Service"], userId: UserId) =>
  Effect.map(begin(repo, userId), (outcome) => {
    assert(outcome._tag === "Claimed")
    return outcome.turn
  })

describe("a write that meets a lock", () => {
  const user = UserId.make("ada")

  it.live("makes way for what shares its connection, and succeeds when the lock is gone", () =>
    Effect.gen(function* () {
      const { hold, somebodyWaits, tools } = yield* locking
      const { id } = yield* tools.add(user, { title: "Milk", description: null }, null)
      const { release } = yield* hold("select 1 from tasks for update")
      const update = yield* Effect.forkChild(tools.update(user, id, { title: "Oat milk" }))
      yield* somebodyWaits
      // Another statement on the one connection is answered, though the lock stays.
      assert.strictEqual((yield* tools.get(user, id)).title, "Milk")
      yield* release
      assert.strictEqual((yield* Fiber.join(update)).title, "Oat milk")
    }).pipe(Effect.scoped)
  )

  it.live("is told that a conversation is busy without waiting for its lock", () =>
    Effect.gen(function* () {
      const { hold, repo } = yield* locking
      const { claim } = yield* claimed(repo, user)
      const { release } = yield* hold("select 1 from conversations for update")
      const outcome = yield* begin(repo, user, Option.some(claim.conversationId))
      assert(outcome._tag === "Busy")
      // By the lease of the running turn, and not by having waited in vain.
      assert.isAbove(outcome.retryAfterMillis, 2000)
      yield* release
    }).pipe(Effect.scoped)
  )

  it.live("counts the turns that run only when it has the user's lock", () =>
    Effect.gen(function* () {
      const { hold, otherRepo, repo, somebodyWaits } = yield* locking
      const limits = { turnsAtOnce: 1, turnsPerMinute: 2 }
      const key = { idempotencyKey: Option.some(IdempotencyKey.make("k")) }
      const failing = yield* begin(repo, user, Option.none(), { ...limits, ...key })
      assert(failing._tag === "Claimed")
      yield* repo.fail(failing.turn.claim, {
        steps: 0,
        failure: { code: "model_failed", reason: "overloaded" },
        retryable: true,
        usage: failing.turn.usage
      })
      const first = yield* begin(otherRepo, user)
      assert(first._tag === "Claimed")
      yield* otherRepo.complete(first.turn.claim, {
        steps: 0,
        messageId: MessageId.make(yield* uuidV7),
        content: "Hi",
        response: "{}",
        usage: first.turn.usage,
        stopped: false,
        toldFrom: 0
      })
      // A new turn and one that is taken up: while each waits for the lock, another turn comes to run.
      for (const again of [{}, key]) {
        const { releaseAfter } = yield* hold("select 1 from rate_limits for update")
        const late = yield* Effect.forkChild(begin(repo, user, Option.none(), { ...limits, ...again }))
        yield* somebodyWaits
        yield* releaseAfter(`update turns set status = 'running', lease_until = now() + interval '15 s'
          where id = '${first.turn.claim.turnId}'`)
        assert.strictEqual((yield* Fiber.join(late))._tag, "TooManyTurns")
        const { release } = yield* hold(`update turns set status = 'completed' where id = '${first.turn.claim.turnId}'`)
        yield* release
      }
      // Whoever was refused has used nothing up.
      const allowed = yield* begin(repo, user, Option.none(), { ...limits, turnsAtOnce: 10 })
      assert.strictEqual(allowed._tag, "Claimed")
    }).pipe(Effect.scoped)
  )

  it.live("goes on in a conversation that a rival has started meanwhile, and counts once", () =>
    Effect.gen(function* () {
      const { hold, repo, somebodyWaits } = yield* locking
      const id = ConversationId.make(yield* uuidV7)
      const rival = yield* uuidV7
      const limits = { turnsPerMinute: 2, startIfAbsent: true }
      const { releaseAfter } =
        yield* hold(`insert into turns (user_id, id, conversation_id, idempotency_key, request_hash,
          status, holder, lease_until, seq, context, created_at)
        values ('${user}', '${rival}', '${id}', 'k', '', 'completed', '${rival}', now(), 1, '{}', now())`)
      const late = yield* Effect.forkChild(
        begin(repo, user, Option.some(id), { ...limits, idempotencyKey: Option.some(IdempotencyKey.make("k")) })
      )
      yield* somebodyWaits // it has found no conversation, and waits for its key
      yield* releaseAfter(`with key_given_back as (delete from turns where id = '${rival}')
        insert into conversations (user_id, id, title, next_seq, last_turn_id, created_at, updated_at)
        values ('${user}', '${id}', 'The title of the rival', 3, '${rival}', now(), now())`)
      const outcome = yield* Fiber.join(late)
      assert(outcome._tag === "Claimed")
      assert.strictEqual(outcome.turn.seq, 3)
      assert.strictEqual((yield* repo.get(user, id)).title, "The title of the rival")
      assert.strictEqual((yield* begin(repo, user, Option.none(), limits))._tag, "Claimed")
      assert.strictEqual((yield* begin(repo, user, Option.none(), limits))._tag, "RateLimited")
    }).pipe(Effect.scoped)
  )

  it.live("erases what was there, and leaves whole what has begun meanwhile", () =>
    Effect.gen(function* () {
      const { hold, otherRepo, repo, somebodyWaits, tools } = yield* locking
      yield* tools.add(user, { title: "Milk", description: null }, null)
      const old = yield* claimed(repo, user)
      const { release } = yield* hold("select 1 from user_counters for update")
      const erase = yield* Effect.forkChild(repo.eraseUser(user))
      yield* somebodyWaits // the erasure has its list, and waits for the counter
      const turn = yield* claimed(otherRepo, user)
      yield* release
      yield* Fiber.join(erase)
      const { items } = yield* repo.list(user, { limit: 10, after: Option.none() })
      assert.notInclude(
        items.map((item) => item.id),
        old.claim.conversationId
      )
      const completed = yield* repo.complete(turn.claim, {
        steps: 0,
        messageId: MessageId.make(yield* uuidV7),
        content: "Hi",
        response: "{}",
        usage: { promptTokens: 1, completionTokens: 1 },
        stopped: false,
        toldFrom: 0
      })
      assert.strictEqual(completed._tag, "Completed")
    }).pipe(Effect.scoped)
  )

  it.live("erases no number of a task that stays, though there was none before", () =>
    Effect.gen(function* () {
      const { hold, otherTools, repo, tools, twoWait, somebodyWaits } = yield* locking
      const milk = { title: "Milk", description: null }
      yield* claimed(repo, user)
      const { release } = yield* hold("select 1 from messages for update")
      const erase = yield* Effect.forkChild(repo.eraseUser(user))
      yield* somebodyWaits // the erasure has looked for tasks, and waits for the messages
      const adding = yield* Effect.forkChild(otherTools.add(user, milk, null))
      yield* Effect.raceFirst(Fiber.await(adding), twoWait)
      yield* release
      yield* Fiber.join(erase)
      assert.deepStrictEqual([(yield* Fiber.join(adding)).id, (yield* tools.add(user, milk, null)).id], [1, 2])
    }).pipe(Effect.scoped)
  )
})

describe("a step whose connection ends", () => {
  const user = UserId.make("ada")
  const request = {
    steps: 0,
    content: "",
    usage: { promptTokens: 1, completionTokens: 1 },
    calls: [],
    toldFrom: 0
  }

  for (const [where, tool] of [
    ["before a tool", true],
    ["after the tools", false]
  ] as const) {
    it.live(`${where} could not be stored, and is stored when it comes again`, () =>
      Effect.gen(function* () {
        const { cut, repo, tools } = yield* locking
        const { claim } = yield* claimed(repo, user)
        const execute = Effect.andThen(
          Effect.orDie(cut),
          tool
            ? Effect.as(Effect.orDie(tools.add(user, { title: "Milk", description: null }, null)), [])
            : Effect.succeed([])
        )
        const failure = yield* Effect.flip(repo.step(claim, request, { execute }, 15_000))
        assert.strictEqual(failure._tag, "StorageUnavailable")
        const again = yield* repo.step(claim, request, { execute: Effect.succeed([]) }, 15_000)
        assert.deepStrictEqual(again, { _tag: "Committed", calls: [] })
      }).pipe(Effect.scoped)
    )
  }
})

describe("the layer", () => {
  it.live("connects to what the application is configured with", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const database = (environment: Record<string, string>) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select current_database() name`).pipe(
          Effect.provide(
            PgDatabase.layerConfig({
              url: Config.Redacted("DATABASE"),
              connections: Config.Int("CONNECTIONS"),
              prepare: Config.succeed(true)
            })
          ),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(environment))
        )
      const name = new URL(url).pathname.slice(1)
      assert.deepStrictEqual(yield* database({ DATABASE: url, CONNECTIONS: "1" }), [{ name }])
      const wrong = yield* Effect.flip(database({ DATABASE: url, CONNECTIONS: "many" }))
      assert.strictEqual(wrong._tag, "ConfigError")
    })
  )
})
