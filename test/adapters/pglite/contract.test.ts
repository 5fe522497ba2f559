import { Layer } from "effect"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { directCallRepoContract } from "../../contract/DirectCallRepo.ts"
import { repositories } from "../../support/database.ts"

const adapters = repositories.pipe(Layer.provide(PgliteDatabase.layer()))

ConversationRepoContract.suite("PGlite", adapters)
TaskToolsContract.suite("PGlite", adapters)
directCallRepoContract("PGlite", adapters)
