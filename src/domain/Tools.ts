import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import type { CallResult } from "../ports/ConversationRepo.ts"
import type { ToolDefinition } from "../ports/LLM.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import type { StorageUnavailable, TaskNotFound } from "./model/Errors.ts"
import { Task, TaskDescription, TaskId, TaskStatus, TaskTitle } from "./model/Task.ts"
import { toStorable } from "./model/Text.ts"
import type { UserId } from "./model/User.ts"

/** How many tasks the model is shown at once: a longer list would crowd the talk out of the prompt. */
const listLimit = 100

/** The longest arguments that are looked at: several times what the longest task needs. */
const argumentsLimit = 64 * 1024

/** The tools of the agent: what the model is told of them, and how a call of one is carried out. */
export class Tools extends Context.Service<
  Tools,
  {
    readonly definitions: ReadonlyArray<ToolDefinition>
    /**
     * Carries a call out for a user. Whatever the model wrote, there is a result: what cannot be done is told to the
     * model, and only a store out of reach fails.
     *
     * - `name`: as the model wrote it, known or not
     * - `args`: as the model wrote it, JSON or not
     */
    readonly execute: (userId: UserId, name: string, args: string) => Effect.Effect<CallResult, StorageUnavailable>
  }
>()("turnkeeper/domain/Tools") {}

/** The five tools that keep a to-do list, on `TaskTools`. */
export const layer: Layer.Layer<Tools, never, TaskTools> = Layer.effect(
  Tools,
  Effect.gen(function* () {
    const tasks = yield* TaskTools
    const taskId = { task_id: TaskId.annotate({ description: "The number of the task" }) }
    const description = Schema.optionalKey(Schema.NullOr(TaskDescription).annotate({ description: "Details, if any" }))

    const tools = [
      tool(
        "add_task",
        "Adds a task to the user's to-do list.",
        Schema.Struct({ title: TaskTitle, description }),
        (userId, args) =>
          Effect.map(tasks.add(userId, { title: args.title, description: args.description || null }), oneTask)
      ),
      tool(
        "list_tasks",
        "Lists the user's tasks with their numbers.",
        Schema.Struct({ status: Schema.optionalKey(Schema.NullOr(TaskStatus)) }),
        (userId, args) =>
          Effect.map(
            tasks.list(userId, { status: args.status ?? "all", limit: listLimit, after: Option.none() }),
            (page) => ({
              tasks: page.items.map((task) => encodeTask(task)),
              count: page.items.length,
              ...(page.hasMore && { has_more: true })
            })
          )
      ),
      tool("complete_task", "Marks a task as completed.", Schema.Struct(taskId), (userId, args) =>
        Effect.map(tasks.complete(userId, args.task_id), oneTask)
      ),
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
        (userId, args) =>
          Effect.map(
            tasks.update(userId, args.task_id, {
              ...(typeof args.title === "string" && { title: args.title }),
              ...(args.description !== undefined && { description: args.description || null })
            }),
            oneTask
          )
      ),
      tool("delete_task", "Deletes a task for good.", Schema.Struct(taskId), (userId, args) =>
        Effect.map(tasks.remove(userId, args.task_id), oneTask)
      )
    ]
    const byName = new Map(tools.map((tool) => [tool.definition.name, tool]))

    return Tools.of({
      definitions: tools.map((tool) => tool.definition),
      execute: (userId, name, args) => {
        const known = byName.get(name)
        if (known === undefined) return Effect.succeed(refusal(`There is no tool named ${name.slice(0, 64)}.`))
        if (!isSensible(args)) return Effect.succeed(refusal("The arguments are too large."))
        return known.execute(userId, args.trim() === "" ? "{}" : args)
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

const encodeTask = Schema.encodeSync(Task)

const oneTask = (task: Task) => ({ task: encodeTask(task) })

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
  run: (userId: UserId, args: S["Type"]) => Effect.Effect<object, TaskNotFound | StorageUnavailable>
): {
  readonly definition: ToolDefinition
  readonly execute: (userId: UserId, args: string) => Effect.Effect<CallResult, StorageUnavailable>
} => {
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(parameters))
  return {
    definition: {
      name,
      description,
      parameters: { ...Schema.toJsonSchemaDocument(parameters).schema, additionalProperties: false }
    },
    execute: (userId, args) => {
      const decoded = decode(args)
      return Result.isFailure(decoded)
        ? Effect.succeed(refusal(`The arguments do not fit: ${decoded.failure.message}`.slice(0, 500)))
        : run(userId, decoded.success).pipe(
            Effect.map(
              (result): CallResult => ({
                status: "success",
                result: JSON.stringify({ success: true, ...result })
              })
            ),
            Effect.catchTag("TaskNotFound", (error) =>
              Effect.succeed(refusal(`There is no task number ${error.taskId}.`))
            )
          )
    }
  }
}
