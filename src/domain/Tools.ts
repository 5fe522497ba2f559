import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import type { CallResult, FoldedCall } from "../ports/ConversationRepo.ts"
import type { ToolDefinition } from "../ports/LLM.ts"
import { type TaskOperation, TaskTools } from "../ports/TaskTools.ts"
import type { StorageUnavailable, TaskNotFound, TooManyTasks } from "./model/Errors.ts"
import { Task, TaskDescription, TaskId, TaskStatus, TaskTitle } from "./model/Task.ts"
import { toStorable, utf8Length } from "./model/Text.ts"
import type { UserId } from "./model/User.ts"
import { Settings } from "./Settings.ts"

/** How many tasks the model is shown at once: a longer list would crowd the talk out of the prompt. */
const listLimit = 100
/**
 * And how many bytes of titles and descriptions: every later turn reads the list again, so the longest tasks that can be
 * would add up to what no row can hold.
 */
const listBytes = 16 * 1024

/** The longest arguments that are looked at: several times what the longest task needs. */
const argumentsLimit = 64 * 1024

/** A tool call that can be carried out. */
export interface PreparedCall {
  /** Carries it out. Whatever the model wrote, there is a result; only a store out of reach fails. */
  readonly execute: Effect.Effect<CallResult, StorageUnavailable>
  /** The same as a value, where it is no more than an operation on tasks, or was refused. Whoever changes `execute` drops it. */
  readonly folded?: FoldedCall
}

/** The tools of the agent: what the model is told of them, and how a call of one is carried out. */
export class Tools extends Context.Service<
  Tools,
  {
    readonly definitions: ReadonlyArray<ToolDefinition>
    /** What the folded form of the calls is carried out by. */
    readonly tasks: TaskTools["Service"]
    /**
     * Prepares a call for a user. What cannot be done is told to the model.
     *
     * - `name`: as the model wrote it, known or not
     * - `args`: as the model wrote it, JSON or not
     */
    readonly prepare: (userId: UserId, name: string, args: string) => PreparedCall
  }
>()("turnkeeper/domain/Tools") {}

const taskId = { task_id: TaskId.annotate({ description: "The number of the task" }) }
const description = Schema.optionalKey(Schema.NullOr(TaskDescription).annotate({ description: "Details, if any" }))

/** The five tools that keep a to-do list, on `TaskTools`. */
export const layer: Layer.Layer<Tools, never, TaskTools> = Layer.effect(
  Tools,
  Effect.gen(function* () {
    const tasks = yield* TaskTools
    const { maxTasks } = yield* Settings
    const tools = [
      tool(
        "add_task",
        "Adds a task to the user's to-do list.",
        Schema.Struct({ title: TaskTitle, description }),
        (args) => ({
          _tag: "Add",
          task: { title: args.title, description: args.description || null },
          limit: maxTasks
        })
      ),
      tool(
        "list_tasks",
        "Lists the user's tasks with their numbers.",
        Schema.Struct({ status: Schema.optionalKey(Schema.NullOr(TaskStatus)) }),
        (args) => ({ _tag: "List", status: args.status ?? "all", limit: listLimit, bytes: listBytes })
      ),
      tool("complete_task", "Marks a task as completed.", Schema.Struct(taskId), (args) => ({
        _tag: "Complete",
        taskId: args.task_id
      })),
      tool(
        "update_task",
        "Changes the title or the description of a task, or both; at least one must be given.",
        Schema.Struct({
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
        (args) => ({
          _tag: "Update",
          taskId: args.task_id,
          patch: {
            ...(typeof args.title === "string" && { title: args.title }),
            ...(args.description !== undefined && { description: args.description || null })
          }
        })
      ),
      tool("delete_task", "Deletes a task for good.", Schema.Struct(taskId), (args) => ({
        _tag: "Remove",
        taskId: args.task_id
      }))
    ]
    const byName = new Map(tools.map((tool) => [tool.definition.name, tool]))

    return Tools.of({
      definitions: tools.map((tool) => tool.definition),
      tasks,
      prepare: (userId, name, args) => {
        const known = byName.get(name)
        if (known === undefined) return refused(refusal(`There is no tool named ${name.slice(0, 64)}.`))
        if (!isSensible(args)) return refused(refusal("The arguments are too large."))
        const decoded = known.decode(args.trim() === "" ? "{}" : args)
        if (Result.isFailure(decoded)) {
          return refused(refusal(`The arguments do not fit: ${decoded.failure}`.slice(0, 500)))
        }
        const operation = decoded.success
        const impossible = refusalOf(operation)
        return {
          execute: Effect.suspend(() => carryOut(tasks, userId, operation)).pipe(
            Effect.catchTags({
              TaskNotFound: () => Effect.succeed(impossible),
              TooManyTasks: () => Effect.succeed(impossible)
            })
          ),
          folded: { _tag: "Task", operation, refusal: impossible }
        }
      }
    })
  })
)

const decodeArguments = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))

/**
 * The arguments of a call as they are stored: as the model wrote them, if that is a JSON object of sensible size and
 * depth, else `{}`.
 */
export const storableArguments = (args: string): string => {
  const text = toStorable(args)
  return isSensible(text) && Result.isSuccess(decodeArguments(text)) ? text : "{}"
}

const isSensible = (args: string): boolean => args.length <= argumentsLimit && nesting(args) <= 32

/** What the model is told when a call was not carried out. */
export const refusal = (error: string): CallResult => ({
  status: "error",
  result: JSON.stringify({ success: false, error: toStorable(error) })
})

/** A call that is not carried out, and what the model is told instead. */
export const refused = (result: CallResult): PreparedCall => ({
  execute: Effect.succeed(result),
  folded: { _tag: "Known", result }
})

/** What the model is told where an operation is not possible. */
const refusalOf = (operation: TaskOperation): CallResult => {
  switch (operation._tag) {
    case "Add":
      return refusal(`The limit of ${operation.limit} tasks is reached: one must be deleted before another is added.`)
    case "List":
      return neverRefused
    default:
      return refusal(`There is no task number ${operation.taskId}.`)
  }
}

const neverRefused = refusal("There are no tasks.")

const success = (result: object): CallResult => ({
  status: "success",
  result: JSON.stringify({ success: true, ...result })
})

const encodeTask = Schema.encodeSync(Task)
const oneTask = (task: Task) => success({ task: encodeTask(task) })

/** Carries an operation out, and tells its result in the form that `FoldedCall` lays down. */
const carryOut = (
  tasks: TaskTools["Service"],
  userId: UserId,
  operation: TaskOperation
): Effect.Effect<CallResult, TaskNotFound | TooManyTasks | StorageUnavailable> => {
  switch (operation._tag) {
    case "Add":
      return Effect.map(tasks.add(userId, operation.task, operation.limit), oneTask)
    case "List":
      return Effect.map(
        tasks.list(userId, { status: operation.status, limit: operation.limit, after: Option.none() }),
        ({ hasMore, items }) => {
          const shown = within(items, operation.bytes)
          return success({
            tasks: shown.map((task) => encodeTask(task)),
            count: shown.length,
            ...((hasMore || shown.length < items.length) && { has_more: true })
          })
        }
      )
    case "Complete":
      return Effect.map(tasks.complete(userId, operation.taskId), oneTask)
    case "Update":
      return Effect.map(tasks.update(userId, operation.taskId, operation.patch), oneTask)
    case "Remove":
      return Effect.map(tasks.remove(userId, operation.taskId), oneTask)
  }
}

/** The first of the tasks, as long as their texts are no larger together. */
const within = (tasks: ReadonlyArray<Task>, bytes: number): ReadonlyArray<Task> => {
  let left = bytes
  const end = tasks.findIndex((task) => {
    left -= utf8Length(task.title) + utf8Length(task.description ?? "")
    return left < 0
  })
  return end === -1 ? tasks : tasks.slice(0, end)
}

/** The greatest depth of brackets, those in strings included: an estimate from above. */
const nesting = (text: string): number => {
  let depth = 0
  let deepest = 0
  for (const character of text) {
    if (character === "[" || character === "{") deepest = Math.max(deepest, ++depth)
    else if (character === "]" || character === "}") depth--
  }
  return deepest
}

const tool = <S extends Schema.Codec<unknown, unknown>>(
  name: string,
  description: string,
  parameters: S,
  toOperation: (args: S["Type"]) => TaskOperation
): {
  readonly definition: ToolDefinition
  /** The operation that the arguments ask for; or why they do not fit. */
  readonly decode: (args: string) => Result.Result<TaskOperation, string>
} => {
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(parameters))
  return {
    definition: {
      name,
      description,
      parameters: { ...Schema.toJsonSchemaDocument(parameters).schema, additionalProperties: false }
    },
    decode: (args) => Result.mapBoth(decode(args), { onFailure: (error) => error.message, onSuccess: toOperation })
  }
}
