import { assert, it } from "@effect/vitest"
import { Effect, Predicate, Schema } from "effect"
import { serveFakes } from "../../support/http.ts"

const Operation = Schema.Struct({
  operationId: Schema.String,
  tags: Schema.Array(Schema.String),
  summary: Schema.String,
  security: Schema.Array(Schema.Record(Schema.String, Schema.Array(Schema.String))),
  parameters: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      in: Schema.String,
      required: Schema.Boolean,
      description: Schema.String,
      schema: Schema.Record(Schema.String, Schema.Unknown)
    })
  ),
  requestBody: Schema.optionalKey(
    Schema.Struct({
      required: Schema.Boolean,
      content: Schema.Record(
        Schema.String,
        Schema.Struct({ schema: Schema.Struct({ properties: Schema.Record(Schema.String, Schema.Unknown) }) })
      )
    })
  ),
  responses: Schema.Record(
    Schema.String,
    Schema.Struct({
      description: Schema.String,
      content: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ schema: Schema.Unknown }))),
      headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
    })
  )
})

const decodeDocument = Schema.decodeUnknownSync(
  Schema.Struct({
    openapi: Schema.String,
    paths: Schema.Record(Schema.String, Schema.Record(Schema.String, Operation)),
    components: Schema.Struct({
      schemas: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Unknown)),
      securitySchemes: Schema.Unknown
    })
  })
)

const served = Effect.gen(function* () {
  const server = yield* serveFakes()
  const response = yield* server.fetch("GET", "/openapi.json", { headers: { authorization: "" } })
  const document = decodeDocument(response.json())
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, ...operation }))
  )
  return { response, document, operations }
})

it.live("the document is OpenAPI 3.1, in which every operation has a name, a tag and a summary", () =>
  Effect.gen(function* () {
    const { response, document, operations } = yield* served
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers["content-type"], "application/json")
    assert.strictEqual(document.openapi, "3.1.0")
    assert.deepStrictEqual(operations.map(({ operationId }) => operationId).sort(), [
      "createTask",
      "deleteConversation",
      "deleteTask",
      "eraseUserData",
      "followTurn",
      "getConversation",
      "getMe",
      "getTask",
      "getTurn",
      "isLive",
      "isReady",
      "listConversations",
      "listMessages",
      "listTasks",
      "listUiMessages",
      "renameConversation",
      "resumeUiMessage",
      "sendMessage",
      "sendMessageAlias",
      "sendUiMessage",
      "stopTurn",
      "updateTask"
    ])
    for (const { tags, summary } of operations) {
      assert.strictEqual(tags.length, 1)
      assert.isAbove(summary.length, 0)
    }
  })
)

type Described = Effect.Success<typeof served>["operations"][number]

const problemsOf = ({ path, requestBody, operationId }: Described): Array<string> => {
  if (path.startsWith("/health")) {
    return operationId === "isReady" ? ["400", "500", "503"] : ["400", "500"]
  }
  if (operationId === "getMe") {
    return ["400", "401", "500", "503"]
  }
  const statuses = ["400", "401", "403", "500", "503"]
  if (requestBody !== undefined) {
    statuses.push("413", "415")
  }
  if (/\/chat(?:\/ui)?$/.test(path)) {
    statuses.push("404", "409", "422", "429", "502")
  }
  if (operationId === "createTask") {
    statuses.push("422")
  }
  if (/\{(?:conversation|task|turn)_id\}/.test(path)) {
    statuses.push("404")
  }
  return statuses
}

const problemHeaders = new Map([
  ["401", ["www-authenticate"]],
  ["409", ["retry-after"]],
  ["429", ["retry-after", "ratelimit-policy", "ratelimit"]],
  ["503", ["retry-after"]]
])

it.live("every operation tells its problems, as what they are sent as", () =>
  Effect.gen(function* () {
    const { operations } = yield* served
    for (const operation of operations) {
      const problems = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400)
      assert.deepStrictEqual(
        problems.map(([status]) => status).sort(),
        problemsOf(operation).sort(),
        operation.operationId
      )
      for (const [status, { content, headers }] of problems) {
        assert.deepStrictEqual(Object.keys(content ?? {}), ["application/problem+json"])
        assert.deepStrictEqual(Object.keys(headers ?? {}), [...(problemHeaders.get(status) ?? []), "x-request-id"])
      }
    }
    const created = operations.find(({ operationId }) => operationId === "createTask")?.responses["201"]
    assert.property(created?.headers, "location")
    const sent = operations.find(({ operationId }) => operationId === "sendMessage")?.responses["200"]
    assert.property(sent?.headers, "idempotency-replayed")
  })
)

it.live("a user's operations ask for a bearer token, and no others do", () =>
  Effect.gen(function* () {
    const { document, operations } = yield* served
    assert.deepStrictEqual(document.components.securitySchemes, {
      bearer: { type: "http", scheme: "Bearer", description: "The token that the user got where users sign in" }
    })
    for (const { path, security } of operations) {
      assert.deepStrictEqual(security, path.startsWith("/health") ? [] : [{ bearer: [] }])
    }
  })
)

it.live("parameters are told with their bounds", () =>
  Effect.gen(function* () {
    const { operations } = yield* served
    const expected = new Map<string, unknown>([
      ["user_id", { type: "string", minLength: 1, maxLength: 128, pattern: "^[A-Za-z0-9_-]{1,128}$" }],
      ["conversation_id", { type: "string", format: "uuid", minLength: 36, maxLength: 36 }],
      ["turn_id", { type: "string", format: "uuid", minLength: 36, maxLength: 36 }],
      ["chat_id", { type: "string", minLength: 1, maxLength: 255 }],
      ["task_id", { type: "integer", format: "int32", minimum: 1, maximum: 2_147_483_647 }],
      ["status", { type: "string", enum: ["all", "pending", "completed"], default: "all" }],
      ["order", { type: "string", enum: ["asc", "desc"], default: "asc" }],
      ["after", { type: "string", minLength: 1, maxLength: 512 }],
      ["idempotency-key", { type: "string", minLength: 1, maxLength: 512 }],
      [
        "last-event-id",
        { type: "string", minLength: 5, maxLength: 29, pattern: "^(\\d{1,9})\\.(\\d{1,9})\\.(\\d{1,9})$" }
      ]
    ])
    for (const { path, parameters, operationId } of operations) {
      const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
      assert.deepStrictEqual(
        parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name),
        inPath
      )
      for (const parameter of parameters) {
        assert.strictEqual(parameter.required, parameter.in === "path")
        const maximum = operationId === "listConversations" ? 100 : 200
        const usual = operationId === "listUiMessages" ? 200 : 50
        assert.deepStrictEqual(
          parameter.schema,
          expected.get(parameter.name) ?? { type: "integer", format: "int32", minimum: 1, maximum, default: usual },
          parameter.name
        )
      }
    }
  })
)

it.live("bodies are told with their bounds", () =>
  Effect.gen(function* () {
    const { operations } = yield* served
    const properties = Object.fromEntries(
      operations.flatMap(({ operationId, requestBody }) =>
        requestBody === undefined ? [] : [[operationId, requestBody.content["application/json"]?.schema.properties]]
      )
    )
    const text = (description: string, minLength: number, maxLength: number) => ({
      type: "string",
      minLength,
      maxLength,
      description
    })
    const message = {
      message: text("What the user says", 1, 2000),
      conversation_id: {
        anyOf: [
          {
            type: "string",
            format: "uuid",
            minLength: 36,
            maxLength: 36,
            description: "A conversation",
            examples: ["019bd5b2-7100-7a61-9c0e-5d3f2b8a4e17"]
          },
          { type: "null" }
        ]
      }
    }
    const chatId = {
      ...text("A chat, by the id that the front end gave it: a conversation's id, or any other text", 1, 255),
      examples: ["019bd5b2-7100-7a61-9c0e-5d3f2b8a4e17"]
    }
    const anyText = { type: "string", maxLength: 1_048_576 }
    const part = { type: "object", properties: { type: anyText, text: anyText }, required: ["type"] }
    const messages = {
      type: "array",
      description: "Messages of the AI SDK (`UIMessage`). The text of the user's last one is what the agent is told.",
      maxItems: 10_000,
      items: {
        type: "object",
        properties: {
          id: { ...anyText, description: "Sent again under this id, it is the same turn" },
          role: { type: "string", enum: ["system", "user", "assistant"] },
          parts: { type: "array", maxItems: 1_048_576, items: part }
        },
        required: ["role", "parts"]
      }
    }
    const title = text("What is to be done", 1, 255)
    const description = {
      anyOf: [{ type: "string", maxLength: 2000, description: "More about it" }, { type: "null" }]
    }
    assert.deepStrictEqual(properties, {
      sendMessage: message,
      sendMessageAlias: message,
      sendUiMessage: { id: chatId, messages },
      renameConversation: { title: text("The new title", 1, 255) },
      createTask: { title, description },
      updateTask: { title, description, completed: { type: "boolean" } }
    })
  })
)

it.live(
  "what is named is there, times are times, ids UUIDs, counts not negative, and nothing forbids what may come later",
  () =>
    Effect.gen(function* () {
      const { response, document } = yield* served
      const names = Object.keys(document.components.schemas)
      for (const [, name] of response.text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
        assert.include(names, name)
      }
      assert.includeMembers(names, ["Task", "TaskPage", "Conversation", "Message", "TurnReply", "TurnFailed"])
      assert.deepInclude(document.components.schemas["Task"]?.["properties"], {
        created_at: { type: "string", format: "date-time", minLength: 24, maxLength: 24 }
      })
      assert.notInclude(response.text, "additionalProperties")
      assert.notInclude(response.text, String(Number.MIN_SAFE_INTEGER))
      assert.notInclude(response.text, "<No Content>")
      const uuid = { type: "string", format: "uuid", minLength: 36, maxLength: 36 }
      const seq = { type: "integer", format: "int64", minimum: 1, maximum: Number.MAX_SAFE_INTEGER }
      assert.deepInclude(document.components.schemas["Message"]?.["properties"], { id: uuid, turn_id: uuid, seq })
      assert.deepInclude(document.components.schemas["Task"]?.["properties"], {
        id: { type: "integer", format: "int32", minimum: 1, maximum: 2_147_483_647 }
      })
      const count = { type: "integer", format: "int64", minimum: 0, maximum: Number.MAX_SAFE_INTEGER }
      assert.deepInclude(document.components.schemas["TurnReply"]?.["properties"], {
        conversation_id: uuid,
        message_id: uuid,
        usage: {
          type: "object",
          properties: { prompt_tokens: count, completion_tokens: count, total_tokens: count },
          required: ["prompt_tokens", "completion_tokens", "total_tokens"]
        }
      })
    })
)

const htmlType = /^text\/html/
const reference = /<(?:script|link|img|iframe)[^>]*\s(?:src|href)=/
const foreignStyle = /@import|url\(["']?(?:https?:)?\/\//

it.live("the documentation page loads nothing from elsewhere", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const { status, headers, text } = yield* server.fetch("GET", "/docs", { headers: { authorization: "" } })
    assert.strictEqual(status, 200)
    assert.match(headers["content-type"] ?? "", htmlType)
    const policy = Object.fromEntries(
      (headers["content-security-policy"] ?? "").split("; ").map((directive) => {
        const [name = "", ...sources] = directive.split(" ")
        return [name, sources]
      })
    )
    assert.deepStrictEqual(policy["default-src"], ["'none'"])
    for (const sources of Object.values(policy)) {
      assert.isEmpty(sources.filter((source) => !["'none'", "'self'", "'unsafe-inline'", "data:"].includes(source)))
    }
    assert.notMatch(text, reference)
    assert.notMatch(text, foreignStyle)
    assert.include(text, '"openapi":"3.1.0"')
    assert.isTrue(Predicate.isString(headers["cache-control"]) && headers["cache-control"] !== "no-store")
  })
)
