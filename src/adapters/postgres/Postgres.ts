import { Config, Effect, Layer } from "effect"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import { ConversationRepo } from "../../ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../ports/DirectCallRepo.ts"
import { TaskTools } from "../../ports/TaskTools.ts"
import * as PgConversationRepo from "./PgConversationRepo.ts"
import * as PgDatabase from "./PgDatabase.ts"
import * as PgDirectCallRepo from "./PgDirectCallRepo.ts"
import * as PgTaskTools from "./PgTaskTools.ts"
import { type SchemaInvalid, schemaOf } from "./Schema.ts"

export interface Options {
  /**
   * The schema in which everything is, by default `turnkeeper`. What is in one knows nothing of what is in another, and nothing
   * outside of it is touched.
   */
  readonly schema?: string
  /** Whether the migrations that are missing are run, which creates the schema too; else their absence is an error. By default they are. */
  readonly migrate?: boolean
}

/**
 * Conversations and tasks in PostgreSQL 15 or later, by the application's own client. Needs no `search_path`, and minds neither
 * renamed columns nor other people's tables. Fails with `SchemaInvalid`, with `DatabaseUnfit` where the client's transactions or
 * types are not as the protocol needs them, with `MigrationsMissing` where these are not to be run, and with what the database says.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<
  ConversationRepo | DirectCallRepo | TaskTools,
  Migrator.MigrationError | PgDatabase.DatabaseUnfit | PgDatabase.MigrationsMissing | SchemaInvalid | SqlError.SqlError,
  SqlClient.SqlClient
> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const schema = yield* schemaOf(options.schema)
      yield* PgDatabase.requireFit
      yield* options.migrate === false ? PgDatabase.requireMigrations(schema) : PgDatabase.runMigrations(schema)
      return Layer.mergeAll(
        Layer.effect(ConversationRepo, PgConversationRepo.make(schema)),
        Layer.effect(DirectCallRepo, PgDirectCallRepo.make(schema)),
        Layer.effect(TaskTools, PgTaskTools.make(schema))
      )
    })
  )

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` besides, where one is
 * missing there, or is wrong.
 */
export const layerConfig = (options: Config.Wrap<Options>) => Layer.unwrap(Effect.map(Config.unwrap(options), layer))
