/**
 * Conversations and tasks in PostgreSQL, by a client of the application or by one of its own.
 *
 * @module turnkeeper/postgres
 */
export * as PgDatabase from "../adapters/postgres/PgDatabase.ts"
export * as Postgres from "../adapters/postgres/Postgres.ts"
