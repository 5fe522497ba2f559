// @effect-diagnostics-next-line nodeBuiltinImport:off -- undici's bodies are Node's streams
import { Readable } from "node:stream"
import { Effect, type Scope } from "effect"
import type { ClientOptions } from "openai"
import { Agent } from "undici"

type Fetch = NonNullable<ClientOptions["fetch"]>

/**
 * A `fetch` for the SDK, on a pool of connections that closes with the scope. It does what the SDK needs of one, at half
 * the price of the platform's: no redirects are followed, and a body that is no stream of events is read whole.
 */
export const pooledFetch: Effect.Effect<Fetch, never, Scope.Scope> = Effect.acquireRelease(
  // How long a request may take is the caller's to say.
  Effect.sync(() => new Agent({ headersTimeout: 0, bodyTimeout: 0 })),
  (agent) => Effect.promise(() => agent.destroy())
).pipe(
  Effect.map(
    (agent): Fetch =>
      // @effect-diagnostics-next-line asyncFunction:off -- the SDK asks for one
      async (input, init) => {
        const url = new URL(input instanceof Request ? input.url : input)
        const { body, headers, statusCode } = await agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: init?.method ?? "GET",
          headers: headersOf(init?.headers),
          body: typeof init?.body === "string" ? init.body : null,
          signal: init?.signal ?? null
        })
        const type = headers["content-type"]
        const streams = typeof type === "string" && type.toLowerCase().startsWith("text/event-stream")
        const content = streams ? (Readable.toWeb(body) as ReadableStream) : await body.text()
        const about = {
          status: statusCode,
          headers: Object.entries(headers).flatMap(([name, value]) =>
            value === undefined ? [] : [value].flat().map((each): [string, string] => [name, each])
          )
        }
        return typeof content === "string" ? new TextResponse(content, about) : new Response(content, about)
      }
  )
)

/** A response whose text, which is all that is asked of it, is here already: making a stream of it to read that again is work. */
class TextResponse extends Response {
  override readonly text: () => Promise<string>
  constructor(content: string, about: ResponseInit) {
    super(null, about)
    this.text = () => Promise.resolve(content)
  }
}

const headersOf = (headers: RequestInit["headers"]): Record<string, string> =>
  headers instanceof Headers ? Object.fromEntries(headers) : Object.fromEntries(new Headers(headers))
