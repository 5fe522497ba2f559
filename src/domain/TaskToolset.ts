import { Effect, Option, Schema } from "effect"
import { type TaskOperation, TaskTools } from "../ports/TaskTools.ts"
import type { StorageUnavailable, TaskNotFound, TooManyTasks } from "./model/Errors.ts"
import { Task, TaskDescription, TaskId, TaskStatus, TaskTitle } from "./model/Task.ts"
import { utf8Length } from "./model/Text.ts"
import * as Tool from "./Tool.ts"

/** How many tasks the model is shown at once: a longer list would crowd the talk out of the prompt. */
const listLimit = 100
/**
 * And how many bytes of titles and descriptions: every later turn reads the list again, so the longest tasks that can be
 * would add up to what no row can hold.
 */
const listBytes = 16 * 1024

const taskId = { task_id: TaskId.annotate({ description: "The number of the task" }) }
const description = Schema.optionalKey(Schema.NullOr(TaskDescription).annotate({ description: "Details, if any" }))

const OneTask = Schema.Struct({ task: Task })
const TaskList = Schema.Struct({
  tasks: Schema.Array(Task),
  count: Schema.Int,
  has_more: Schema.optionalKey(Schema.Boolean).annotateKey({ description: "Whether there are more than are listed" })
})

/**
 * The five tools that keep a to-do list, one by one: for those who want some of them, or others beside them. Each is an operation
 * of `TaskTools` and no more.
 *
 * - `maxTasks`: how many tasks a user may have; `null` for no limit
 */
export const make = ({ maxTasks }: { readonly maxTasks: number | null }) => ({
  addTask: taskTool({
    name: "add_task",
    description: "Adds a task to the user's to-do list.",
    title: "Add a task",
    annotations: { destructiveHint: false },
    parameters: Schema.Struct({ title: TaskTitle, description }),
    result: OneTask,
    toOperation: (args) => ({
      _tag: "Add",
      task: { title: args.title, description: args.description || null },
      limit: maxTasks
    }),
    carryOut: (tasks, userId, { limit, task }) => Effect.map(tasks.add(userId, task, limit), oneTask)
  }),
  listTasks: taskTool({
    name: "list_tasks",
    description: "Lists the user's tasks with their numbers.",
    title: "List tasks",
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true },
    parameters: Schema.Struct({ status: Schema.optionalKey(Schema.NullOr(TaskStatus)) }),
    result: TaskList,
    toOperation: (args) => ({ _tag: "List", status: args.status ?? "all", limit: listLimit, bytes: listBytes }),
    carryOut: (tasks, userId, { bytes, limit, status }) =>
      Effect.map(tasks.list(userId, { status, limit, after: Option.none() }), ({ hasMore, items }) => {
        const shown = within(items, bytes)
        const isCut = hasMore || shown.length < items.length
        return { tasks: shown, count: shown.length, ...(isCut && { has_more: true }) }
      })
  }),
  completeTask: taskTool({
    name: "complete_task",
    description: "Marks a task as completed.",
    title: "Complete a task",
    annotations: { destructiveHint: false, idempotentHint: true },
    parameters: Schema.Struct(taskId),
    result: OneTask,
    toOperation: (args) => ({ _tag: "Complete", taskId: args.task_id }),
    carryOut: (tasks, userId, { taskId }) => Effect.map(tasks.complete(userId, taskId), oneTask)
  }),
  updateTask: taskTool({
    name: "update_task",
    description: "Changes the title or the description of a task, or both; at least one must be given.",
    title: "Update a task",
    // What was there before is lost.
    annotations: { destructiveHint: true, idempotentHint: true },
    parameters: Schema.Struct({
      ...taskId,
      title: Schema.optionalKey(Schema.NullOr(TaskTitle)),
      description
    }).pipe(
      Schema.check(
        Schema.makeFilter((args) => typeof args.title === "string" || args.description !== undefined, {
          expected: "a title or a description"
        })
      )
    ),
    result: OneTask,
    toOperation: (args) => ({
      _tag: "Update",
      taskId: args.task_id,
      patch: {
        ...(typeof args.title === "string" && { title: args.title }),
        ...(args.description !== undefined && { description: args.description || null })
      }
    }),
    carryOut: (tasks, userId, { patch, taskId }) => Effect.map(tasks.update(userId, taskId, patch), oneTask)
  }),
  deleteTask: taskTool({
    name: "delete_task",
    description: "Deletes a task for good.",
    title: "Delete a task",
    annotations: { destructiveHint: true, idempotentHint: true },
    parameters: Schema.Struct(taskId),
    result: OneTask,
    toOperation: (args) => ({ _tag: "Remove", taskId: args.task_id }),
    carryOut: (tasks, userId, { taskId }) => Effect.map(tasks.remove(userId, taskId), oneTask)
  })
})

const oneTask = (task: Task) => ({ task })

/** The first of the tasks, as long as their texts are no larger together. */
const within = (tasks: ReadonlyArray<Task>, bytes: number): ReadonlyArray<Task> => {
  let left = bytes
  const end = tasks.findIndex((task) => {
    left -= utf8Length(task.title) + utf8Length(task.description ?? "")
    return left < 0
  })
  return end === -1 ? tasks : tasks.slice(0, end)
}

/** An operation on tasks as a tool. Nothing but the user's own list is touched by one. */
const taskTool = <
  Parameters extends Schema.Codec<object, object>,
  Result extends Schema.Codec<object, object>,
  Operation extends TaskOperation
>(options: {
  readonly name: string
  readonly description: string
  readonly title: string
  readonly annotations: Partial<Tool.ToolAnnotations>
  readonly parameters: Parameters
  readonly result: Result
  readonly toOperation: (args: Parameters["Type"]) => Operation
  readonly carryOut: (
    tasks: TaskTools["Service"],
    userId: Tool.ToolCallContext["userId"],
    operation: Operation
  ) => Effect.Effect<Result["Type"], TaskNotFound | TooManyTasks | StorageUnavailable>
}): Tool.Tool<TaskTools> =>
  Tool.make({
    name: options.name,
    description: options.description,
    annotations: { title: options.title, openWorldHint: false, ...options.annotations },
    parameters: options.parameters,
    result: options.result,
    kind: "transactional",
    operation: (args) => {
      const operation = options.toOperation(args)
      return { operation, refusal: refusalOf(operation) }
    },
    handler: (args, { userId }) =>
      Effect.gen(function* () {
        const tasks = yield* TaskTools
        const operation = options.toOperation(args)
        const impossible = () => new Tool.ToolFailed({ message: refusalOf(operation) })
        return yield* options
          .carryOut(tasks, userId, operation)
          .pipe(Effect.catchTags({ TaskNotFound: impossible, TooManyTasks: impossible }))
      })
  })

/** What the model is told where an operation is not possible. */
const refusalOf = (operation: TaskOperation): string => {
  switch (operation._tag) {
    case "Add":
      return `The limit of ${operation.limit} tasks is reached: one must be deleted before another is added.`
    case "List":
      return "There are no tasks."
    default:
      return `There is no task number ${operation.taskId}.`
  }
}
