import { Cause, Context, Duration, Effect, Fiber, Layer, Option, Result, Schema } from "effect"
import { type CallResult, ConversationRepo, type FoldedCall } from "../ports/ConversationRepo.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import { StorageUnavailable } from "./model/Errors.ts"
import { nesting, toStorable, utf8Length } from "./model/Text.ts"
import type { UserId } from "./model/User.ts"
import { Settings } from "./Settings.ts"
import * as TaskToolset from "./TaskToolset.ts"
import { CallFailed, type Tool, type ToolDescription, ToolFailed } from "./Tool.ts"

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

const theFive = Effect.map(Settings, (settings) => Object.values(TaskToolset.make(settings)))

/** The five tools that keep a to-do list, on `TaskTools`. */
export const layer: Layer.Layer<Tools, never, ConversationRepo | TaskTools> = Layer.orDie(
  Layer.effect(
    Tools,
    Effect.flatMap(theFive, (five) => register(five))
  )
)

/**
 * An application's own tools, without the five. Fails with `ToolsInvalid`, which tells all that is wrong at once: a name twice,
 * a name that the OpenAI API refuses, parameters that have no JSON Schema.
 */
export const layerOf = <Services extends ReadonlyArray<unknown>>(
  ...tools: OwnTools<Services>
): Layer.Layer<Tools, ToolsInvalid, ConversationRepo | Services[number]> =>
  Layer.effect(Tools, register<Services[number]>(tools))

/** An application's own tools beside the five. */
export const layerWith = <Services extends ReadonlyArray<unknown>>(
  ...tools: OwnTools<Services>
): Layer.Layer<Tools, ToolsInvalid, ConversationRepo | TaskTools | Services[number]> =>
  Layer.effect(
    Tools,
    Effect.flatMap(theFive, (five) => register<TaskTools | Services[number]>([...five, ...tools]))
  )

const register = <R>(
  given: ReadonlyArray<Tool<R>>
): Effect.Effect<Tools["Service"], ToolsInvalid, ConversationRepo | R> =>
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const services = yield* Effect.context<R>()
    const problems: Array<string> = []
    const tools = new Map<string, KnownTool>()
    const add = (name: string, toTool: () => KnownTool): void => {
      if (!toolName.test(name)) problems.push(`"${name}" is no name: 1 to 64 characters of A-Z a-z 0-9 _ -`)
      if (tools.has(name)) problems.push(`"${name}" is there twice`)
      const made = Result.try({
        try: toTool,
        catch: (error) => (error instanceof Error ? error.message : String(error))
      })
      if (Result.isSuccess(made)) tools.set(name, made.success)
      else problems.push(`"${name}" has ${made.failure}`)
    }
    for (const tool of given) add(tool.name, () => known(repo, tool, services))
    if (problems.length > 0) return yield* new ToolsInvalid({ problems })

    return Tools.of({
      definitions: [...tools.values()].map((tool) => tool.definition),
      tasks: Option.getOrUndefined(Context.getOption(services, TaskTools)),
      prepare: (userId, name, args, key) => {
        const tool = tools.get(name)
        if (tool === undefined) return settled(refusal(`There is no tool named ${name.slice(0, 64)}.`))
        if (!isSensible(args)) return settled(refusal("The arguments are too large."))
        return Result.getOrElse(tool.prepare(userId, args.trim() === "" ? "{}" : args, key), (reason) =>
          settled(refusal(`The arguments do not fit: ${reason}`.slice(0, 500)))
        )
      }
    })
  })

const toolName = /^[A-Za-z0-9_-]{1,64}$/

/** The largest result that the model is shown, in bytes of JSON: every later turn reads it again. */
const resultLimit = 16 * 1024

/** Whatever comes of a tool, there is a result for the model. */
const known = <R>(repo: ConversationRepo["Service"], tool: Tool<R>, services: Context.Context<R>): KnownTool => {
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
    prepare: (userId, args, key) => {
      // A schema may have code of the application's in it.
      const read = Result.try({ try: () => tool.read(args, { userId, key }), catch: (thrown) => thrown })
      if (Result.isFailure(read)) {
        return Result.succeed({ isExternal: false, execute: answerFailure(tool.name, read.failure) })
      }
      return Result.map(read.success, ({ operation, run }) => {
        const result = asFailure(Effect.provideContext(run, services))
        const told = (outcome: Effect.Effect<CallResult, CallFailed | StorageUnavailable>) =>
          Effect.catchTag(outcome, "CallFailed", ({ reason }) =>
            // Inside of the step the store that is out of reach is the step's own; outside it is the tool's affair.
            !isExternal && isStorageUnavailable(reason) ? Effect.fail(reason) : answerFailure(tool.name, reason)
          )
        if (operation !== undefined) {
          // One statement of the store's own, which needs no guard.
          return {
            isExternal,
            execute: told(Effect.map(result, success)),
            folded: { _tag: "Task", operation: operation.operation, refusal: refusal(operation.refusal) }
          }
        }
        // What is an error to the model has not happened: inside of what is undone then.
        const shown = Effect.flatMap(result, show)
        const guarded = isExternal ? apart(shown) : repo.atomically(userId, shown)
        return {
          isExternal,
          execute: told(
            Effect.timeoutOrElse(guarded, { duration: tool.timeout, orElse: () => Effect.succeed(late) })
          ).pipe(Effect.catchDefect((defect) => answerFailure(tool.name, defect)))
        }
      })
    }
  }
}

/** A tool that interrupts itself has failed: nobody else was meant by it. */
const asFailure = <A, R>(run: Effect.Effect<A, CallFailed, R>): Effect.Effect<A, CallFailed, R> =>
  Effect.catchCauseIf(run, Cause.hasInterrupts, (cause) => Effect.fail(new CallFailed({ reason: cause })))

/** In a fiber of its own: whoever cannot be interrupted is left behind, and holds up nobody. */
const apart = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  // Interrupted just when it was forked, it would be left behind without being told.
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(call), (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

const show = (json: string): Effect.Effect<CallResult, CallFailed> =>
  utf8Length(json) > resultLimit
    ? Effect.fail(new CallFailed({ reason: tooLarge }))
    : Effect.succeed(success(toStorable(json)))

const tooLarge = new ToolFailed({ message: "The tool answered more than can be shown." })

/** What a tool answers, as a JSON object, in the form that `FoldedCall` lays down. */
const success = (json: string): CallResult => ({
  status: "success",
  result: json === "{}" ? '{"success":true}' : `{"success":true,${json.slice(1)}`
})

const isToolFailed = Schema.is(ToolFailed)
const isStorageUnavailable = Schema.is(StorageUnavailable)

/** What the model is told of a failure: what the tool wants it to know. */
const answerFailure = (name: string, reason: unknown): Effect.Effect<CallResult> =>
  isToolFailed(reason)
    ? Effect.succeed(refusal(reason.message.slice(0, 500)))
    : Effect.as(Effect.logWarning(`The tool ${name} failed`, reason), refusal("The tool failed."))

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
