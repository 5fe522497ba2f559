import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { demoOf, http, linkOf, start, startInVain, temporaryFolder } from "../support/service.ts"

/** Runs the request that the banner prints, as it is printed. */
const runPrintedRequest = (output: string) =>
  Effect.callback<string>((resume) => {
    const request = output.slice(output.indexOf("curl "))
    const shell = spawn("sh", ["-c", `${request.trim()} -s`])
    let answer = ""
    shell.stdout.on("data", (data) => {
      answer += String(data)
    })
    shell.once("close", () => resume(Effect.succeed(answer)))
  })

describe("the embedded service", () => {
  it.live(
    "starts with nothing, talks, and has it all after a crash",
    () =>
      Effect.gen(function* () {
        const DATA_DIR = join(yield* temporaryFolder, "data")
        const first = yield* start({ DATA_DIR })
        const { token, user } = demoOf(first.output())
        assert.include(first.output(), `embedded, in ${DATA_DIR}`)
        assert.include(first.output(), "offline")

        const [line = ""] = first.output().trim().split("\n")
        assert.include(line, linkOf(first.output()))
        const { pathname, search } = new URL(linkOf(first.output()))

        const added = JSON.parse(yield* runPrintedRequest(first.output()))
        assert.strictEqual(added.tool_calls[0].tool_name, "add_task")
        assert.deepStrictEqual(added.tool_calls[0].arguments, { user_id: user, title: "Buy groceries" })
        const { conversation_id } = added
        const done = yield* http("POST", `${first.url}/api/v1/users/${user}/chat`, token, {
          message: "Mark task 1 as done",
          conversation_id
        })
        assert.strictEqual(done.status, 200)
        assert.strictEqual(done.json.tool_calls[0].result.task.completed, true)

        const locked = yield* startInVain({ DATA_DIR })
        assert.strictEqual(locked.code, 1)
        assert.include(locked.output, "Another process uses the data")

        assert.strictEqual(yield* first.end("SIGKILL"), null)
        const second = yield* start({ DATA_DIR })
        assert.deepStrictEqual(demoOf(second.output()), { token, user })
        assert.strictEqual(linkOf(second.output()), second.url + pathname + search)
        const base = `${second.url}/api/v1/users/${user}`
        const { json: messages } = yield* http("GET", `${base}/conversations/${conversation_id}/messages`, token)
        assert.deepStrictEqual(
          messages.data.map((row: { role: string; content: string; tool_calls: Array<object> }) => [
            row.role,
            row.content,
            row.tool_calls.length
          ]),
          [
            ["user", "Add a task to buy groceries", 0],
            ["assistant", added.message, 1],
            ["user", "Mark task 1 as done", 0],
            ["assistant", done.json.message, 1]
          ]
        )
        const { json: tasks } = yield* http("GET", `${base}/tasks`, token)
        assert.deepStrictEqual(
          tasks.data.map((task: { id: number; title: string; completed: boolean }) => [
            task.id,
            task.title,
            task.completed
          ]),
          [[1, "Buy groceries", true]]
        )
        assert.strictEqual(yield* second.end("SIGINT"), 0)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("tells in a sentence why it cannot start", () =>
    Effect.gen(function* () {
      const wrong = yield* startInVain({ PORT: "x", RATE_LIMIT: "0" })
      assert.strictEqual(wrong.code, 1)
      assert.include(wrong.output, "  - PORT: ")
      assert.include(wrong.output, "  - RATE_LIMIT: ")
      const file = join(yield* temporaryFolder, "file")
      writeFileSync(file, "")
      const unusable = yield* startInVain({ DATA_DIR: join(file, "data") })
      assert.strictEqual(unusable.code, 1)
      assert.include(unusable.output, "cannot be opened")
      const nowhere = yield* startInVain({ DATA_DIR: "/proc/turnkeeper/data" })
      assert.strictEqual(nowhere.code, 1)
      assert.include(nowhere.output, "cannot be opened")
      const away = yield* startInVain({ DATABASE_URL: "postgres://postgres@127.0.0.1:1/postgres" })
      assert.strictEqual(away.code, 1)
      assert.include(away.output, "ECONNREFUSED")
      for (const { output } of [wrong, unusable, nowhere, away]) assert.notMatch(output, /\n {4}at /)
    }).pipe(Effect.scoped)
  )
})
