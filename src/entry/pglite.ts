/**
 * A PostgreSQL within the process, for what `turnkeeper/postgres` offers.
 *
 * @module turnkeeper/pglite
 */
export * as PgliteDatabase from "../adapters/pglite/PgliteDatabase.ts"
