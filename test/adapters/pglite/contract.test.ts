import { Layer } from "effect"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"
import { repositories } from "../../support/database.ts"

const adapters = repositories.pipe(Layer.provide(PgliteDatabase.layer()))

conversationRepoContract("PGlite", adapters)
taskToolsContract("PGlite", adapters)
