import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import { McpSchema, McpServer } from "effect/ai"
import { DirectCalls } from "../../domain/DirectCalls.ts"
import { IdempotencyKey } from "../../domain/model/Turn.ts"
import type { User } from "../../domain/model/User.ts"
import { Tools } from "../../domain/Tools.ts"
import type { CallResult } from "../../ports/ConversationRepo.ts"

/** Whose message it is: told with each, and remembered nowhere. */
export class McpUser extends Context.Service<McpUser, User>()("turnkeeper/adapters/mcp/registrations/McpUser") {}

/** By which member of a call's `_meta` a client gives it its idempotency key. */
const idempotencyKeyMember = "turnkeeper/idempotency-key"

const Metadata = Schema.Struct({ [idempotencyKeyMember]: Schema.optionalKey(IdempotencyKey) })
const decodeMetadata = Schema.decodeUnknownResult(Metadata)
const Arguments = Schema.Record(Schema.String, Schema.Json)
const decodeArguments = Schema.decodeUnknownResult(Arguments)
const decodeStructured = Schema.decodeUnknownOption(Schema.fromJsonString(Arguments))
const decodeTool = Schema.decodeUnknownSync(McpSchema.Tool)

/** The tools of the agent on an MCP server. */
export const registrations: Layer.Layer<never, never, DirectCalls | McpServer.McpServer | Tools> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { call } = yield* DirectCalls
    const { addTool } = yield* McpServer.McpServer
    const { definitions } = yield* Tools

    const handle = Effect.fnUntraced(function* (name: string, given: unknown) {
      const user = yield* Effect.serviceOption(McpUser)
      // It is there on each way that leads here; if not, nobody is taken for anybody.
      if (Option.isNone(user)) return yield* Effect.die(new Error("An MCP message has no user"))
      const { requestMetadata = {} } = yield* McpSchema.McpRequestContext
      const metadata = decodeMetadata(requestMetadata)
      if (Result.isFailure(metadata)) return yield* invalid("invalid_request", metadata.failure.message)
      const args = decodeArguments(given)
      if (Result.isFailure(args)) return yield* invalid("invalid_request", args.failure.message)
      const result = yield* call({
        userId: user.value.id,
        name,
        arguments: args.success,
        idempotencyKey: Option.fromUndefinedOr(metadata.success[idempotencyKeyMember])
      }).pipe(Effect.catchTags(refusals))
      return toResult(result)
    })

    for (const { annotations, description, name, output, parameters } of definitions) {
      const { title, ...told } = annotations
      yield* addTool({
        tool: decodeTool({
          name,
          title: title ?? name,
          description,
          inputSchema: parameters,
          ...(output !== undefined && { outputSchema: output }),
          annotations: { title: title ?? name, ...told }
        }),
        annotations: Context.empty(),
        handle: (given) => handle(name, given)
      })
    }
  })
)

/** What a model is told of a call is the text; of a success there is the same as a value. */
const toResult = ({ result, status }: CallResult): McpSchema.CallToolResult =>
  McpSchema.CallToolResult.make({
    content: [{ type: "text", text: result }],
    ...(status === "success" && { structuredContent: Option.getOrUndefined(decodeStructured(result)) }),
    isError: status === "error"
  })

const invalid = (code: string, message: string) =>
  new McpSchema.InvalidParams({ message: message.slice(0, 500), data: { code, retryable: false } })

const unavailable = (code: string, message: string) =>
  Effect.fail(new McpSchema.InternalError({ message, data: { code, retryable: true } }))

/** What is no result of a tool. */
const refusals = {
  IdempotencyKeyReused: () =>
    Effect.fail(invalid("idempotency_key_reused", "This idempotency key was used with another call.")),
  TooManyKeys: ({ limit }: { readonly limit: number }) =>
    unavailable("rate_limited", `No more than ${limit} idempotency keys are remembered. Nothing has happened.`),
  TooMuchAtOnce: () => unavailable("unavailable", "Too much is asked at once. Nothing has happened."),
  StorageUnavailable: (error: { readonly operation: string }) =>
    Effect.andThen(
      Effect.annotateLogs(Effect.logWarning("Out of reach", error), { operation: error.operation }),
      unavailable("unavailable", "The database is out of reach. What was asked may or may not have happened.")
    )
}

/**
 * Refusals are JSON-RPC errors in each revision of the protocol. Of an error that a handler fails with, some revisions would
 * make a result of the tool's, for the model to read, though it is the client's to act on.
 */
export const refusalsAreErrors = McpServer.middleware((handled) => Effect.catch(handled, failAnew), { global: true })

/** As a failure of its own: one that is only changed is still known as the handler's. */
const failAnew = ({ code, data, message }: McpSchema.McpErrorBase) =>
  Effect.fail(McpSchema.McpErrorBase.make({ code, message, data }))
