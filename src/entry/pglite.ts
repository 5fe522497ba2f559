/** A PostgreSQL within the process, for what `turnkeeper/postgres` offers. */
export * as PgliteDatabase from "../adapters/pglite/PgliteDatabase.ts"
