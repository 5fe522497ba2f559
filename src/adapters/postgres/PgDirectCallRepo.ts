import { Effect, Option, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { IdempotencyKey } from "../../domain/model/Turn.ts"
import type { UserId } from "../../domain/model/User.ts"
import type { CallResult } from "../../ports/ConversationRepo.ts"
import {
  type CallBegun,
  type Carried,
  DirectCallRepo,
  type KeyedCall,
  type KeyRefused
} from "../../ports/DirectCallRepo.ts"
import { asStorage, isConflict, retryLocks, sqlDefectsAsFailures } from "./errors.ts"
import { clientOf, outsideOfTransactions, type SchemaName } from "./Schema.ts"

const Result = { call_status: Schema.Literals(["success", "error"]), call_result: Schema.String }
const decodeBegun = Schema.decodeUnknownSync(
  Schema.Tuple([
    Schema.Union([
      Schema.Struct({ outcome: Schema.Literal("begun"), call_id: Schema.String }),
      Schema.Struct({ outcome: Schema.Literal("carried"), ...Result }),
      Schema.Struct({ outcome: Schema.Literals(["reused", "too_many"]) })
    ])
  ])
)
const decodeFinished = Schema.decodeUnknownSync(Schema.Array(Schema.Struct(Result)))

const toBegun = (rows: ReadonlyArray<unknown>): CallBegun | Carried | KeyRefused => {
  const [row] = decodeBegun(rows)
  switch (row.outcome) {
    case "begun":
      return { _tag: "Begun", callId: row.call_id }
    case "carried":
      return { _tag: "Carried", result: { status: row.call_status, result: row.call_result } }
    case "reused":
      return { _tag: "KeyReused" }
    case "too_many":
      return { _tag: "TooManyKeys" }
  }
}

const withoutKey = { key: null, fingerprint: "", callId: "00000000-0000-0000-0000-000000000000", keysAtMost: 0 }

/** `DirectCallRepo` on PostgreSQL, beside `PgConversationRepo` on the same client. */
export const make = (schema: SchemaName): Effect.Effect<DirectCallRepo["Service"], never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { own, sql } = yield* clientOf(schema)

    // It sets time limits of its own, and its key is known to others only once it is committed.
    const outside = outsideOfTransactions(
      sql,
      "A call cannot be carried out inside of the application's own transaction, which would be left with its time limits"
    )

    /** `inside`: as the beginning of a transaction, which the call is then. */
    const begin = (userId: UserId, keyed: Option.Option<KeyedCall>, inside: boolean) => {
      const { callId, fingerprint, key, keysAtMost } = Option.getOrElse(keyed, () => withoutKey)
      return Effect.map(
        sql`select * from ${own}direct_call_begin(${userId}, ${key}::text, ${fingerprint}, ${callId}::uuid, ${keysAtMost}::int,
          ${inside}::boolean)`,
        toBegun
      )
    }

    const finish = (userId: UserId, key: IdempotencyKey, callId: string, result: CallResult) =>
      Effect.map(
        sql`select * from ${own}direct_call_finish(${userId}, ${key}, ${callId}::uuid, ${result.status}, ${result.result})`,
        (rows): CallResult => {
          const [row] = decodeFinished(rows)
          return row === undefined ? result : { status: row.call_status, result: row.call_result }
        }
      )

    return DirectCallRepo.of({
      perform: (userId, keyed, execute) =>
        sql
          .withTransaction(
            Effect.gen(function* () {
              const begun = yield* begin(userId, keyed, true)
              if (begun._tag !== "Begun") return begun
              const result = yield* execute
              return {
                _tag: "Carried",
                result: Option.isSome(keyed) ? yield* finish(userId, keyed.value.key, begun.callId, result) : result
              } as const
            })
          )
          .pipe(
            sqlDefectsAsFailures,
            Effect.retry({ times: 5, while: isConflict }),
            asStorage("DirectCallRepo.perform"),
            outside
          ),
      begin: (userId, keyed) =>
        begin(userId, Option.some(keyed), false).pipe(retryLocks, asStorage("DirectCallRepo.begin"), outside),
      finish: (userId, key, callId, result) =>
        finish(userId, key, callId, result).pipe(retryLocks, asStorage("DirectCallRepo.finish"), outside),
      sweep: (afterMillis) =>
        sql`delete from ${own}direct_calls where created_at < now() - ${afterMillis}::float8 * interval '1 millisecond'`.pipe(
          Effect.asVoid,
          asStorage("DirectCallRepo.sweep")
        )
    })
  })
