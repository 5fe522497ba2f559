import { Schema } from "effect"
import { StoredText } from "./Bounds.ts"
import { isStorable, TrimmedText } from "./Text.ts"

/** The number of a task: it counts up per user from 1, is never used again, and is what people say ("mark task 1 as done"). */
export const TaskId = Schema.Int.pipe(
  Schema.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 })),
  Schema.brand("turnkeeper/TaskId")
)
export type TaskId = typeof TaskId.Type

/** A task's title: 1 to 255 code points after trimming. */
export const TaskTitle = TrimmedText(1, 255)

/** A task's description: up to 2,000 code points. */
export const TaskDescription = Schema.String.pipe(
  Schema.check(
    Schema.isMaxCodePoints(2000),
    Schema.makeFilter(isStorable, { expected: "well-formed Unicode without NUL characters" })
  )
)

/** An entry of a user's to-do list. Its encoded form is the JSON that clients and the model see. */
export const Task = Schema.Struct({
  id: TaskId,
  title: StoredText({ minLength: 1, maxLength: 255 }),
  description: Schema.NullOr(StoredText({ maxLength: 2000 })),
  completed: Schema.Boolean,
  createdAt: Schema.DateTimeUtcFromString,
  updatedAt: Schema.DateTimeUtcFromString
}).pipe(Schema.encodeKeys({ createdAt: "created_at", updatedAt: "updated_at" }))
export type Task = typeof Task.Type

/** Which tasks a list shows. */
export const TaskStatus = Schema.Literals(["all", "pending", "completed"])
export type TaskStatus = typeof TaskStatus.Type

/** What a new task is made of. */
export interface NewTask {
  readonly title: string
  readonly description: string | null
}

/** What of a task is to change; a description of `null` clears it, an absent property stays as it is. */
export interface TaskPatch {
  readonly title?: string
  readonly description?: string | null
  readonly completed?: boolean
}
