import { spawn } from "node:child_process"
import { Deferred, Effect, Schema, type Scope } from "effect"

/** An instance of the application, in a process of its own. */
export interface Instance {
  readonly url: string
  /** Sends a signal at once. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Waits for its end; answers the exit code, `null` when a signal ended it. */
  readonly ended: Effect.Effect<number | null>
}

/** Starts an instance of the application in that folder, and waits until it listens. It is gone with the scope, at the latest. */
export const start = (folder: string, env: Record<string, string>): Effect.Effect<Instance, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<number | null>()
    const { child, url } = yield* Effect.acquireRelease(
      Effect.callback<{ readonly child: ReturnType<typeof spawn>; readonly url: string }>((resume) => {
        const child = spawn(process.execPath, ["src/main.ts"], {
          cwd: folder,
          env: { PATH: process.env["PATH"], NO_COLOR: "1", PORT: "0", ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
        let output = ""
        const read = (text: string) => {
          output += text
          const url = /Listening on \S*:(\d+)/.exec(output)?.[1]
          if (url !== undefined) resume(Effect.succeed({ child, url: `http://127.0.0.1:${url}` }))
        }
        for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", read)
        child.once("close", (code) => {
          Deferred.doneUnsafe(ended, Effect.succeed(code))
          resume(Effect.die(new Error(`The application ended:\n${output}`)))
        })
      }),
      ({ child }) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return Deferred.await(ended)
        })
    )
    return { url, signal: (signal) => void child.kill(signal), ended: Deferred.await(ended) }
  })

/** The connection broke before there was an answer. */
class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { cause: Schema.Defect() }) {}

/** An answer. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of any shape, and fail where it has another
  readonly json: any
}

/** Sends a request with that session's cookie. */
export const request = (
  method: string,
  url: string,
  init: { readonly session?: string; readonly body?: object; readonly key?: string } = {}
): Effect.Effect<Answer, NoAnswer> =>
  Effect.tryPromise({
    catch: (cause) => new NoAnswer({ cause }),
    try: async (signal) => {
      const response = await fetch(url, {
        method,
        signal,
        headers: {
          ...(init.session !== undefined && { cookie: init.session }),
          ...(init.key !== undefined && { "idempotency-key": init.key }),
          ...(init.body !== undefined && { "content-type": "application/json" })
        },
        ...(init.body !== undefined && { body: JSON.stringify(init.body) })
      })
      const text = await response.text()
      const isJson = /json/.test(response.headers.get("content-type") ?? "")
      return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
    }
  })
