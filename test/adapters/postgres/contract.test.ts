import { Layer } from "effect"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"
import { postgres, repositories } from "../../support/database.ts"

const adapters = repositories.pipe(Layer.provide(postgres))

conversationRepoContract("PostgreSQL", adapters)
taskToolsContract("PostgreSQL", adapters)
