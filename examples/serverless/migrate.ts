import { Config, Effect } from "effect"
import { PgDatabase } from "turnkeeper/postgres"
import { database } from "./database.ts"

await Effect.runPromise(Effect.flatMap(Config.unwrap(database), PgDatabase.migrate))
