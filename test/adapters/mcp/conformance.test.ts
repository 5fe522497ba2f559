import { spawn } from "node:child_process"
import { createServer, request } from "node:http"
import { createRequire } from "node:module"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import * as Tool from "../../../src/domain/Tool.ts"
import * as Tools from "../../../src/domain/Tools.ts"
import { serveMcp } from "../../support/mcp.ts"

/**
 * Those of the protocol's own scenarios for servers that are about tools and the transport. The others are about:
 *
 * - resources, prompts, completion, sampling, elicitation, progress and log messages, of which this server has none
 * - tools whose results are plain text, images, audio or embedded resources: those of this agent's are JSON
 * - `json-schema-2020-12`, which wants a schema as it is written by hand, with `$schema` and `$defs`: ours are made of Effect's
 * - `server-sse-polling`, which resumes streams; answers here are short, and their keys stand for that
 * - `server-sse-multiple-streams`, which sends, in a session of one revision, headers of another, and is refused
 */
const scenarios = [
  "server-initialize",
  "ping",
  "logging-set-level",
  "tools-list",
  "tools-call-error",
  "dns-rebinding-protection"
]

const failing = Tool.make({
  name: "test_error_handling",
  description: "Fails.",
  parameters: Schema.Struct({}),
  result: Schema.Struct({}),
  kind: "transactional",
  handler: () => new Tool.ToolFailed({ message: "This tool intentionally returns an error for testing" })
})

/** The scenarios know of no tokens: this adds one to whatever passes. */
const withToken = (url: string, token: string) =>
  Effect.acquireRelease(
    Effect.callback<readonly [port: number, close: () => void]>((resume) => {
      const proxy = createServer((incoming, outgoing) => {
        const headers = { ...incoming.headers, authorization: `Bearer ${token}` }
        const forwarded = request(url, { method: incoming.method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(outgoing)
        })
        incoming.pipe(forwarded)
      })
      proxy.listen(0, "127.0.0.1", () => {
        const address = proxy.address()
        const port = typeof address === "object" && address !== null ? address.port : assert.fail("there is no port")
        resume(Effect.succeed([port, () => proxy.close()]))
      })
    }),
    ([, close]) => Effect.sync(close)
  ).pipe(Effect.map(([port]) => `http://localhost:${port}/mcp`))

const program = createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/dist/index.js")

const runScenario = (url: string, scenario: string) =>
  Effect.callback<{ readonly code: number | null; readonly output: string }>((resume) => {
    const child = spawn(process.execPath, [program, "server", "--url", url, "--scenario", scenario])
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    child.on("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => child.kill())
  })

layer(Memory.layer, { excludeTestServices: true })("The protocol's conformance scenarios", (it) => {
  for (const scenario of scenarios) {
    it.effect(scenario, () =>
      Effect.gen(function* () {
        const url = yield* withToken(yield* serveMcp({ tools: Tools.layerWith(failing) }), "ada-token")
        const { code, output } = yield* runScenario(url, scenario)
        assert.strictEqual(code, 0, output)
        assert.match(output, /Passed: (\d+)\/\1, 0 failed, 0 warnings/, output)
      })
    )
  }
})
