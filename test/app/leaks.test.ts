import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Metric, Option, Redacted, References, Tracer } from "effect"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import { appConfig, serveApp } from "../support/app.ts"
import { databaseOptions, freshDatabase } from "../support/database.ts"
import { ModelServer, replies } from "../support/model-server.ts"
import { type Answer, http, start } from "../support/service.ts"

/** What must never be told, by where it was given. */
const canaries = {
  apiKey: "sk-canary-of-the-model-1",
  authSecret: "canary-of-better-auth-2",
  databasePassword: "canary-of-the-database-3",
  message: "canary of the message 4",
  title: "canary of the title 5",
  reply: "canary of the reply 6",
  provider: "canary of the provider 7"
}

const leaksIn = (text: string, more: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries({ ...canaries, ...more }).flatMap(([name, canary]) => (text.includes(canary) ? [name] : []))

/** Everything that a client can make the service do, and most that can go wrong; answers the errors. */
const provoke = Effect.fnUntraced(function* (
  base: string,
  user: string,
  token: string,
  model: ModelServer["Service"]
): Effect.fn.Return<ReadonlyArray<Answer>> {
  const at = `${base}/api/v1/users/${user}`
  const say = (message: string, headers: Record<string, string> = {}) =>
    http("POST", `${at}/chat`, token, { message }, headers)
  const { message, provider, reply, title } = canaries

  yield* model.script(replies.calls([{ name: "add_task", arguments: { title } }]), replies.text(reply))
  const good = yield* say(message, { "idempotency-key": "one" })
  assert.strictEqual(good.status, 200)
  const failing = [401, 400, 500, 429].map((status) => ({
    type: "http" as const,
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ error: { message: `${provider}: ${canaries.apiKey} said ${message}`, code: provider } })
  }))
  const errors: Array<Answer> = []
  for (const failure of failing) {
    yield* model.otherwise(failure)
    errors.push(yield* say(message))
  }
  yield* model.otherwise({ type: "http", status: 200, headers: { "content-type": "text/html" }, body: provider })
  errors.push(yield* say(message))
  yield* model.otherwise(replies.calls([{ name: title, arguments: `{"${title}` }]))
  errors.push(yield* say(message))

  errors.push(
    yield* say(`${message}, and more`, { "idempotency-key": "one" }),
    yield* http("POST", `${at}/chat`, token, { message: [message], [title]: title }),
    yield* http("POST", `${at}/tasks`, token, { title: `${title}\0` }),
    yield* http("GET", `${at}/tasks/${encodeURIComponent(title)}`, token),
    yield* http("GET", `${at}/conversations?after=${encodeURIComponent(message)}`, token),
    yield* http("GET", `${at}/tasks/99`, token),
    yield* http("GET", `${base}/api/v1/users/other/tasks`, token),
    yield* http("GET", `${at}/tasks`, `${token}x`),
    yield* http("GET", `${base}/${encodeURIComponent(title)}`, token)
  )
  return errors
})

/** An error's body without what it is there to list: the user's own calls. */
const said = (answer: Answer): string => JSON.stringify({ ...answer.json, tool_calls: [] })

/** A database with Better Auth's tables and one session in them. */
const site = Effect.gen(function* () {
  const url = yield* freshDatabase()
  const demo = yield* Effect.provide(BetterAuth.createDemoSession, PgDatabase.layer(databaseOptions(url, 1)))
  const withPassword = new URL(url)
  withPassword.password = canaries.databasePassword
  return { url: withPassword.href, ...demo }
})

describe("nothing leaks", () => {
  it.live(
    "into the log at any level, nor into the body of an error",
    () =>
      Effect.gen(function* () {
        const { token, url, userId } = yield* site
        const model = yield* ModelServer.make
        const service = yield* start({
          DATABASE_URL: url,
          LOG_LEVEL: "All",
          BETTER_AUTH_SECRET: canaries.authSecret,
          OPENAI_API_KEY: canaries.apiKey,
          OPENAI_BASE_URL: model.baseUrl
        })
        const errors = yield* provoke(service.url, userId, token, model)
        for (const answer of errors) {
          assert.isAtLeast(answer.status, 400)
          assert.deepStrictEqual(leaksIn(said(answer), { token }), [], answer.text)
          assert.deepStrictEqual(leaksIn([...answer.headers].flat().join(" "), { token }), [])
        }
        yield* service.end("SIGTERM")
        assert.include(service.output(), "The model failed")
        assert.deepStrictEqual(leaksIn(service.output(), { token }), [], service.output())
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "into a span or a metric",
    () =>
      Effect.gen(function* () {
        const { token, url, userId } = yield* site
        const model = yield* ModelServer.make
        const spans: Array<Tracer.NativeSpan> = []
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
        const base = yield* serveApp(
          appConfig(url, {
            model: {
              _tag: "OpenAi",
              apiKey: Redacted.make(canaries.apiKey),
              model: "gpt-4",
              baseUrl: Option.some(new URL(model.baseUrl))
            }
          })
        ).pipe(Effect.provideService(Tracer.Tracer, tracer), Effect.provideService(References.TracerEnabled, true))
        yield* provoke(base, userId, token, model)
        const told = spans.map((span) =>
          [
            span.name,
            ...[...span.attributes].flat().map(String),
            ...span.events.map(([name, , attributes]) => `${name} ${JSON.stringify(attributes)}`),
            // Of how a span ended exporters tell the failure alone, with its stack.
            span.status._tag === "Ended" && Exit.isFailure(span.status.exit) ? Cause.pretty(span.status.exit.cause) : ""
          ].join(" ")
        )
        const names = new Set(spans.map((span) => span.name))
        for (const name of ["Chat.send", "Agent.run", "OpenAiModel.complete"]) assert.isTrue(names.has(name), name)
        const leaking = told.filter((text) => leaksIn(text, { token }).length > 0)
        assert.deepStrictEqual(leaking, [])
        const metrics = JSON.stringify(yield* Metric.snapshot)
        assert.deepStrictEqual(leaksIn(metrics, { token }), [])
      }).pipe(Effect.scoped),
    60_000
  )
})
