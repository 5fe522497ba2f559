/** Conversations, tasks and direct calls in PostgreSQL, on a client of the application or on one of its own. */
export * as PgConversationRepo from "../adapters/postgres/PgConversationRepo.ts"
export * as PgDatabase from "../adapters/postgres/PgDatabase.ts"
export * as PgDirectCallRepo from "../adapters/postgres/PgDirectCallRepo.ts"
export * as PgTaskTools from "../adapters/postgres/PgTaskTools.ts"
