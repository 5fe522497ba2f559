import { Readable } from "node:stream"
import { Effect } from "effect"
import { Pool } from "undici"

/** A request, byte for byte. */
export interface Request {
  readonly method: string
  readonly path: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Buffer | undefined
  /** Whether the body goes in chunks, its length not told. */
  readonly chunked: boolean
}

/** An answer, or why there is none. */
export interface Answer {
  readonly status: number
  /** Names in lower case. A name that comes twice has its values joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

export interface Client {
  /** Sends a request; fails with the reason if there is no whole answer within half a minute. */
  readonly send: (request: Request) => Effect.Effect<Answer, string>
}

const piece = 1000

const inChunks = (body: Buffer): Readable => {
  const pieces = Array.from({ length: Math.ceil(body.length / piece) }, (_, i) =>
    body.subarray(i * piece, (i + 1) * piece)
  )
  return Readable.from(pieces, { objectMode: false })
}

const bodyOf = (request: Request) => {
  if (request.body === undefined) return null
  return request.chunked ? inChunks(request.body) : request.body
}

/** A client that keeps so many connections, and ends with the scope. */
export const makeClient = (port: number, connections: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(
        () =>
          new Pool(`http://127.0.0.1:${port}`, {
            connections,
            headersTimeout: 60_000,
            bodyTimeout: 60_000,
            keepAliveTimeout: 60_000
          })
      ),
      (pool) => Effect.promise(() => pool.destroy())
    ),
    (pool): Client => ({
      send: (request) =>
        Effect.tryPromise({
          try: async (signal) => {
            const { statusCode, headers, body } = await pool.request({
              method: request.method,
              path: request.path,
              headers: request.headers.flat(),
              body: bodyOf(request),
              signal
            })
            return {
              status: statusCode,
              headers: new Map(
                Object.entries(headers).map(([name, value]) => [
                  name,
                  Array.isArray(value) ? value.join(", ") : `${value}`
                ])
              ),
              body: Buffer.from(await body.arrayBuffer())
            }
          },
          catch: (error) => `no answer: ${String(error)} ${error instanceof Error ? String(error.cause ?? "") : ""}`
        }).pipe(Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail("no answer in 30 s") }))
    })
  )
