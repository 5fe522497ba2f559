import { Array, type DateTime, Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { type StorageUnavailable, TaskNotFound, TooManyTasks } from "../../domain/model/Errors.ts"
import { type Task, TaskId } from "../../domain/model/Task.ts"
import { TaskTools } from "../../ports/TaskTools.ts"
import { asStorage, retryLocks } from "./errors.ts"
import { clientOf, type SchemaName } from "./Schema.ts"

const Row = Schema.Struct({
  id: TaskId,
  title: Schema.String,
  description: Schema.NullOr(Schema.String),
  completed: Schema.Boolean,
  created_at: Schema.DateTimeUtcFromDate,
  updated_at: Schema.DateTimeUtcFromDate
})
const decodeRows = Schema.decodeUnknownSync(Schema.Array(Row))

const toTask = (row: {
  readonly id: TaskId
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
  readonly created_at: DateTime.Utc
  readonly updated_at: DateTime.Utc
}): Task => ({
  id: row.id,
  title: row.title,
  description: row.description,
  completed: row.completed,
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

const toTasks = (rows: unknown): ReadonlyArray<Task> => decodeRows(rows).map(toTask)

/** Where these services keep their tasks. */
const places = new WeakMap<TaskTools["Service"], Place>()

interface Place {
  readonly sql: SqlClient.SqlClient
  readonly schema: SchemaName
}

/** Whether a service is this adapter's, as it is, in that schema by that client: then its operations may be done in any statement there. */
export const isTaskToolsAt = (tasks: TaskTools["Service"], { schema, sql }: Place): boolean => {
  const place = places.get(tasks)
  // A client that renames columns and the same one that does not share their transactions.
  return place?.sql.transactionService === sql.transactionService && place.schema === schema
}

/** `TaskTools` on PostgreSQL: each operation is one statement, which joins the transaction of the fiber if there is one. */
export const make = (schema: SchemaName): Effect.Effect<TaskTools["Service"], never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { own, sql } = yield* clientOf(schema)
    const columns = sql.literal("id, title, description, completed, created_at, updated_at")

    const one = (operation: string) => {
      const storage = asStorage(operation)
      return (
        taskId: TaskId,
        statement: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>
      ): Effect.Effect<Task, TaskNotFound | StorageUnavailable> =>
        Effect.flatMap(storage(Effect.map(retryLocks(statement), toTasks)), (tasks) =>
          Effect.mapError(Effect.fromOption(Array.head(tasks)), () => new TaskNotFound({ taskId }))
        )
    }
    const oneGot = one("TaskTools.get")
    const oneCompleted = one("TaskTools.complete")
    const oneUpdated = one("TaskTools.update")
    const oneRemoved = one("TaskTools.remove")

    const tasks = TaskTools.of({
      add: (userId, task, limit) =>
        sql`select ${columns} from ${own}task_add(${userId}, ${task.title}, ${task.description}::text, ${limit}::int)`.pipe(
          retryLocks,
          Effect.map(toTasks),
          asStorage("TaskTools.add"),
          Effect.flatMap((tasks) =>
            Effect.mapError(Effect.fromOption(Array.head(tasks)), () => new TooManyTasks({ limit: limit ?? 0 }))
          )
        ),
      list: (userId, query) =>
        sql`select ${columns} from ${own}tasks where user_id = ${userId} and id > ${Option.getOrElse(
          query.after,
          () => 0
        )}::int ${query.status === "all" ? sql.literal("") : sql`and completed = ${query.status === "completed"}`}
          order by id limit ${query.limit + 1}::int`.pipe(
          Effect.map((rows) => ({
            items: toTasks(rows.slice(0, query.limit)),
            hasMore: rows.length > query.limit
          })),
          asStorage("TaskTools.list")
        ),
      get: (userId, taskId) =>
        oneGot(taskId, sql`select ${columns} from ${own}tasks where user_id = ${userId} and id = ${taskId}::int`),
      complete: (userId, taskId) =>
        oneCompleted(taskId, sql`select ${columns} from ${own}task_complete(${userId}, ${taskId}::int)`),
      update: (userId, taskId, patch) =>
        oneUpdated(
          taskId,
          sql`select ${columns} from ${own}task_update(${userId}, ${taskId}::int, ${patch.title ?? null}::text,
            ${patch.description !== undefined}::boolean, ${patch.description ?? null}::text,
            ${patch.completed ?? null}::boolean)`
        ),
      remove: (userId, taskId) =>
        oneRemoved(taskId, sql`select ${columns} from ${own}task_remove(${userId}, ${taskId}::int)`)
    })
    places.set(tasks, { sql, schema })
    return tasks
  })
