import { PgClient, PgTypes } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Context, Effect, Exit, Layer, Option, Redacted, Result, String } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as Postgres from "../../../src/adapters/postgres/Postgres.ts"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { ConversationId, MessageId, TurnId } from "../../../src/domain/model/Conversation.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import { ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as DirectCallRepoContract from "../../../src/testing/DirectCallRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { freshDatabase } from "../../support/database.ts"

/** A client as an application may have it: nothing of ours is on its path, and columns are renamed both ways. */
const hostClient = (url: string) =>
  PgClient.layer({
    url: Redacted.make(url),
    maxConnections: 4,
    transformQueryNames: String.camelToSnake,
    transformResultNames: String.snakeToCamel,
    startupParameters: { search_path: "app" }
  })

/** An application's database, in which it has tables called as ours are, and migrations of its own. */
const host = Layer.unwrap(Effect.map(freshDatabase(), hostClient))

const hostMigrations = Migrator.make({})({
  loader: Migrator.fromRecord({
    "0001_app": Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table tasks (id text primary key, task_title text)`
      yield* sql`create table turns (id text primary key)`
      yield* sql`insert into tasks values ('host', 'Mine')`
    })
  })
})

const inAppSchema = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create schema app`
  yield* hostMigrations
})

const ada = UserId.make("ada")

const build = (options?: Postgres.Options) =>
  Effect.map(Layer.build(Postgres.layer(options)), (context) => ({
    repo: Context.get(context, ConversationRepo),
    tasks: Context.get(context, TaskTools)
  }))

const beginning = Effect.gen(function* () {
  return {
    userId: ada,
    turnId: TurnId.make(yield* uuidV7),
    holder: yield* uuidV7,
    idempotencyKey: Option.none(),
    fingerprint: "chat",
    conversationId: Option.none(),
    newConversationId: ConversationId.make(yield* uuidV7),
    title: "Chat",
    messageId: MessageId.make(yield* uuidV7),
    content: "Hello",
    context: { userName: "Ada" },
    begun: false
  }
})
const policy = {
  leaseMillis: 15_000,
  historyMessages: 20,
  maxAttempts: 3,
  turnsPerMinute: null,
  turnsAtOnce: null,
  maxConversations: null
}

const stores = Postgres.layer({ schema: "Agents_2" }).pipe(Layer.provide(host))
ConversationRepoContract.suite("a host's client, in a schema of its choice", stores)
DirectCallRepoContract.suite("a host's client, in a schema of its choice", stores)
TaskToolsContract.suite("a host's client, in a schema of its choice", stores)

describe("in a database of the application", () => {
  it.live("two schemas do not see each other", () =>
    Effect.gen(function* () {
      const one = yield* build({ schema: "one" })
      const other = yield* build({ schema: "other" })
      yield* one.tasks.add(ada, { title: "Buy milk", description: null }, null)
      const begun = yield* one.repo.begin(yield* beginning, policy)
      assert(begun._tag === "Claimed")
      assert.deepStrictEqual(
        (yield* other.tasks.list(ada, { status: "all", limit: 9, after: Option.none() })).items,
        []
      )
      assert.deepStrictEqual((yield* other.repo.list(ada, { limit: 9, after: Option.none() })).items, [])
      assert.strictEqual((yield* Effect.flip(other.repo.turn(ada, begun.turn.claim.turnId)))._tag, "TurnNotFound")
      // A step whose tasks are in the other schema cannot be one statement of this one's.
      const { calls } = begun.turn.history
      const folded = {
        tasks: other.tasks,
        calls: [{ _tag: "Known", result: { result: "{}", status: "success" } } as const]
      }
      const request = { steps: 0, content: "", toldFrom: 0, usage: { promptTokens: 1, completionTokens: 1 }, calls: [] }
      const wasExecuted = Effect.die("executed")
      const step = yield* Effect.exit(
        one.repo.step(begun.turn.claim, request, { execute: wasExecuted, folded }, 15_000)
      )
      assert.deepStrictEqual(calls, [])
      assert(Exit.isFailure(step) && Cause.squash(step.cause) === "executed")
      yield* other.repo.eraseUser(ada)
      assert.strictEqual(
        (yield* one.tasks.list(ada, { status: "all", limit: 9, after: Option.none() })).items.length,
        1
      )
    }).pipe(Effect.provide(host))
  )

  it.live("the application's tables and migrations stay as they are", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* inAppSchema
      const { tasks } = yield* build({})
      yield* build({})
      yield* tasks.add(ada, { title: "Buy milk", description: null }, null)
      yield* hostMigrations
      assert.deepStrictEqual(yield* sql`select * from tasks`, [{ id: "host", taskTitle: "Mine" }])
      assert.deepStrictEqual(yield* sql`select migration_id, name from effect_sql_migrations`, [
        { migrationId: 1, name: "app" }
      ])
      const schemas = yield* sql`select relnamespace::regnamespace::text place, count(*)::int n from pg_class
        where relkind = 'r' and relnamespace::regnamespace::text not like all (array['pg_%', 'information_schema'])
        group by 1 order by 1`
      assert.deepStrictEqual(schemas, [
        { place: "app", n: 3 },
        { place: "turnkeeper", n: 11 }
      ])
    }).pipe(Effect.provide(host))
  )

  it.live("a schema in which it has migrations of its own is good as well", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table public.migrations (migration_id int primary key, name text not null)`
      yield* sql`insert into public.migrations values (7, 'users')`
      const { tasks } = yield* build({ schema: "public" })
      yield* build({ schema: "public", migrate: false })
      assert.strictEqual((yield* tasks.add(ada, { title: "Buy milk", description: null }, null)).title, "Buy milk")
      assert.deepStrictEqual(yield* sql`select name from public.migrations`, [{ name: "users" }])
    }).pipe(Effect.provide(host))
  )

  it.live("its temporary tables stand before none of ours", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { tasks } = yield* build()
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`create temporary table tasks (like turnkeeper.tasks including all) on commit drop`
          yield* tasks.add(ada, { title: "Buy milk", description: null }, null)
          assert.deepStrictEqual(yield* sql`select title from turnkeeper.tasks`, [{ title: "Buy milk" }])
        })
      )
    }).pipe(Effect.provide(host))
  )

  it.live("what it does in a transaction of its own goes with that", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { tasks } = yield* build()
      const rolledBack = Effect.andThen(
        tasks.add(ada, { title: "Buy milk", description: null }, null),
        Effect.fail("no" as const)
      )
      assert.strictEqual(yield* Effect.flip(sql.withTransaction(rolledBack)), "no")
      assert.deepStrictEqual((yield* tasks.list(ada, { status: "all", limit: 9, after: Option.none() })).items, [])
    }).pipe(Effect.provide(host))
  )

  it.live("a turn does not begin within a transaction, which it outlives", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { repo } = yield* build()
      const exit = yield* Effect.exit(sql.withTransaction(repo.begin(yield* beginning, policy)))
      assert(Exit.isFailure(exit))
      assert.match(globalThis.String(Cause.squash(exit.cause)), /inside of the application's own transaction/)
      assert.deepStrictEqual((yield* repo.list(ada, { limit: 9, after: Option.none() })).items, [])
    }).pipe(Effect.provide(host))
  )
})

describe("a direct call in a transaction of the application's", () => {
  it.live("is refused, and leaves the transaction as it is", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const calls = Context.get(yield* Layer.build(Postgres.layer()), DirectCallRepo)
      const keyed = { key: IdempotencyKey.make("k"), fingerprint: "[]", callId: yield* uuidV7, keysAtMost: 9 }
      const result = { status: "success", result: "{}" } as const
      for (const work of [
        Effect.asVoid(calls.perform(ada, Option.none(), Effect.succeed(result))),
        Effect.asVoid(calls.begin(ada, keyed)),
        Effect.asVoid(calls.finish(ada, keyed.key, keyed.callId, result))
      ]) {
        yield* sql.withTransaction(
          Effect.gen(function* () {
            const limits = sql`select current_setting('lock_timeout') lock, current_setting('idle_in_transaction_session_timeout') idle`
            const before = yield* limits
            const exit = yield* Effect.exit(work)
            assert(Exit.isFailure(exit))
            assert.match(globalThis.String(Cause.squash(exit.cause)), /inside of the application's own transaction/)
            assert.deepStrictEqual(yield* limits, before)
          })
        )
      }
      assert.strictEqual((yield* calls.begin(ada, keyed))._tag, "Begun")
    }).pipe(Effect.provide(host))
  )
})

describe("the layer on PostgreSQL", () => {
  const names = ["", "a b", 'a"; drop schema public --', "pg_agents", "information_schema", "1st", "x".repeat(41)]
  for (const schema of names) {
    it.live(`refuses "${schema}" as a schema`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(build({ schema }))
        assert(error._tag === "SchemaInvalid")
        assert.include(error.message, "1 to 40 characters")
      }).pipe(Effect.provide(host))
    )
  }

  it.live("refuses a client whose transactions see nothing new", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(build())
      assert(error._tag === "DatabaseUnfit")
      assert.include(error.message, '"repeatable read"')
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(freshDatabase(), (url) =>
            PgClient.layer({
              url: Redacted.make(url),
              startupParameters: { default_transaction_isolation: "repeatable read" }
            })
          )
        )
      )
    )
  )

  it.live("refuses a client that reads values in its own way", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const error = yield* Effect.flip(build())
      assert(error._tag === "DatabaseUnfit")
      assert.deepStrictEqual(error.misread, ["timestamptz"])
      assert.include(error.message, "timestamptz")
      assert.deepStrictEqual(yield* sql`select 1 where to_regnamespace('turnkeeper') is not null`, [])
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(freshDatabase(), (url) => {
            const types = PgTypes.makeRegistry()
            types.register(PgTypes.OID.timestamptz, {
              encode: () => Result.succeed(new Uint8Array(8)),
              decode: () => Result.succeed("2026-01-01 00:00:00+00")
            })
            return PgClient.layer({ url: Redacted.make(url), types })
          })
        )
      )
    )
  )

  it.live("refuses, and changes nothing, where its migrations are not to be run", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const error = yield* Effect.flip(build({ migrate: false }))
      assert.strictEqual(error._tag, "MigrationsMissing")
      assert.deepStrictEqual(yield* sql`select 1 where to_regnamespace('turnkeeper') is not null`, [])
      yield* build()
      yield* build({ migrate: false })
    }).pipe(Effect.provide(host))
  )

  it.live("does without the right to create a schema where it is given one", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const role = `role_${(yield* uuidV7).replaceAll("-", "")}`
      yield* sql`create role ${sql(role)} login`
      yield* sql`create schema given authorization ${sql(role)}`
      const [row] = yield* sql<{ name: string }>`select current_database() name`
      const { config } = yield* PgClient.PgClient
      const url = new URL(Redacted.value(config.url ?? Redacted.make("")))
      url.username = role
      assert.strictEqual(url.pathname, `/${row?.name}`)
      const own = PgClient.layer({ url: Redacted.make(url.href) })
      yield* Effect.provide(build({ schema: "given" }), own)
      const error = yield* Effect.flip(Effect.provide(build({ schema: "taken" }), own))
      assert.strictEqual(error._tag, "SqlError")
    }).pipe(Effect.provide(host))
  )

  it.live("takes its schema from the application's configuration", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* Layer.build(Postgres.layerConfig({ schema: Config.String("SCHEMA") })).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({ SCHEMA: "configured" }))
      )
      assert.deepStrictEqual(yield* sql`select count(*)::int n from configured.tasks`, [{ n: 0 }])
    }).pipe(Effect.provide(host))
  )
})
