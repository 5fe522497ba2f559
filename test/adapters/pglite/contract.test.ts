import { Layer } from "effect"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { directCallRepoContract } from "../../contract/DirectCallRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"
import { repositories } from "../../support/database.ts"

const migrated = Layer.effectDiscard(PgDatabase.runMigrations).pipe(Layer.provideMerge(PgliteDatabase.layer(undefined)))
const adapters = repositories.pipe(Layer.provide(migrated))

conversationRepoContract("PGlite", adapters)
directCallRepoContract("PGlite", adapters)
taskToolsContract("PGlite", adapters)
