import { Duration, Effect, type JsonSchema, Predicate, Result, Schema } from "effect"
import type { ToolDefinition } from "../ports/LLM.ts"
import type { TaskOperation } from "../ports/TaskTools.ts"
import type { StorageUnavailable } from "./model/Errors.ts"
import type { UserId } from "./model/User.ts"

/** A tool could not do what it was asked for. The model is told why, and goes on. */
export class ToolFailed extends Schema.TaggedError<ToolFailed>()("ToolFailed", {
  /** For the model, and for whoever reads the conversation. */
  message: Schema.String
}) {}

/** What a tool failed with, whatever that is, so that it is not taken for anything else. */
export class CallFailed extends Schema.TaggedError<CallFailed>()("CallFailed", { reason: Schema.Unknown }) {}

/** Which call it is that a tool is to carry out. */
export interface ToolCallContext {
  /** Whose turn it is: by the session, never by the model. */
  readonly userId: UserId
  /** The same whenever this very call is carried out again, and that of no other: a tool is idempotent by it. */
  readonly key: string
}

/**
 * What clients are told of a tool beside what the model sees, as the Model Context Protocol has it (2025-11-25, "ToolAnnotations").
 * They are hints: nobody has to believe them, and nothing here goes by them.
 */
export interface ToolAnnotations {
  /** What people read; by default the tool's name. */
  readonly title?: string
  /** Whether it changes nothing; by default it may change something. */
  readonly readOnlyHint: boolean
  /** Whether it may destroy or overwrite something, rather than only add to it; by default it may. */
  readonly destructiveHint: boolean
  /** Whether the same call again has no further effect; by default it may have one. */
  readonly idempotentHint: boolean
  /** Whether it deals with what lies outside of the application, such as the web; by default it may. */
  readonly openWorldHint: boolean
}

/** The hints of a tool of which only these are known: what is not known is told as the worst. */
export const annotationsOf = (known: Partial<ToolAnnotations>): ToolAnnotations => ({
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
  ...known
})

/** A tool as it is offered. */
export interface ToolDescription extends ToolDefinition {
  /** The JSON Schema of what it answers when it succeeds, where that has one. */
  readonly output: JsonSchema.JsonSchema | undefined
  readonly annotations: ToolAnnotations
}

/** A call that is no more than an operation on tasks, which a store may carry out by itself in the statement of its step. */
export interface OperationCall {
  readonly operation: TaskOperation
  /** What the model is told where it is not possible. */
  readonly refusal: string
}

/** A call whose arguments fit. */
export interface ReadCall<out R> {
  /** Carries it out: to a JSON object. */
  readonly run: Effect.Effect<string, CallFailed, R>
  /** The same as a value, where it is one. */
  readonly operation: OperationCall | undefined
}

/** A tool of the agent, as `make` makes it. `R` is what its handler needs. */
export interface Tool<out R = never> {
  readonly name: string
  readonly description: string
  readonly kind: "transactional" | "external"
  readonly timeout: Duration.Duration
  /** The JSON Schema of the parameters; throws where there is none. */
  readonly parameters: () => JsonSchema.JsonSchema
  readonly output: () => JsonSchema.JsonSchema | undefined
  readonly annotations: ToolAnnotations
  /** Reads the arguments, which are JSON, or tells why they do not fit. */
  readonly read: (args: string, call: ToolCallContext) => Result.Result<ReadCall<R>, string>
}

/** The JSON Schema of a tool's parameters, as models take it. Throws where a schema, or a part of it, has none. */
export const toParameters = (parameters: Schema.Constraint): JsonSchema.JsonSchema => {
  try {
    const { definitions, schema: found } = rootOf(Schema.toJsonSchemaDocument(parameters))
    // A struct without fields is told as anything but null.
    const schema: JsonSchema.JsonSchema = "not" in found ? { type: "object", properties: {} } : found
    if (schema["type"] !== "object") throw new TypeError("they are no object")
    for (const part of [schema, ...Object.values(definitions)]) requireShape(part, "")
    const others = schema["additionalProperties"]
    return {
      ...schema,
      ...(Object.keys(definitions).length > 0 && { $defs: definitions }),
      // Those of a record; a struct ignores them, and the model had better not send any.
      additionalProperties: Predicate.isObject(others) ? others : false
    }
  } catch (cause) {
    throw new TypeError(`parameters without a JSON Schema: ${cause instanceof Error ? cause.message : cause}`, {
      cause
    })
  }
}

const ownReference = /^#\/\$defs\/(.*)$/

/** A schema with a name of its own is a reference, where models want the object itself. */
const rootOf = ({ definitions, schema }: Pick<JsonSchema.Document<JsonSchema.Dialect>, "definitions" | "schema">) => {
  const name = Predicate.isString(schema["$ref"]) ? ownReference.exec(schema["$ref"])?.[1] : undefined
  return { definitions, schema: (name === undefined ? undefined : definitions[name]) ?? schema }
}

/** What says nothing of a value, where a schema knows of no JSON for it, would let the model send anything. */
const requireShape = (schema: unknown, at: string): void => {
  if (!Predicate.isObject(schema)) return
  const { description: _, title: __, ...shape } = { ...schema }
  if (Object.keys(shape).length === 0) throw new TypeError(`nothing is known of ${at}`)
  const { additionalProperties, anyOf, items, prefixItems, properties }: Readonly<Record<string, unknown>> = shape
  for (const [name, property] of Object.entries(Predicate.isObject(properties) ? properties : {})) {
    requireShape(property, at === "" ? name : `${at}.${name}`)
  }
  requireShape(items, `${at}[]`)
  requireShape(additionalProperties, `${at}.*`)
  for (const one of [anyOf, prefixItems].flat()) requireShape(one, at)
}

/**
 * The JSON Schema of a tool's successes, which say that they are such; none where their schema has no simple one. Throws where
 * they are no object, or say something else of that.
 */
export const toOutput = (result: Schema.Constraint): JsonSchema.JsonSchema | undefined => {
  const document = Result.try(() => Schema.toJsonSchemaDocument(result))
  if (Result.isFailure(document)) return undefined
  const { definitions, schema: found } = rootOf(document.success)
  const schema: JsonSchema.JsonSchema = "not" in found ? { type: "object" } : found
  const { properties = {}, required = [], type }: Readonly<Record<string, unknown>> = schema
  if (type !== undefined && type !== "object") throw new TypeError("a result that is no object")
  if (Predicate.hasProperty(properties, "success")) throw new TypeError('a "success" of its own in its result')
  if (type !== "object" || !Predicate.isObject(properties) || !Array.isArray(required)) return undefined
  return {
    type,
    properties: { success: { type: "boolean", enum: [true] }, ...properties },
    required: ["success", ...required],
    ...(Object.keys(definitions).length > 0 && { $defs: definitions })
  }
}

const isObject = (json: string): boolean => json.startsWith("{")

/** The longest that a tool may take inside a transaction: a database throws out whoever idles there for two seconds. */
const transactionalPatience = Duration.millis(1500)
const externalPatience = Duration.seconds(30)

/**
 * Makes a tool.
 *
 * - `name`: as the OpenAI API takes it, 1 to 64 characters of `A-Z a-z 0-9 _ -`
 * - `parameters`: a struct, of which the model sees the JSON Schema; what it sends is decoded before the handler sees it
 * - `result`: a struct; the model sees it encoded, with `"success":true`
 * - `kind`: a *transactional* tool works in the database of the turns, in the transaction of its step: what it does happens
 *   exactly once. An *external* one does not: the model's answer is stored before it runs, and a crash may have it run again,
 *   with the same `key`. Those of a step run before its transactional ones
 * - `timeout`: how long it may take, by default 1.5 seconds (which is the most) inside a transaction and 30 outside
 * - `annotations`: what clients are told of it, where it is offered to some; what is left out is told as the worst
 * - `handler`: fails with `ToolFailed` for what the model is to know, and with anything else for what it is not
 * - `operation`: where a call is an operation of `TaskTools` and nothing else, that operation. A store may then do without the
 *   handler, to the same effect
 *
 * Whatever a handler does (fail, die, hang, answer too much), the turn goes on: the model is told that the tool failed.
 */
export const make = <
  Parameters extends Schema.Codec<object, object>,
  Result extends Schema.Codec<object, object>,
  E,
  R
>(options: {
  readonly name: string
  readonly description: string
  readonly parameters: Parameters
  readonly result: Result
  readonly kind: "transactional" | "external"
  readonly timeout?: Duration.Input
  readonly annotations?: Partial<ToolAnnotations>
  readonly operation?: (args: Parameters["Type"]) => OperationCall
  readonly handler: (
    args: Parameters["Type"],
    call: ToolCallContext
  ) => Effect.Effect<Result["Type"], E | ToolFailed | StorageUnavailable, R>
}): Tool<R> => {
  const { description, handler, kind, name } = options
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(options.parameters))
  const encode = Schema.encodeUnknownEffect(Schema.fromJsonString(options.result))
  const longest = kind === "transactional" ? transactionalPatience : externalPatience
  const timeout = options.timeout === undefined ? longest : Duration.fromInputUnsafe(options.timeout)
  return {
    name,
    description,
    kind,
    timeout: kind === "transactional" ? Duration.min(timeout, longest) : timeout,
    parameters: () => toParameters(options.parameters),
    output: () => toOutput(options.result),
    annotations: annotationsOf(options.annotations ?? {}),
    read: (args, call) =>
      Result.mapBoth(decode(args), {
        onFailure: (error) => error.message,
        onSuccess: (decoded) => ({
          run: Effect.suspend(() => handler(decoded, call)).pipe(
            Effect.flatMap(encode),
            Effect.filterOrFail(isObject, () => new TypeError("The result is no object")),
            Effect.mapError((reason) => new CallFailed({ reason }))
          ),
          operation: options.operation?.(decoded)
        })
      })
  }
}
