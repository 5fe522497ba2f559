import { Layer } from "effect"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { postgres, repositories } from "../../support/database.ts"

// As behind PgBouncer in transaction mode; and on one connection, where whatever blocks would block all.
const bare = repositories.pipe(Layer.provide(postgres(18, { prepare: false, connections: 1 })))
ConversationRepoContract.suite("PostgreSQL 18, unprepared, one connection", bare)
TaskToolsContract.suite("PostgreSQL 18, unprepared, one connection", bare)

for (const version of [15, 18] as const) {
  const adapters = repositories.pipe(Layer.provide(postgres(version)))
  ConversationRepoContract.suite(`PostgreSQL ${version}`, adapters)
  TaskToolsContract.suite(`PostgreSQL ${version}`, adapters)
}
