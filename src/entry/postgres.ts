/** Conversations and tasks in PostgreSQL, on a client of the application or on one of its own. */
export * as PgConversationRepo from "../adapters/postgres/PgConversationRepo.ts"
export * as PgDatabase from "../adapters/postgres/PgDatabase.ts"
export * as PgTaskTools from "../adapters/postgres/PgTaskTools.ts"
