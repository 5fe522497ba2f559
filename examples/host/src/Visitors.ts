import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient, type SqlError, SqlSchema } from "effect/sql"
import { User } from "turnkeeper"

/** A day, as `2026-01-31`. */
export const Day = Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/, { expected: "a day, as 2026-01-31" }))

/** Somebody who is expected at the front desk. */
export const Visitor = Schema.Struct({ id: Schema.Int, name: Schema.String, day: Day })
export type Visitor = typeof Visitor.Type

const NewVisitor = Schema.Struct({ name: Schema.String, day: Day, announcedBy: User.UserId })

/** Who is expected at the front desk. */
export class Visitors extends Context.Service<
  Visitors,
  {
    /** Adds a visitor; two of one name on one day are two visitors. Joins the transaction that is under way, if there is one. */
    readonly announce: (visitor: typeof NewVisitor.Type) => Effect.Effect<Visitor, SqlError.SqlError>
    /** Whom this person has announced, in that order. */
    readonly announcedBy: (person: User.UserId) => Effect.Effect<ReadonlyArray<Visitor>, SqlError.SqlError>
  }
>()("front-desk/Visitors") {}

export const layer = Layer.effect(
  Visitors,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const insert = SqlSchema.findOne({
      Request: NewVisitor,
      Result: Visitor,
      execute: (visitor) => sql`insert into visitors ${sql.insert(visitor)} returning id, name, day::text`
    })
    const select = SqlSchema.findAll({
      Request: User.UserId,
      Result: Visitor,
      execute: (person) => sql`select id, name, day::text from visitors where announced_by = ${person} order by id`
    })

    const announce = Effect.fn("Visitors.announce")(
      insert,
      Effect.catchTags({ NoSuchElementError: Effect.die, SchemaError: Effect.die })
    )
    const announcedBy = Effect.fn("Visitors.announcedBy")(select, Effect.catchTag("SchemaError", Effect.die))

    return Visitors.of({ announce, announcedBy })
  })
)
