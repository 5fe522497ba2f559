import { Layer } from "effect"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"
import { postgres, repositories } from "../../support/database.ts"

for (const version of [15, 18] as const) {
  const adapters = repositories.pipe(Layer.provide(postgres(version)))
  conversationRepoContract(`PostgreSQL ${version}`, adapters)
  taskToolsContract(`PostgreSQL ${version}`, adapters)
}
