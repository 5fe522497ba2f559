import { Effect } from "effect"
import type { Plan } from "../test/support/plans.ts"
import { startPostgres } from "../test/support/postgres.ts"
import { explainEverything } from "../test/support/statements.ts"
import { type Server, startServer, startService } from "./process.ts"
import { withClient } from "./seed.ts"

/** What the parts of the benchmark share. */
export interface Context {
  readonly quick: boolean
  /** A new database on the one server. */
  readonly database: (name: string) => Promise<string>
  readonly dropDatabase: (name: string) => Promise<void>
  /** How everything is carried out that the service ever asks of such a database, once it is filled. */
  readonly explain: (databaseUrl: string) => Promise<ReadonlyArray<Plan>>
  /** The model that answers at once. */
  readonly modelUrl: string
  /** Starts the service on a database, with the model that answers at once unless told otherwise. */
  readonly startTurnkeeper: (
    databaseUrl: string,
    env?: Record<string, string>,
    flags?: ReadonlyArray<string>
  ) => Promise<Server>
  readonly progress: (text: string) => void
  readonly close: () => Promise<void>
}

/** Brings up PostgreSQL and a model. PostgreSQL is as it comes, so that every commit is written to the disk. */
export const makeContext = async (quick: boolean): Promise<Context> => {
  const postgres = await startPostgres(18, true)
  const model = await startServer("bench/model.ts", {})
  const modelUrl = `${model.url}/v1`
  const begun = performance.now()
  return {
    quick,
    database: async (name) => {
      await withClient(postgres.url, (client) => client.query(`create database ${name}`))
      const url = new URL(postgres.url)
      url.pathname = `/${name}`
      return url.href
    },
    dropDatabase: (name) =>
      withClient(postgres.url, async (client) => {
        await client.query(`drop database ${name} with (force)`)
      }),
    explain: (url) => Effect.runPromise(Effect.scoped(explainEverything(postgres, url))),
    modelUrl,
    startTurnkeeper: (databaseUrl, env = {}, flags = []) =>
      startService(
        {
          DATABASE_URL: databaseUrl,
          OPENAI_BASE_URL: modelUrl,
          OPENAI_API_KEY: "bench",
          RATE_LIMIT: "1000000",
          TURNS_AT_ONCE: "1000",
          ...env
        },
        flags
      ),
    progress: (text) => {
      process.stderr.write(`${String(Math.round((performance.now() - begun) / 1000)).padStart(5)} s  ${text}\n`)
    },
    close: async () => {
      await model.stop()
      await postgres.stop()
    }
  }
}
