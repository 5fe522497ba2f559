import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"

const main = fileURLToPath(new URL("../../src/app/main.ts", import.meta.url))

/** A temporary folder, which goes with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** The real service in a process of its own. */
export interface Service {
  readonly url: string
  /** Everything it has printed. */
  readonly output: () => string
  /** Sends a signal. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Sends a signal and waits for the end; answers the exit code, `null` when the signal ended it. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<number | null>
}

const ended = (child: ChildProcess): Effect.Effect<number | null> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.exitCode))
    child.once("close", (code) => resume(Effect.succeed(code)))
  })

const launch = (
  env: Record<string, string>,
  cwd: string,
  entry = main
): { readonly child: ChildProcess; output: string } => {
  const child = spawn(process.execPath, [entry], {
    cwd,
    env: { PATH: process.env["PATH"], PORT: "0", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const state = { child, output: "" }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      state.output += text
    })
  }
  return state
}

/**
 * Starts the service, with nothing in its environment but this, and waits for its banner; it ends with the scope. An
 * entry point of one's own may stand in for that of the product.
 */
export const start = (env: Record<string, string>, entry?: string): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function* () {
    const cwd = yield* temporaryFolder
    const state = yield* Effect.acquireRelease(
      Effect.sync(() => launch(env, cwd, entry)),
      ({ child }) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return ended(child)
        })
    )
    const url = yield* Effect.callback<string>((resume) => {
      const look = () => {
        const found = /listens on (http:\S+)/.exec(state.output)?.[1]
        // The banner ends with an empty line.
        if (found !== undefined && state.output.endsWith("\n\n")) resume(Effect.succeed(found))
      }
      state.child.stdout?.on("data", look)
      state.child.once("close", () => resume(Effect.die(new Error(`The service ended:\n${state.output}`))))
    })
    return {
      url,
      output: () => state.output,
      signal: (signal) => Effect.sync(() => void state.child.kill(signal)),
      end: (signal) =>
        Effect.suspend(() => {
          state.child.kill(signal)
          return ended(state.child)
        })
    }
  })

/** Starts the service with a configuration that cannot work, and answers how it ended. */
export const startInVain = (env: Record<string, string>, entry?: string) =>
  Effect.gen(function* () {
    const state = launch(env, yield* temporaryFolder, entry)
    const code = yield* ended(state.child)
    return { code, output: state.output }
  }).pipe(Effect.scoped)

/** What a request was answered. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of any shape, and fail where it has another
  readonly json: any
}

/** Sends a request as the user of the token. */
export const http = (
  method: string,
  url: string,
  token: string,
  body?: object,
  headers: Record<string, string> = {}
): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text === "" || response.headers.get("content-type") === "text/event-stream" ? undefined : JSON.parse(text)
    }
  })

/** The link that a banner tells, which signs the page in. */
export const linkOf = (output: string): string =>
  /^ *Open (http:\S+\/\?key=\S+) /m.exec(output)?.[1] ?? assert.fail(`The banner tells of no link:\n${output}`)

/** The demo user and token that a banner tells. */
export const demoOf = (output: string): { readonly user: string; readonly token: string } => {
  const user = /demo user +(\S+)/.exec(output)?.[1]
  const token = /its token +(\S+)/.exec(output)?.[1]
  if (user === undefined || token === undefined) return assert.fail(`The banner tells of no demo user:\n${output}`)
  return { user, token }
}
