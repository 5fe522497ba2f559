import { Context, type Effect, type Option } from "effect"
import type { StorageUnavailable, TaskNotFound, TooManyTasks } from "../domain/model/Errors.ts"
import type { NewTask, Task, TaskId, TaskPatch, TaskStatus } from "../domain/model/Task.ts"
import type { UserId } from "../domain/model/User.ts"

/** What to list. */
export interface TaskQuery {
  readonly status: TaskStatus
  /** The greatest number of tasks wanted, from 1. */
  readonly limit: number
  /** Only tasks with a greater id. */
  readonly after: Option.Option<TaskId>
}

/** Tasks by ascending id, and whether there are more behind them. */
export interface TaskPage {
  readonly items: ReadonlyArray<Task>
  readonly hasMore: boolean
}

/** An operation that the agent may ask for, as a value. */
export type TaskOperation =
  | {
      readonly _tag: "Add"
      readonly task: NewTask
      /** The greatest number of tasks that the user may have then; `null` for no limit. */
      readonly limit: number | null
    }
  | {
      readonly _tag: "List"
      readonly status: TaskStatus
      /** The greatest number of tasks. */
      readonly limit: number
      /** The greatest number of bytes that their titles and descriptions have together, as UTF-8. */
      readonly bytes: number
    }
  | { readonly _tag: "Complete"; readonly taskId: TaskId }
  /** A title in it is not empty, as none of a task is. */
  | { readonly _tag: "Update"; readonly taskId: TaskId; readonly patch: Pick<TaskPatch, "title" | "description"> }
  | { readonly _tag: "Remove"; readonly taskId: TaskId }

/**
 * A user's to-do list.
 *
 * Every operation sees and changes the given user's tasks only, is all or nothing, and joins the transaction of
 * `ConversationRepo.step` when it runs inside one. Each fails with `StorageUnavailable` when the store is out of reach.
 */
export class TaskTools extends Context.Service<
  TaskTools,
  {
    /**
     * Adds a task under the user's next number; a number is never used again, whatever is removed. Fails with `TooManyTasks`
     * when the user has `limit` of them already (`null` for no limit), however many are added at the same moment.
     */
    readonly add: (
      userId: UserId,
      task: NewTask,
      limit: number | null
    ) => Effect.Effect<Task, TooManyTasks | StorageUnavailable>
    /** Lists tasks by ascending id. */
    readonly list: (userId: UserId, query: TaskQuery) => Effect.Effect<TaskPage, StorageUnavailable>
    /** One task. Fails with `TaskNotFound` when the user has none of this number. */
    readonly get: (userId: UserId, taskId: TaskId) => Effect.Effect<Task, TaskNotFound | StorageUnavailable>
    /** Marks a task as completed; one that is completed already stays so. Fails with `TaskNotFound`. */
    readonly complete: (userId: UserId, taskId: TaskId) => Effect.Effect<Task, TaskNotFound | StorageUnavailable>
    /** Changes what the patch names, and when it was changed; answers the whole task. Fails with `TaskNotFound`. */
    readonly update: (
      userId: UserId,
      taskId: TaskId,
      patch: TaskPatch
    ) => Effect.Effect<Task, TaskNotFound | StorageUnavailable>
    /** Removes a task, and answers what it was. Fails with `TaskNotFound`. */
    readonly remove: (userId: UserId, taskId: TaskId) => Effect.Effect<Task, TaskNotFound | StorageUnavailable>
  }
>()("turnkeeper/ports/TaskTools") {}
