import { Context, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"

const simpleName = /^(?!pg_|information_schema$)[A-Za-z_][A-Za-z0-9_]{0,39}$/
const simpleWords =
  "1 to 40 characters of A-Z a-z 0-9 _, not beginning with a digit or with pg_, and not information_schema"

/** The name of a schema: what needs no quotes, case aside, and short enough for the channel that is named by it. */
export const SchemaName = Schema.String.check(
  Schema.makeFilter((name) => simpleName.test(name), { expected: simpleWords })
).pipe(Schema.brand("turnkeeper/SchemaName"))
export type SchemaName = typeof SchemaName.Type

/** The schema in which everything is, where none is named. */
export const defaultSchema = SchemaName.make("turnkeeper")

/** No schema can be named so. */
export class SchemaInvalid extends Schema.TaggedError<SchemaInvalid>()("SchemaInvalid", { schema: Schema.String }) {
  override get message() {
    return `"${this.schema}" is no name for a schema: ${simpleWords}`
  }
}

const decode = Schema.decodeUnknownEffect(SchemaName)

/** The schema that an application has named, or the default. */
export const schemaOf = (schema: string | undefined): Effect.Effect<SchemaName, SchemaInvalid> =>
  schema === undefined
    ? Effect.succeed(defaultSchema)
    : Effect.mapError(decode(schema), () => new SchemaInvalid({ schema }))

/** The channel on which instances that share a schema tell each other of turns, as the functions of `migrations.ts` name it. */
export const channelOf = (schema: SchemaName): string => `turnkeeper_turns.${schema}`

/**
 * The application's client, and what a name is preceded by in its statements so that it is the one in that schema, whatever the
 * connection's `search_path` is. Columns come as they are called: an application may have them renamed for its own statements.
 */
export const clientOf = (schema: SchemaName) =>
  Effect.map(SqlClient.SqlClient, (given) => {
    const sql = given.withoutTransforms()
    return { sql, own: sql.literal(`"${schema}".`) }
  })

/** Has work done outside of any transaction of the application's by that client; inside of one it dies, and says why. */
export const outsideOfTransactions =
  (sql: SqlClient.SqlClient, reason: string) =>
  <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) =>
      Option.isSome(Context.getOption(fiber.context, sql.transactionService)) ? Effect.die(new Error(reason)) : work
    )
