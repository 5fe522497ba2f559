import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Tool from "../../../src/domain/Tool.ts"
import * as Tools from "../../../src/domain/Tools.ts"
import { asks, says } from "../../../src/testing/ScriptedModel.ts"
import { postgres, repositories } from "../../support/database.ts"
import { instance, message, replyOf, tasksOfAda } from "../../support/instance.ts"

const database = repositories.pipe(Layer.provideMerge(postgres(18, { connections: 2 })))

/** A table of the application's, with a constraint that is looked at no sooner than at the commit. */
const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.andThen(
    sql`create table rooms (name text primary key)`,
    sql`create table bookings (id text primary key, room text references rooms deferrable initially deferred)`
  )
)

/** A tool that does this in the application's tables. */
const tool = (name: string, handler: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, SqlError.SqlError>) =>
  Tool.make({
    name,
    description: name,
    parameters: Schema.Struct({}),
    result: Schema.Struct({}),
    kind: "transactional",
    timeout: "500 millis",
    handler: () => Effect.as(Effect.flatMap(SqlClient.SqlClient, handler), {})
  })

/** How the calls of a step end in which this tool stands between two others, and what is in the tables then. */
const stepWith = <R>(own: Tool.Tool<R>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* tables
    const services = yield* Effect.context<R>()
    const { chat } = yield* instance(
      [asks(["add_task", { title: "Before" }], [own.name, {}], ["add_task", { title: "After" }]), says("Done.")],
      {},
      Layer.orDie(Tools.layerWith(own)).pipe(Layer.provide(Layer.succeedContext(services)))
    )
    const reply = replyOf(yield* chat.send(message("Go")))
    assert.deepStrictEqual(yield* tasksOfAda, [
      ["Before", false],
      ["After", false]
    ])
    return {
      message: reply.message,
      statuses: reply.toolCalls.map((call) => call.status),
      bookings: yield* sql`select id, room from bookings`,
      rooms: yield* sql`select name from rooms`
    }
  })

/** What a tool has failed by is in the log, for the operator. */
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const failed: Effect.Success<ReturnType<typeof stepWith>> = {
  message: "Done.",
  statuses: ["success", "error", "success"],
  bookings: [],
  rooms: []
}

describe("a transactional tool on PostgreSQL", () => {
  it.live("that hangs in a statement is given up, and its turn goes on", () =>
    Effect.gen(function* () {
      const hang = tool("hang", (sql) =>
        Effect.andThen(sql`insert into rooms values ('blue')`, sql`select pg_sleep(60)`)
      )
      assert.deepStrictEqual(yield* stepWith(hang), failed)
    }).pipe(Effect.provide(database), Effect.scoped, quietly)
  )

  it.live("that fails takes back what it did, and its turn goes on", () =>
    Effect.gen(function* () {
      const fail = tool("fail", (sql) =>
        Effect.andThen(sql`insert into rooms values ('blue')`, sql`insert into rooms values ('blue')`)
      )
      assert.deepStrictEqual(yield* stepWith(fail), failed)
    }).pipe(Effect.provide(database), Effect.scoped, quietly)
  )

  it.live("that falls to a deadlock has not failed: its step is carried out again", () =>
    Effect.gen(function* () {
      let runs = 0
      const unlucky = tool("unlucky", (sql) =>
        Effect.andThen(
          sql`insert into rooms values (${`room ${++runs}`})`,
          runs === 1 ? sql`do $$ begin raise sqlstate '40P01'; end $$` : sql`select 1`
        )
      )
      assert.deepStrictEqual(yield* stepWith(unlucky), {
        ...failed,
        statuses: ["success", "success", "success"],
        rooms: [{ name: "room 2" }]
      })
    }).pipe(Effect.provide(database), Effect.scoped, quietly)
  )

  it.live("that breaks what is looked at no sooner than at the commit has failed too", () =>
    Effect.gen(function* () {
      const orphan = tool("orphan", (sql) => sql`insert into bookings values ('1', 'nowhere')`)
      assert.deepStrictEqual(yield* stepWith(orphan), failed)
    }).pipe(Effect.provide(database), Effect.scoped, quietly)
  )

  it.live("may put off what is whole in the end, and so may the next one", () =>
    Effect.gen(function* () {
      const both = tool("both", (sql) =>
        Effect.andThen(
          sql`insert into bookings values ('1', 'blue')`,
          Effect.andThen(
            // As an earlier tool of the step has left it.
            Effect.andThen(sql`insert into rooms values ('blue')`, sql`select turnkeeper.constraints_hold()`),
            Effect.andThen(sql`insert into bookings values ('2', 'red')`, sql`insert into rooms values ('red')`)
          )
        )
      )
      assert.deepStrictEqual(yield* stepWith(both), {
        message: "Done.",
        statuses: ["success", "success", "success"],
        bookings: [
          { id: "1", room: "blue" },
          { id: "2", room: "red" }
        ],
        rooms: [{ name: "blue" }, { name: "red" }]
      })
    }).pipe(Effect.provide(database), Effect.scoped, quietly)
  )
})
