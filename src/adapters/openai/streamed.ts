import { Option, Result, Schema } from "effect"
import { Sse } from "effect/encoding"
import type { OnText } from "../../ports/LLM.ts"
import { PiecesResponse } from "./pooledFetch.ts"

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

/** The longest answer that is taken, in UTF-16 code units: a thousand times what `max_tokens` allows by default. */
const longest = 4 * 1024 * 1024

/**
 * Puts the pieces of a streamed answer together to what the same answer would be as a whole, so that it is read as that. A
 * piece that is none spoils the answer, as does an error in its midst.
 */
const makeAssembly = (onText: OnText) => {
  const calls = new Map<number, { id: string; name: string; arguments: string }>()
  const message = { content: "", refusal: "", function_call: undefined as unknown }
  let finished: string | undefined
  let usage: unknown
  let spoilt = false
  let done = false
  let length = 0

  const grow = (text: string | null | undefined): string => {
    length += text?.length ?? 0
    if (length > longest) spoilt = true
    return text ?? ""
  }

  const takeDelta = (delta: typeof Delta.Type): void => {
    const content = grow(delta.content)
    message.content += content
    if (content !== "" && !spoilt) onText(content)
    message.refusal += grow(delta.refusal)
    message.function_call ??= delta.function_call
    for (const piece of delta.tool_calls ?? []) {
      // Servers that send each call whole may leave its number out.
      const index = piece.index ?? calls.size
      // They come in their order; any other number would be of a call that nobody has begun.
      if (index < 0 || index > calls.size) spoilt = true
      const call = calls.get(index) ?? { id: "", name: "", arguments: "" }
      calls.set(index, call)
      call.id ||= grow(piece.id)
      call.name += grow(piece.function?.name)
      call.arguments += grow(piece.function?.arguments)
    }
  }

  return {
    /** Whether more of it is to come that can be of use. */
    isOpen: (): boolean => !done && !spoilt,
    isDone: (): boolean => done,
    spoil: (): void => {
      spoilt = true
    },
    take: (data: string): void => {
      if (data === "[DONE]") done = true
      if (done || spoilt) return
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
      return JSON.stringify({
        ...(!spoilt && {
          choices: [
            {
              finish_reason: finished,
              message: {
                ...said,
                ...(function_call !== undefined && { function_call }),
                tool_calls: Array.from(calls.values(), ({ id, ...call }) => ({ id, function: call }))
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
  const assembly = makeAssembly(onText)
  if (response instanceof PiecesResponse) {
    await assemble(assembly, response.pieces.iterator({ destroyOnReturn: false }))
    response.leave(assembly.isDone())
    return assembly.whole()
  }
  const { body } = response
  if (body === null || !(response.headers.get("content-type") ?? "").toLowerCase().includes("text/event-stream")) {
    return response.text()
  }
  await assemble(assembly, body)
  return assembly.whole()
}

/** Takes pieces until the answer is whole, or spoilt. */
// @effect-diagnostics-next-line asyncFunction:off -- as above
const assemble = async (
  assembly: ReturnType<typeof makeAssembly>,
  pieces: AsyncIterable<Uint8Array>
): Promise<void> => {
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") assembly.take(event.data)
  })
  const decoder = new TextDecoder()
  for await (const bytes of pieces) {
    if (parser.feed(decoder.decode(bytes, { stream: true })) !== undefined) assembly.spoil()
    if (!assembly.isOpen()) break
  }
}
