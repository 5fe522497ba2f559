import { Config } from "effect"

/** Many instances share what connections there are; behind a pooler in transaction mode nothing can be prepared. */
export const database = {
  url: Config.Redacted("DATABASE_URL"),
  connections: Config.succeed(2),
  prepare: Config.succeed(false)
}
