import { spawn } from "node:child_process"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { audience, issuer, makeKey, sign, startKeys } from "../support/keys.ts"
import { faults, ModelServer, replies } from "../support/model-server.ts"
import { startPostgres } from "../support/postgres.ts"
import { prepare } from "./support.ts"

/** Runs a program of the example, to its end or until the effect is done: then it is cut off. Answers its last line. */
const runNode = (
  folder: string,
  env: Record<string, string>,
  args: ReadonlyArray<string>,
  until: Effect.Effect<unknown> = Effect.never
) =>
  Effect.raceFirst(
    Effect.callback<string>((resume) => {
      const child = spawn(process.execPath, [...args], {
        cwd: folder,
        env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env },
        stdio: ["ignore", "pipe", "inherit"]
      })
      let output = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
      child.once("close", (code) => {
        resume(
          code === 0
            ? Effect.succeed(output.trim().split("\n").at(-1) ?? "")
            : Effect.die(new Error(`${code}: ${output}`))
        )
      })
      return Effect.callback<void>((ended) => {
        child.removeAllListeners("close").once("close", () => ended(Effect.void))
        child.kill("SIGKILL")
      })
    }),
    Effect.as(until, "")
  )

describe("examples/serverless", () => {
  it.live("answers a request by itself, and the next invocation goes on with a turn that was cut off", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.promise(() => prepare("serverless"))
      const postgres = yield* Effect.acquireRelease(
        Effect.promise(() => startPostgres(18)),
        ({ stop }) => Effect.promise(stop)
      )
      const key = yield* Effect.promise(() => makeKey("one"))
      const keys = yield* startKeys(key)
      const model = yield* ModelServer.make
      const env = {
        DATABASE_URL: postgres.url,
        OPENAI_API_KEY: "sk-none",
        OPENAI_BASE_URL: model.baseUrl,
        JWKS_URL: keys.url.href,
        JWT_ISSUER: issuer,
        JWT_AUDIENCE: audience,
        TOKEN: yield* Effect.promise(() => sign(key))
      }
      const body = JSON.stringify({ message: "Add a task to buy milk" })
      const invoke = (until?: Effect.Effect<unknown>) =>
        runNode(folder, env, ["invoke.ts", "/api/v1/users/ada/chat", "milk-1", body], until)

      yield* runNode(folder, env, ["migrate.ts"])
      yield* model.script(replies.calls([{ name: "add_task", arguments: { title: "Buy milk" } }]), faults.neverAnswers)
      // The second time that the model is asked, the task is there, and it is cut off.
      yield* invoke(Effect.andThen(model.next, model.next))
      yield* Effect.provide(
        Effect.flatMap(
          SqlClient.SqlClient,
          // Instead of the fifteen seconds after which its lease is over.
          (sql) => sql`update turnkeeper.turns set lease_until = '-infinity' where status = 'running'`
        ),
        PgClient.layer({ url: Redacted.make(postgres.url), maxConnections: 1 })
      )
      yield* model.script(replies.text("Milk is on your list."))
      const answer = JSON.parse(yield* invoke())
      assert.strictEqual(answer.status, 200, answer.text)
      const { message, tool_calls } = JSON.parse(answer.text)
      assert.strictEqual(message, "Milk is on your list.")
      assert.lengthOf(tool_calls, 1)
      assert.strictEqual(tool_calls[0].result.task.id, 1)
      const replay = JSON.parse(yield* invoke())
      assert.deepStrictEqual([replay.status, replay.headers["idempotency-replayed"]], [200, "true"])
      assert.strictEqual(replay.text, answer.text)
    }).pipe(Effect.scoped)
  )
})
