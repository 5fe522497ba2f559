import { PgClient, PgMigrator } from "@effect/sql-pg"
import { Config, Effect, Layer, String } from "effect"
import { Migrator, SqlClient } from "effect/sql"

/** The application's own pool, which renames columns for its own statements. */
const client = PgClient.layerConfig({
  url: Config.Redacted("DATABASE_URL"),
  maxConnections: Config.succeed(10),
  transformQueryNames: Config.succeed(String.camelToSnake),
  transformResultNames: Config.succeed(String.snakeToCamel)
})

/** The application's own tables, in the schema and with the migrations table that are its own. */
const migrations = Migrator.make({})({
  table: "app_migrations",
  loader: PgMigrator.fromRecord({
    "1_people": Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table people (
        id text primary key,
        name text not null unique
      )`
      yield* sql`create table sessions (
        token_hash text primary key,
        person_id text not null references people
      )`
    }),
    "2_visitors": Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table visitors (
        id integer generated always as identity primary key,
        name text not null,
        day date not null,
        announced_by text not null references people
      )`
    })
  })
})

/** The database, once its migrations have run. */
export const layer = Layer.effectDiscard(migrations).pipe(Layer.provideMerge(client))
