import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const linter = fileURLToPath(import.meta.resolve("@redocly/cli/bin/cli.js"))

/** Runs Redocly's linter on an OpenAPI document in a file, and gives how it ended and what it printed. */
export const lint = (file: string, ...options: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly output: string }>((resume) => {
    const child = spawn(
      process.execPath,
      [linter, "lint", file, ...options, "--format=stylish", "--max-problems=10000"],
      {
        env: {
          PATH: process.env["PATH"],
          NO_COLOR: "1",
          REDOCLY_TELEMETRY: "off",
          REDOCLY_SUPPRESS_UPDATE_NOTICE: "true"
        },
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    child.once("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => void child.kill())
  })
