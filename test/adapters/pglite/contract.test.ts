import { Layer } from "effect"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as DirectCallRepoContract from "../../../src/testing/DirectCallRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { repositories } from "../../support/database.ts"

const adapters = repositories.pipe(Layer.provide(PgliteDatabase.layer()))

ConversationRepoContract.suite("PGlite", adapters)
TaskToolsContract.suite("PGlite", adapters)
DirectCallRepoContract.suite("PGlite", adapters)
