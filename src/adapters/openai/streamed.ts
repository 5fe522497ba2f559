import { Option, Result, Schema } from "effect"
import { Sse } from "effect/encoding"
import type { OnText } from "../../ports/LLM.ts"

const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Delta = Schema.Struct({
  content: optional(Schema.String),
  refusal: optional(Schema.String),
  function_call: Schema.optionalKey(Schema.Unknown),
  tool_calls: optional(
    Schema.Array(
      Schema.Struct({
        index: optional(Schema.Int),
        id: optional(Schema.String),
        function: optional(Schema.Struct({ name: optional(Schema.String), arguments: optional(Schema.String) }))
      })
    )
  )
})

const decodeChunk = Schema.decodeUnknownOption(
  Schema.Struct({
    choices: optional(Schema.Array(Schema.Struct({ delta: optional(Delta), finish_reason: optional(Schema.String) }))),
    usage: Schema.optionalKey(Schema.Unknown),
    error: Schema.optionalKey(Schema.Unknown)
  })
)
// Apart, since a schema with a transformation in it is not compiled, and there is a piece for each word.
const readChunk = (data: string) =>
  Result.getOrElse(
    Result.map(
      Result.try((): unknown => JSON.parse(data)),
      decodeChunk
    ),
    () => Option.none()
  )

/**
 * Puts the pieces of a streamed answer together to what the same answer would be as a whole, so that it is read as that. A
 * piece that is none spoils the answer, as does an error in its midst.
 */
const makeAssembly = (onText: OnText) => {
  const calls: Array<{ id: string; name: string; arguments: string }> = []
  const message = { content: "", refusal: "", function_call: undefined as unknown }
  let finished: string | undefined
  let usage: unknown
  let spoilt = false

  const takeDelta = (delta: typeof Delta.Type): void => {
    if (delta.content !== undefined && delta.content !== null) {
      message.content += delta.content
      onText(delta.content)
    }
    message.refusal += delta.refusal ?? ""
    message.function_call ??= delta.function_call
    for (const piece of delta.tool_calls ?? []) {
      // Servers that send each call whole may leave its number out.
      const index = piece.index ?? calls.length
      const call = calls[index] ?? { id: "", name: "", arguments: "" }
      calls[index] = call
      call.id ||= piece.id ?? ""
      call.name += piece.function?.name ?? ""
      call.arguments += piece.function?.arguments ?? ""
    }
  }

  return {
    take: (data: string): void => {
      if (data === "[DONE]") return
      const chunk = Option.getOrUndefined(readChunk(data))
      if (chunk === undefined || (chunk.error !== undefined && chunk.error !== null)) {
        spoilt = true
        return
      }
      usage = chunk.usage ?? usage
      const choice = chunk.choices?.[0]
      finished = choice?.finish_reason ?? finished
      if (choice?.delta !== undefined && choice.delta !== null) takeDelta(choice.delta)
    },
    whole: (): string => {
      const { function_call, ...said } = message
      const toolCalls = calls.filter((call) => call !== undefined)
      return JSON.stringify({
        ...(!spoilt && {
          choices: [
            {
              finish_reason: finished,
              message: {
                ...said,
                ...(function_call !== undefined && { function_call }),
                tool_calls: toolCalls.map(({ id, ...call }) => ({ id, function: call }))
              }
            }
          ]
        }),
        usage
      })
    }
  }
}

/**
 * Reads a streamed answer to its end, telling its text as it comes, and gives it in the form of one that is not streamed. A
 * server that does not stream has its answer read as it is.
 */
// @effect-diagnostics-next-line asyncFunction:off -- a body is read by promises
export const readStreamed = async (response: Response, onText: OnText): Promise<string> => {
  if (response.body === null || !(response.headers.get("content-type") ?? "").includes("text/event-stream")) {
    return response.text()
  }
  const assembly = makeAssembly(onText)
  let failure: unknown
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") assembly.take(event.data)
  })
  const decoder = new TextDecoder()
  for await (const bytes of response.body) failure ??= parser.feed(decoder.decode(bytes, { stream: true }))
  if (failure !== undefined) throw failure
  return assembly.whole()
}
