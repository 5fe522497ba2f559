import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Option, Predicate, Schema } from "effect"
import { HttpApi, HttpApiSchema } from "effect/http-api"
import openapiTS, { astToString } from "openapi-typescript"
import { Api } from "../../../src/adapters/http/Api.ts"
import { answers, requests, uiMessageId, userId, wrong } from "../../../src/adapters/http/Examples.ts"
import { serveFakes } from "../../support/http.ts"
import { lint } from "../../support/lint.ts"
import { temporaryFolder } from "../../support/service.ts"
import { json, misfit, type Operation, operations, type Shown } from "./contract/document.ts"
import { asPlanned, authorization, type Mishap, mishaps } from "./contract/morning.ts"
import { clientOf, serveService } from "./contract/service.ts"

const root = fileURLToPath(new URL("../../../", import.meta.url))

it.live("the service gives the document that is tested here", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const response = yield* server.fetch("GET", "/openapi.json")
    assert.deepStrictEqual(response.json(), JSON.parse(JSON.stringify(json)))
  })
)

/** What one would not like to lose, the same without it, and who says so. */
const losses = [
  ['"maxLength":', '"x-max-length":', "rule/strings-are-bounded"],
  ['"maxItems":', '"x-max-items":', "rule/arrays-are-bounded"],
  ['"format":"int32"', '"x-format":"int32"', "rule/integers-are-bounded"],
  ['"security":[{"bearer":[]}]', '"security":[]', "rule/users-operations-need-a-token"],
  ['"security":[],"responses"', '"x-security":[],"responses"', "rule/operations-say-who-may"],
  ['"401":', '"402":', "rule/users-operations-refuse-strangers"],
  ['"500":', '"501":', "rule/operations-may-break"],
  ['"x-request-id":', '"x-id":', "response-contains-header"],
  ['"example":', '"x-example":', "rule/parameters-have-examples"],
  ['"No token"', "4", "struct"],
  ['"completed":false', '"completed":"no"', "no-invalid-media-type-examples"],
  ['"contact":', '"x-contact":', "info-contact"]
] as const

it.live("a linter for OpenAPI finds nothing, and would find something", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const linted = (name: string, text: string) => {
      const file = join(folder, `${name}.json`)
      writeFileSync(file, text)
      return lint(file, "--config", join(root, "redocly.yaml"))
    }
    const text = JSON.stringify(json)
    const broken = losses.reduce((document, [from, to]) => document.replaceAll(from, to), text)
    const [good, bad] = yield* Effect.all([linted("good", JSON.stringify(json, null, 2)), linted("bad", broken)], {
      concurrency: 2
    })
    assert.strictEqual(good.code, 0, good.output)
    assert.include(good.output, "Your API description is valid")
    assert.notMatch(good.output, /warning/i)
    assert.strictEqual(bad.code, 1)
    for (const [, , rule] of losses) {
      assert.include(bad.output, rule)
    }
  })
)

/** What decodes the bodies of an endpoint. */
interface Bodies {
  readonly request: ReadonlyArray<Schema.Top>
  readonly responses: ReadonlyMap<number, ReadonlyArray<Schema.Top>>
}

const bodies = new Map<string, Bodies>()
HttpApi.reflect(Api, {
  onGroup: () => undefined,
  onEndpoint: ({ endpoint, successes, errors }) => {
    bodies.set(`${endpoint.method} ${endpoint.path.replaceAll(/:(\w+)/g, "{$1}")}`, {
      request: Array.from(endpoint.payload.values()).flatMap((entry) => ("schemas" in entry ? entry.schemas : [])),
      responses: new Map([...successes, ...errors])
    })
  }
})

/** Refuses what the schema does not know, be it a name in an inner object. */
const decodes = (schema: Schema.Top, value: unknown) => {
  const body = HttpApiSchema.isWithHeaders(schema) ? schema.schema : schema
  return Schema.decodeUnknownExit(body as Schema.Codec<unknown>, { onExcessProperty: "error" })(value)
}

const Problem = Schema.Struct({ request_id: Schema.String, error: Schema.Struct({ code: Schema.String }) })
const problemOf = Schema.decodeUnknownOption(Problem)

const codeOf = (value: unknown) =>
  Option.match(problemOf(value), { onNone: () => [], onSome: ({ error }) => [error.code] })

const fits = (shown: Shown, known: ReadonlyArray<Schema.Top>, at: string) => {
  assert.strictEqual(misfit(shown.schema, shown.value), undefined, at)
  const exits = known.map((schema) => decodes(schema, shown.value))
  assert.isTrue(exits.some(Exit.isSuccess), `${at}: ${exits.map(String).join()}`)
}

describe.each(operations)("$id", (operation) => {
  const known = bodies.get(`${operation.method} ${operation.path}`)
  const at = (name: string) => `${operation.id}: ${name}`

  it("has an example of its request, its answer and each of its problems, and they fit its schemas", () => {
    assert.strictEqual(operation.requests.length > 0, known?.request.length === 1)
    for (const shown of operation.requests) {
      fits(shown, known?.request ?? [], at(shown.name))
    }
    assert.strictEqual(operation.streams.length, /\/(?:chat|ui|events|stream)$/.test(operation.path) ? 1 : 0)
    for (const { status, types, codes, shown } of operation.responses) {
      const silent = status === 204 || (status === 200 && /\/(?:ui|events|stream)$/.test(operation.path))
      assert.strictEqual(types.length, silent ? 0 : 1)
      assert.strictEqual(shown.length > 0, !silent, at(String(status)))
      assert.sameMembers(
        Array.from(new Set(shown.flatMap(({ value }) => codeOf(value)))),
        Array.from(codes),
        at(String(status))
      )
      for (const example of shown) {
        fits(example, known?.responses.get(status) ?? [], at(example.name))
      }
    }
  })
})

/** Strings that may be as long as one likes. */
const unbounded = (schema: unknown): ReadonlyArray<unknown> => {
  if (!Predicate.isObject(schema)) {
    return Array.isArray(schema) ? schema.flatMap(unbounded) : []
  }
  const known = ["maxLength", "enum", "const"].some((bound) => bound in schema)
  return schema["type"] === "string" && !known ? [schema] : Object.values(schema).flatMap(unbounded)
}

it("a request has no string without a bound", () => {
  assert.isNotEmpty(unbounded({ properties: { message: { type: "string" } } }))
  for (const { id, requestSchemas } of operations) {
    assert.isEmpty(requestSchemas.flatMap(unbounded), id)
  }
})

/** The request that the document shows for an operation, in so far as nothing is to go wrong. */
const requestOf = (operation: Operation, example: string, mishap: Mishap) => {
  const query = new URLSearchParams()
  const headers: Record<string, string> = { authorization }
  let path = operation.path
  for (const parameter of operation.parameters) {
    const value = mishap.parameters?.[parameter.name] ?? String(parameter.example)
    if (parameter.in === "path") {
      path = path.replace(`{${parameter.name}}`, value)
    } else if (parameter.in === "query") {
      query.set(parameter.name, value)
    } else {
      headers[parameter.name] = value
    }
  }
  const shown = operation.requests.find(({ name }) => name === example) ?? operation.requests[0]
  const body = mishap.body ?? (shown === undefined ? undefined : JSON.stringify(shown.value))
  return {
    path: query.size === 0 ? path : `${path}?${query}`,
    init: { headers: { ...headers, ...mishap.headers }, ...(body !== undefined && { body }) }
  }
}

/** Each answer that the document shows. */
const shownAnswers = operations.flatMap((operation) =>
  operation.responses.flatMap(({ status, types, headers, shown }) =>
    shown.map((example) => ({ operation, status, type: types[0], headers, ...example }))
  )
)

/** What the service does is to be what is shown. */
const gives = (
  server: Effect.Success<ReturnType<typeof serveFakes>>,
  shown: (typeof shownAnswers)[number],
  mishap: Mishap
) =>
  Effect.gen(function* () {
    const { operation, name, value } = shown
    const { path, init } = requestOf(operation, name, mishap)
    const id = Option.match(problemOf(value), { onNone: () => "a", onSome: (problem) => problem.request_id })
    const response = yield* server.fetch(operation.method, path, {
      ...init,
      headers: { ...init.headers, "x-request-id": id }
    })
    const at = `${operation.id}: ${name}`
    assert.strictEqual(response.status, shown.status, `${at}: ${response.text}`)
    assert.deepStrictEqual(response.json(), value, at)
    assert.strictEqual(response.headers["content-type"], shown.type, at)
    const optional = ["idempotency-replayed"]
    assert.includeMembers([...Object.keys(response.headers), ...optional], shown.headers.slice(), at)
  })

it.live("the service gives the answers that are shown for the requests that are shown", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes(asPlanned)
    const shown = shownAnswers.filter(({ status }) => status < 400)
    assert.isAbove(shown.length, 10)
    yield* Effect.forEach(shown, (answer) => gives(server, answer, {}), { discard: true })
    const silent = operations.filter(({ responses }) => responses.some(({ status }) => status === 204))
    for (const operation of silent) {
      const { path, init } = requestOf(operation, "", {})
      const response = yield* server.fetch(operation.method, path, init)
      assert.deepStrictEqual([response.status, response.text], [204, ""], operation.id)
    }
  })
)

/** That is told of every operation, but the process itself has nothing that could break before the test does. */
const unprovoked = new Set(["isLive: Internal", "getMe: Internal"])

describe.each(Object.entries(mishaps))("%s", (name, mishap) => {
  it.live("is what the service says of it, wherever it is shown", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes(mishap.fakes ?? asPlanned)
      const shown = shownAnswers.filter(
        (answer) => answer.status >= 400 && answer.name === name && !unprovoked.has(`${answer.operation.id}: ${name}`)
      )
      assert.isNotEmpty(shown)
      yield* Effect.forEach(shown, (answer) => gives(server, answer, mishap), { discard: true })
    })
  )
})

it.live("a request without a Host is told so, as it is shown", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const shown = shownAnswers.filter(({ name }) => name === "MissingHost")
    assert.isNotEmpty(shown)
    const { value } = wrong.MissingHost
    for (const { operation } of shown) {
      const head = `GET ${operation.path} HTTP/1.1\r\nX-Request-Id: ${value.request_id}\r\nConnection: close\r\n\r\n`
      const text = yield* server.raw(head)
      assert.match(text, /^HTTP\/1\.1 400 /)
      assert.deepStrictEqual(JSON.parse(text.slice(text.indexOf("\r\n\r\n"))), value)
    }
  })
)

const generated = [
  "// Generated by openapi-typescript from the document; `vitest run test/adapters/http/contract.test.ts -u` makes it anew.",
  "// biome-ignore-all format: it is left as the generator makes it",
  "// biome-ignore-all lint: it is left as the generator makes it",
  ""
].join("\n")

it("the types of the generated client are those of the document", async () => {
  const text = generated + astToString(await openapiTS(JSON.stringify(json)))
  await expect(text).toMatchFileSnapshot("./contract/schema.d.ts")
})

/** What an answer has when it is none of a problem. */
const dataOf = <A>({
  data,
  error
}: { readonly data: A; readonly error?: never } | { readonly data?: never; readonly error: unknown }): A =>
  data ?? assert.fail(JSON.stringify(error))

it.live("the generated client can do all that the service offers, and nothing surprises it", () =>
  Effect.gen(function* () {
    const { client, found, seen } = clientOf(yield* serveService)
    const path = { user_id: userId }
    yield* Effect.promise(async () => {
      const key = { "idempotency-key": "buy-groceries-1" }
      const first = await client.POST("/api/v1/users/{user_id}/chat", {
        params: { path, header: key },
        body: requests.chat.NewConversation.value
      })
      const reply = dataOf(first)
      // The example of the document is what the offline model says.
      assert.strictEqual(reply.message, answers.reply.NewConversation.value.message)
      assert.deepStrictEqual(
        reply.tool_calls.map(({ tool_name, status, arguments: args }) => ({ tool_name, status, args })),
        [{ tool_name: "add_task", status: "success", args: { user_id: userId, title: "Buy groceries" } }]
      )
      assert.strictEqual(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
      assert.isNull(first.response.headers.get("idempotency-replayed"))

      const again = await client.POST("/api/v1/users/{user_id}/chat", {
        params: { path, header: key },
        body: requests.chat.NewConversation.value
      })
      assert.deepStrictEqual(dataOf(again), reply)
      assert.strictEqual(again.response.headers.get("idempotency-replayed"), "true")

      const me = dataOf(await client.GET("/api/v1/me", {}))
      assert.deepStrictEqual(me, answers.me.Demo.value)

      const { conversation_id, turn_id } = reply
      const turn = await client.GET("/api/v1/users/{user_id}/turns/{turn_id}", {
        params: { path: { ...path, turn_id } }
      })
      const { conversation_id: of, reply: stored, status } = dataOf(turn)
      assert.deepStrictEqual([of, stored, status], [conversation_id, reply, "completed"])
      const stopped = await client.POST("/api/v1/users/{user_id}/turns/{turn_id}/stop", {
        params: { path: { ...path, turn_id } }
      })
      assert.deepStrictEqual(dataOf(stopped), dataOf(turn))
      const events = await client.GET("/api/v1/users/{user_id}/turns/{turn_id}/events", {
        params: { path: { ...path, turn_id }, header: { "last-event-id": "1.1.0" } },
        parseAs: "text"
      })
      assert.match(dataOf(events), /event: completed/)
      const second = await client.POST("/api/{user_id}/chat", {
        params: { path },
        body: { ...requests.chat.SameConversation.value, conversation_id }
      })
      assert.strictEqual(dataOf(second).message, answers.reply.SameConversation.value.message)
      assert.strictEqual(dataOf(second).conversation_id, conversation_id)
      const other = await client.POST("/api/v1/users/{user_id}/chat", {
        params: { path },
        body: { message: "What is on my list?", conversation_id: null }
      })
      assert.notStrictEqual(dataOf(other).conversation_id, conversation_id)

      const ofConversation = { path: { ...path, conversation_id } }
      const messages = dataOf(
        await client.GET("/api/v1/users/{user_id}/conversations/{conversation_id}/messages", { params: ofConversation })
      )
      assert.deepStrictEqual(
        messages.data.map(({ seq, role, turn_status }) => [seq, role, turn_status]),
        [
          [1, "user", "completed"],
          [2, "assistant", "completed"],
          [3, "user", "completed"],
          [4, "assistant", "completed"]
        ]
      )
      assert.isFalse(messages.has_more)
      const backwards = dataOf(
        await client.GET("/api/v1/users/{user_id}/conversations/{conversation_id}/messages", {
          params: { ...ofConversation, query: { order: "desc", limit: 3 } }
        })
      )
      assert.deepStrictEqual(
        backwards.data.map(({ id }) => id),
        messages.data
          .map(({ id }) => id)
          .reverse()
          .slice(0, 3)
      )
      const rest = dataOf(
        await client.GET("/api/v1/users/{user_id}/conversations/{conversation_id}/messages", {
          params: { ...ofConversation, query: { order: "desc", after: backwards.next_cursor ?? "" } }
        })
      )
      assert.deepStrictEqual(rest.data, messages.data.slice(0, 1))

      const newest = dataOf(
        await client.GET("/api/v1/users/{user_id}/conversations", { params: { path, query: { limit: 1 } } })
      )
      assert.deepStrictEqual(
        [newest.data.map(({ id }) => id), newest.has_more],
        [[dataOf(other).conversation_id], true]
      )
      const older = dataOf(
        await client.GET("/api/v1/users/{user_id}/conversations", {
          params: { path, query: { after: newest.next_cursor ?? "" } }
        })
      )
      assert.deepStrictEqual([older.data.map(({ id }) => id), older.next_cursor], [[conversation_id], null])

      const renamed = dataOf(
        await client.PATCH("/api/v1/users/{user_id}/conversations/{conversation_id}", {
          params: ofConversation,
          body: requests.rename.Rename.value
        })
      )
      assert.strictEqual(renamed.title, "Groceries")
      const conversation = await client.GET("/api/v1/users/{user_id}/conversations/{conversation_id}", {
        params: ofConversation
      })
      assert.deepStrictEqual(dataOf(conversation), renamed)
      const deleted = await client.DELETE("/api/v1/users/{user_id}/conversations/{conversation_id}", {
        params: ofConversation
      })
      assert.strictEqual(deleted.response.status, 204)
    })
    yield* Effect.promise(async () => {
      const added = await client.POST("/api/v1/users/{user_id}/tasks", {
        params: { path },
        body: requests.newTask.Parcel.value
      })
      assert.strictEqual(added.response.status, 201)
      assert.strictEqual(added.response.headers.get("location"), `/api/v1/users/${userId}/tasks/2`)
      const ofTask = { path: { ...path, task_id: dataOf(added).id } }
      const task = dataOf(await client.GET("/api/v1/users/{user_id}/tasks/{task_id}", { params: ofTask }))
      assert.deepStrictEqual(task, dataOf(added))
      const changed = dataOf(
        await client.PATCH("/api/v1/users/{user_id}/tasks/{task_id}", {
          params: ofTask,
          body: { title: "Send the parcel", description: null }
        })
      )
      assert.deepInclude(changed, { id: 2, title: "Send the parcel", description: null, completed: false })

      const titles: Array<string> = []
      let after: string | null = null
      do {
        const query: { limit: number; after?: string } = { limit: 1, ...(after !== null && { after }) }
        // biome-ignore lint/performance/noAwaitInLoops: a page tells where the next one begins
        const tasks = dataOf(await client.GET("/api/v1/users/{user_id}/tasks", { params: { path, query } }))
        titles.push(...tasks.data.map(({ title }) => title))
        after = tasks.next_cursor
      } while (after !== null)
      assert.deepStrictEqual(titles, ["Buy groceries", "Send the parcel"])
      const completed = dataOf(
        await client.GET("/api/v1/users/{user_id}/tasks", { params: { path, query: { status: "completed" } } })
      )
      assert.deepStrictEqual(
        completed.data.map(({ title }) => title),
        ["Buy groceries"]
      )
      const removed = await client.DELETE("/api/v1/users/{user_id}/tasks/{task_id}", { params: ofTask })
      assert.strictEqual(removed.response.status, 204)

      const [asked] = requests.ui.NewChat.value.messages
      const ui = await client.POST("/api/v1/users/{user_id}/chat/ui", {
        params: { path },
        body: { id: requests.ui.NewChat.value.id, messages: [{ ...asked, parts: [...asked.parts] }] },
        parseAs: "text"
      })
      assert.match(dataOf(ui), /"type":"finish"/)
      const chat = { params: { path: { ...path, chat_id: requests.ui.NewChat.value.id } } }
      assert.strictEqual(
        (await client.GET("/api/v1/users/{user_id}/chat/ui/{chat_id}/stream", chat)).response.status,
        204
      )
      const shown = await client.GET("/api/v1/users/{user_id}/chat/ui/{chat_id}/messages", chat)
      assert.deepStrictEqual(
        dataOf(shown).data.map(({ id, role }) => [id === uiMessageId, role]),
        [
          [true, "user"],
          [false, "assistant"]
        ]
      )

      const erased = await client.DELETE("/api/v1/users/{user_id}/data", { params: { path } })
      assert.strictEqual(erased.response.status, 204)
      const nothing = dataOf(await client.GET("/api/v1/users/{user_id}/tasks", { params: { path } }))
      assert.deepStrictEqual(nothing, { data: [], has_more: false, next_cursor: null })

      assert.strictEqual(dataOf(await client.GET("/health/live")).status, "ok")
      assert.strictEqual(dataOf(await client.GET("/health/ready")).status, "ok")
    })
    assert.deepStrictEqual(found, [])
    assert.sameMembers(
      Array.from(seen),
      operations.map((operation) => `${operation.method} ${operation.path}`)
    )
  })
)

it.live("the generated client knows what may go wrong", () =>
  Effect.gen(function* () {
    const { client, found } = clientOf(yield* serveService)
    const path = { user_id: userId }
    yield* Effect.promise(async () => {
      const missing = await client.GET("/api/v1/users/{user_id}/tasks/{task_id}", {
        params: { path: { ...path, task_id: 1 } }
      })
      assert.strictEqual(missing.error?.error.code, "not_found")
      assert.strictEqual(missing.error?.status, 404)

      const stranger = await client.GET("/api/v1/users/{user_id}/tasks", {
        params: { path },
        headers: { authorization: "Bearer old-token" }
      })
      assert.strictEqual(stranger.error?.type, "urn:turnkeeper:problem:unauthorized")
      assert.strictEqual(stranger.response.headers.get("www-authenticate"), 'Bearer error="invalid_token"')

      const foreign = await client.DELETE("/api/v1/users/{user_id}/data", { params: { path: { user_id: "another" } } })
      assert.strictEqual(foreign.error?.status, 403)

      const empty = await client.POST("/api/v1/users/{user_id}/tasks", { params: { path }, body: { title: " " } })
      if (empty.error?.status !== 400) {
        return assert.fail("an empty title is no title")
      }
      // The status tells the problems apart, to the compiler as well.
      assert.deepStrictEqual(
        empty.error.errors.map((value) => value.path),
        ["title"]
      )

      const long = await client.POST("/api/v1/users/{user_id}/tasks", {
        params: { path },
        body: { title: "a".repeat(70_000) }
      })
      assert.strictEqual(long.error?.status, 413)

      const say = (message: string, key: string) =>
        client.POST("/api/v1/users/{user_id}/chat", {
          params: { path, header: { "idempotency-key": key } },
          body: { message }
        })
      await say("Add a task to buy groceries", "key")
      const reused = await say("Add a task to buy milk", "key")
      assert.strictEqual(reused.error?.status === 422 && reused.error.error.code, "idempotency_key_reused")
      await Promise.all([say("hello", "2"), say("hello", "3"), say("hello", "4")])
      const many = await say("hello", "5")
      assert.strictEqual(many.error?.status === 429 && many.error.error.code, "rate_limited")
      assert.match(many.response.headers.get("retry-after") ?? "", /^[1-9][0-9]*$/)
    })
    assert.deepStrictEqual(found, [])
  })
)

it.live("the generated client is told of turns that are running or have failed", () =>
  Effect.gen(function* () {
    const say = Effect.fnUntraced(function* (mishap: Mishap) {
      const { port } = yield* serveFakes(mishap.fakes)
      const { client, found } = clientOf(`http://127.0.0.1:${port}`)
      const { error } = yield* Effect.promise(() =>
        client.POST("/api/v1/users/{user_id}/chat", {
          params: { path: { user_id: userId } },
          body: { message: "Hello" }
        })
      )
      assert.deepStrictEqual(found, [])
      return error ?? assert.fail("it went well")
    })
    const busy = yield* say(mishaps.ConversationBusy)
    assert.strictEqual(busy.status === 409 && busy.error.code, "conversation_busy")
    const running = yield* say(mishaps.TurnInProgress)
    assert.strictEqual(running.status === 409 && running.error.code, "turn_in_progress")
    const failed = yield* say(mishaps.ModelFailed)
    if (failed.status !== 502) {
      return assert.fail("the turn has failed")
    }
    assert.isTrue(failed.retryable)
    assert.deepStrictEqual(
      failed.tool_calls.map((call) => call.tool_name),
      ["add_task"]
    )
  })
)

it("the compiler refuses a client that does not keep to the contract", () => {
  const { client } = clientOf("http://127.0.0.1:9")
  const params = { path: { user_id: userId } }
  // What is refused here is never sent.
  const refused = [
    // @ts-expect-error: the message has another name
    () => client.POST("/api/v1/users/{user_id}/chat", { params, body: { text: "Hello" } }),
    () =>
      client.PATCH("/api/v1/users/{user_id}/tasks/{task_id}", {
        params: { path: { ...params.path, task_id: 1 } },
        // @ts-expect-error: it is or it is not
        body: { completed: "yes" }
      }),
    // @ts-expect-error: a number is no text
    () => client.POST("/api/v1/users/{user_id}/tasks", { params, body: { title: 7 } }),
    // @ts-expect-error: the number of the task is missing
    () => client.GET("/api/v1/users/{user_id}/tasks/{task_id}", { params }),
    // @ts-expect-error: there is no such order
    () => client.GET("/api/v1/users/{user_id}/tasks", { params: { ...params, query: { status: "done" } } }),
    // @ts-expect-error: there is no such path
    () => client.GET("/api/v1/users/{user_id}/lists", { params }),
    // @ts-expect-error: nor such a method
    () => client.PUT("/api/v1/users/{user_id}/tasks", { params }),
    // @ts-expect-error: nor such a field in the answer
    async () => (await client.GET("/api/v1/users/{user_id}/tasks", { params })).data?.nextCursor,
    // @ts-expect-error: nor such a code
    async () => (await client.GET("/health/live")).error?.error.code === "not_found"
  ]
  assert.isNotEmpty(refused)
})
