import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as DirectCallRepoContract from "../../../src/testing/DirectCallRepoContract.ts"
import { simulate } from "../../../src/testing/Simulation.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import * as TurnNewsContract from "../../../src/testing/TurnNewsContract.ts"
import { databaseOptions, postgres, repositories, repositoriesUnasked } from "../../support/database.ts"

// As behind PgBouncer in transaction mode; and on one connection, where whatever blocks would block all.
const bare = repositories.pipe(Layer.provide(postgres(18, { prepare: false, connections: 1 })))
ConversationRepoContract.suite("PostgreSQL 18, unprepared, one connection", bare)
TaskToolsContract.suite("PostgreSQL 18, unprepared, one connection", bare)
DirectCallRepoContract.suite("PostgreSQL 18, unprepared, one connection", bare)

const nowhere = repositoriesUnasked.pipe(
  Layer.provide(PgDatabase.layer(databaseOptions("postgres://postgres@127.0.0.1:1/x")))
)

for (const version of [15, 18] as const) {
  const adapters = repositories.pipe(Layer.provide(postgres(version)))
  ConversationRepoContract.suite(`PostgreSQL ${version}`, adapters, { unreachable: nowhere })
  TaskToolsContract.suite(`PostgreSQL ${version}`, adapters, { unreachable: nowhere })
  DirectCallRepoContract.suite(`PostgreSQL ${version}`, adapters, { unreachable: nowhere })
}

TurnNewsContract.suite("PostgreSQL 18", repositories.pipe(Layer.provideMerge(postgres(18))))

it.live("a database with a clock of its own is not simulated", () =>
  Effect.gen(function* () {
    const store = repositories.pipe(Layer.provide(postgres(18)))
    const error = yield* Effect.flip(simulate({ seed: 1, store }))
    assert.strictEqual(error._tag, "StoreNotSimulated")
  })
)
