import { Context, Duration, Effect, Layer, Option, Result, Schema } from "effect"
import { type CallResult, ConversationRepo, type FoldedCall } from "../ports/ConversationRepo.ts"
import { type TaskOperation, TaskTools } from "../ports/TaskTools.ts"
import { StorageUnavailable, type TaskNotFound, type TooManyTasks } from "./model/Errors.ts"
import { Task, TaskDescription, TaskId, TaskStatus, TaskTitle } from "./model/Task.ts"
import { nesting, toStorable, utf8Length } from "./model/Text.ts"
import type { UserId } from "./model/User.ts"
import { Settings } from "./Settings.ts"
import {
  annotationsOf,
  type Tool,
  type ToolAnnotations,
  type ToolDescription,
  ToolFailed,
  toOutput,
  toParameters
} from "./Tool.ts"

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
  /** Whether it works outside of the step's transaction, and so before it. */
  readonly isExternal: boolean
  /** Carries it out. Whatever the model wrote, there is a result; only a store out of reach fails. */
  readonly execute: Effect.Effect<CallResult, StorageUnavailable>
  /** The same as a value, where it is no more than an operation on tasks, or was refused. Whoever changes `execute` drops it. */
  readonly folded?: FoldedCall
}

/** The tools of the agent: what the model is told of them, and how a call of one is carried out. */
export class Tools extends Context.Service<
  Tools,
  {
    readonly definitions: ReadonlyArray<ToolDescription>
    /** What the folded form of calls is carried out by, if the agent has the tools for tasks. */
    readonly tasks: TaskTools["Service"] | undefined
    /**
     * Prepares a call for a user. What cannot be done is told to the model.
     *
     * - `name`: as the model wrote it, known or not
     * - `args`: as the model wrote it, JSON or not
     * - `key`: the call's own, however often it is carried out
     */
    readonly prepare: (userId: UserId, name: string, args: string, key: string) => PreparedCall
  }
>()("turnkeeper/domain/Tools") {}

/** Tools that no agent can have together, or at all. */
export class ToolsInvalid extends Schema.TaggedError<ToolsInvalid>()("ToolsInvalid", {
  problems: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The tools are wrong:\n${this.problems.map((problem) => `  - ${problem}`).join("\n")}`
  }
}

/** A tool that calls can be prepared of; or why the arguments do not fit. */
interface KnownTool {
  readonly definition: ToolDescription
  readonly prepare: (userId: UserId, args: string, key: string) => Result.Result<PreparedCall, string>
}

/** Tools that need different services, by what each of them needs. */
type OwnTools<Services extends ReadonlyArray<unknown>> = { readonly [K in keyof Services]: Tool<Services[K]> }

/** The five tools that keep a to-do list, on `TaskTools`. */
export const layer: Layer.Layer<Tools, never, ConversationRepo | TaskTools> = Layer.effect(
  Tools,
  Effect.gen(function* () {
    return yield* Effect.orDie(register<never>([], yield* TaskTools))
  })
)

/**
 * An application's own tools, without the five. Fails with `ToolsInvalid`, which tells all that is wrong at once: a name twice,
 * a name that the OpenAI API refuses, parameters that have no JSON Schema.
 */
export const layerOf = <Services extends ReadonlyArray<unknown>>(
  ...tools: OwnTools<Services>
): Layer.Layer<Tools, ToolsInvalid, ConversationRepo | Services[number]> =>
  Layer.effect(Tools, register<Services[number]>(tools, undefined))

/** An application's own tools beside the five. */
export const layerWith = <Services extends ReadonlyArray<unknown>>(
  ...tools: OwnTools<Services>
): Layer.Layer<Tools, ToolsInvalid, ConversationRepo | TaskTools | Services[number]> =>
  Layer.effect(
    Tools,
    Effect.gen(function* () {
      return yield* register<Services[number]>(tools, yield* TaskTools)
    })
  )

const register = <R>(
  own: ReadonlyArray<Tool<R>>,
  tasks: TaskTools["Service"] | undefined
): Effect.Effect<Tools["Service"], ToolsInvalid, ConversationRepo | R> =>
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const services = yield* Effect.context<R>()
    const { maxTasks } = yield* Settings
    const problems: Array<string> = []
    const tools = new Map<string, KnownTool>()
    const add = (name: string, toTool: () => KnownTool): void => {
      if (!toolName.test(name)) problems.push(`"${name}" is no name: 1 to 64 characters of A-Z a-z 0-9 _ -`)
      if (tools.has(name)) problems.push(`"${name}" is there twice`)
      const made = Result.try({ try: toTool, catch: String })
      if (Result.isSuccess(made)) tools.set(name, made.success)
      else problems.push(`"${name}" has parameters without a JSON Schema: ${made.failure}`)
    }
    if (tasks !== undefined) for (const tool of taskTools(tasks, maxTasks)) add(tool.definition.name, () => tool)
    for (const tool of own) add(tool.name, () => ownTool(repo, tool, services))
    if (problems.length > 0) return yield* new ToolsInvalid({ problems })

    return Tools.of({
      definitions: [...tools.values()].map((tool) => tool.definition),
      tasks,
      prepare: (userId, name, args, key) => {
        const known = tools.get(name)
        if (known === undefined) return settled(refusal(`There is no tool named ${name.slice(0, 64)}.`))
        if (!isSensible(args)) return settled(refusal("The arguments are too large."))
        return Result.getOrElse(known.prepare(userId, args.trim() === "" ? "{}" : args, key), (reason) =>
          settled(refusal(`The arguments do not fit: ${reason}`.slice(0, 500)))
        )
      }
    })
  })

const toolName = /^[A-Za-z0-9_-]{1,64}$/

/** The largest result that the model is shown, in bytes of JSON: every later turn reads it again. */
const resultLimit = 16 * 1024

/** One of the application's: whatever comes of it, there is a result for the model. */
const ownTool = <R>(repo: ConversationRepo["Service"], tool: Tool<R>, services: Context.Context<R>): KnownTool => {
  const isExternal = tool.kind === "external"
  const late = refusal(`The tool did not answer within ${Duration.format(tool.timeout)}.`)
  return {
    definition: {
      name: tool.name,
      description: tool.description,
      parameters: tool.parameters(),
      output: tool.output(),
      annotations: tool.annotations
    },
    prepare: (userId, args, key) =>
      Result.map(tool.prepare(args, { userId, key }), (call) => {
        const result = Effect.provideContext(call, services)
        const guarded = isExternal ? result : repo.atomically(userId, result)
        return {
          isExternal,
          execute: Effect.map(guarded, shown).pipe(
            Effect.timeoutOrElse({ duration: tool.timeout, orElse: () => Effect.succeed(late) }),
            Effect.catchTag("CallFailed", ({ reason }) =>
              // Inside of the step the store that is out of reach is the step's own; outside it is the tool's affair.
              !isExternal && isStorageUnavailable(reason) ? Effect.fail(reason) : answerFailure(tool.name, reason)
            ),
            Effect.catchDefect((defect) => answerFailure(tool.name, defect))
          )
        }
      })
  }
}

const shown = (json: string): CallResult =>
  utf8Length(json) > resultLimit
    ? refusal("The tool answered more than can be shown.")
    : { status: "success", result: toStorable(`{"success":true${json === "{}" ? "" : `,${json.slice(1, -1)}`}}`) }

const isToolFailed = Schema.is(ToolFailed)
const isStorageUnavailable = Schema.is(StorageUnavailable)

/** What the model is told of a failure: what the tool wants it to know. */
const answerFailure = (name: string, reason: unknown): Effect.Effect<CallResult> =>
  isToolFailed(reason)
    ? Effect.succeed(refusal(reason.message.slice(0, 500)))
    : Effect.as(Effect.logWarning(`The tool ${name} failed`, reason), refusal("The tool failed."))

const taskId = { task_id: TaskId.annotate({ description: "The number of the task" }) }
const description = Schema.optionalKey(Schema.NullOr(TaskDescription).annotate({ description: "Details, if any" }))

const taskTools = (tasks: TaskTools["Service"], maxTasks: number | null): ReadonlyArray<KnownTool> => [
  taskTool(
    tasks,
    "add_task",
    "Adds a task to the user's to-do list.",
    annotate("Add a task", { destructiveHint: false }),
    Schema.Struct({ title: TaskTitle, description }),
    (args) => ({
      _tag: "Add",
      task: { title: args.title, description: args.description || null },
      limit: maxTasks
    })
  ),
  taskTool(
    tasks,
    "list_tasks",
    "Lists the user's tasks with their numbers.",
    annotate("List tasks", { readOnlyHint: true, destructiveHint: false, idempotentHint: true }),
    Schema.Struct({ status: Schema.optionalKey(Schema.NullOr(TaskStatus)) }),
    (args) => ({ _tag: "List", status: args.status ?? "all", limit: listLimit, bytes: listBytes })
  ),
  taskTool(
    tasks,
    "complete_task",
    "Marks a task as completed.",
    annotate("Complete a task", { destructiveHint: false, idempotentHint: true }),
    Schema.Struct(taskId),
    (args) => ({ _tag: "Complete", taskId: args.task_id })
  ),
  taskTool(
    tasks,
    "update_task",
    "Changes the title or the description of a task, or both; at least one must be given.",
    // What was there before is lost.
    annotate("Update a task", { destructiveHint: true, idempotentHint: true }),
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
  taskTool(
    tasks,
    "delete_task",
    "Deletes a task for good.",
    annotate("Delete a task", { destructiveHint: true, idempotentHint: true }),
    Schema.Struct(taskId),
    (args) => ({ _tag: "Remove", taskId: args.task_id })
  )
]

/** Nothing but the user's own list is touched by the five. */
const annotate = (title: string, told: Partial<ToolAnnotations>): ToolAnnotations =>
  annotationsOf({ title, openWorldHint: false, ...told })

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

/** A call of which it is known what the model is told: it was carried out before, or is not to be. */
export const settled = (result: CallResult): PreparedCall => ({
  isExternal: false,
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

/** What the results of the five hold, in the form that `FoldedCall` lays down, beside that they are successes. */
const OneTask = Schema.Struct({ task: Task })
const TaskList = Schema.Struct({
  tasks: Schema.Array(Task),
  count: Schema.Int,
  has_more: Schema.optionalKey(Schema.Boolean).annotateKey({ description: "Whether there are more than are listed" })
})

/** One of the five: an operation on tasks and nothing else, which a store may carry out by itself. */
const taskTool = <S extends Schema.Codec<unknown, unknown>>(
  tasks: TaskTools["Service"],
  name: string,
  description: string,
  annotations: ToolAnnotations,
  parameters: S,
  toOperation: (args: S["Type"]) => TaskOperation
): KnownTool => {
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(parameters))
  return {
    definition: {
      name,
      description,
      parameters: toParameters(parameters),
      output: toOutput(name === "list_tasks" ? TaskList : OneTask),
      annotations
    },
    prepare: (userId, args) =>
      Result.mapBoth(decode(args), {
        onFailure: (error) => error.message,
        onSuccess: (decoded) => {
          const operation = toOperation(decoded)
          const impossible = refusalOf(operation)
          return {
            isExternal: false,
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
  }
}
