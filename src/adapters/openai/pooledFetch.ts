import { Effect, type Scope } from "effect"
import type { ClientOptions } from "openai"
import { Agent, type Dispatcher } from "undici"

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
        const about = {
          status: statusCode,
          headers: Object.entries(headers).flatMap(([name, value]) =>
            value === undefined ? [] : [value].flat().map((each): [string, string] => [name, each])
          )
        }
        return streams ? new PiecesResponse(body, about) : new TextResponse(await body.text(), about)
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

type Body = Dispatcher.ResponseData["body"]

/** A response that is read as it comes, from the connection itself: a stream of the platform's between is a tenth of a turn. */
export class PiecesResponse extends Response {
  readonly pieces: Body
  constructor(pieces: Body, about: ResponseInit) {
    super(null, about)
    this.pieces = pieces
  }

  /**
   * Is done with it. A connection can be used again once its body has come to an end, which is worth a moment; but nothing waits
   * for that.
   */
  readonly leave = (isWhole: boolean): void => {
    const { pieces } = this
    // What becomes of it is told as an error too, which nobody waits for any more.
    pieces.on("error", () => undefined)
    if (!isWhole) {
      pieces.destroy()
      return
    }
    // @effect-diagnostics-next-line globalTimers:off -- outside of any fiber
    const timer = setTimeout(() => pieces.destroy(), 1000)
    void pieces
      .dump()
      .catch(() => undefined)
      .finally(() => clearTimeout(timer))
  }
}

const headersOf = (headers: RequestInit["headers"]): Record<string, string> =>
  headers instanceof Headers ? Object.fromEntries(headers) : Object.fromEntries(new Headers(headers))
