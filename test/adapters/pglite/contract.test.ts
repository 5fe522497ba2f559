import { Layer } from "effect"
import * as PgliteDatabase from "../../../src/adapters/pglite/PgliteDatabase.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { repositories } from "../../support/database.ts"

const migrated = Layer.effectDiscard(PgDatabase.runMigrations).pipe(Layer.provideMerge(PgliteDatabase.layer(undefined)))
const adapters = repositories.pipe(Layer.provide(migrated))

ConversationRepoContract.suite("PGlite", adapters)
TaskToolsContract.suite("PGlite", adapters)
