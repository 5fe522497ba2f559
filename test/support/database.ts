import { randomUUID } from "node:crypto"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import * as PgConversationRepo from "../../src/adapters/postgres/PgConversationRepo.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import * as PgDirectCallRepo from "../../src/adapters/postgres/PgDirectCallRepo.ts"
import * as PgTaskTools from "../../src/adapters/postgres/PgTaskTools.ts"
import * as Postgres from "../../src/adapters/postgres/Postgres.ts"
import { defaultSchema } from "../../src/adapters/postgres/Schema.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import type { Version } from "./postgres.ts"

/** The URL of a new, empty database on a PostgreSQL of the test run. */
export const freshDatabase = (version: Version = 18): Effect.Effect<string> =>
  Effect.gen(function* () {
    const name = `test_${randomUUID().replaceAll("-", "")}`
    const sql = yield* SqlClient.SqlClient
    yield* sql`create database ${sql(name)}`
    const url = new URL(inject("postgres")[version])
    url.pathname = `/${name}`
    return url.href
  }).pipe(
    Effect.provide(
      Layer.suspend(() => PgClient.layer({ url: Redacted.make(inject("postgres")[version]), maxConnections: 1 }))
    ),
    Effect.orDie
  )

/** The options of a client for a test's database. */
export const databaseOptions = (url: string, connections = 10): PgDatabase.Options => ({
  url: Redacted.make(url),
  connections,
  prepare: true
})

/** A migrated database of its own on the real PostgreSQL. */
export const postgres = (version: Version = 18, more: Partial<PgDatabase.Options> = {}) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const options = { ...databaseOptions(yield* freshDatabase(version)), ...more }
      yield* PgDatabase.migrate(options)
      return PgDatabase.layer(options)
    })
  )

/** The repositories on whatever database is given. */
export const repositories = Postgres.layer()

/** The same, which builds without asking the database for anything. */
export const repositoriesUnasked = Layer.mergeAll(
  Layer.effect(ConversationRepo, PgConversationRepo.make(defaultSchema)),
  Layer.effect(DirectCallRepo, PgDirectCallRepo.make(defaultSchema)),
  Layer.effect(TaskTools, PgTaskTools.make(defaultSchema))
)
