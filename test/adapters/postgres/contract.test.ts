import { Layer } from "effect"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { directCallRepoContract } from "../../contract/DirectCallRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"
import { postgres, repositories } from "../../support/database.ts"

// As behind PgBouncer in transaction mode; and on one connection, where whatever blocks would block all.
const bare = repositories.pipe(Layer.provide(postgres(18, { prepare: false, connections: 1 })))
conversationRepoContract("PostgreSQL 18, unprepared, one connection", bare)
directCallRepoContract("PostgreSQL 18, unprepared, one connection", bare)
taskToolsContract("PostgreSQL 18, unprepared, one connection", bare)

for (const version of [15, 18] as const) {
  const adapters = repositories.pipe(Layer.provide(postgres(version)))
  conversationRepoContract(`PostgreSQL ${version}`, adapters)
  directCallRepoContract(`PostgreSQL ${version}`, adapters)
  taskToolsContract(`PostgreSQL ${version}`, adapters)
}
