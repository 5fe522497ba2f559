import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Option, Predicate, Schema } from "effect"
import { ada, conversation, invalidJson, serveFakes } from "../../support/http.ts"

const user = "/api/v1/users/ada_1-A"
const toJson = Schema.encodeSync(Schema.fromJsonString(Schema.Unknown))
const quote = (text: string) => `"${text}"`
const bounded = (maximum: number) => `Expected 1 to ${maximum} characters (Unicode code points) after trimming`
const unstorable = "Expected well-formed Unicode without NUL characters"
const long = "😀"

/** What a path may not say, or what the router takes for something else. */
const illegible = ["%zz", "%", "%2", "%25zz", "%00", "%ff", "%C3%28", "7%zz", "7;x", ";", "7%3Bx"]

/** What is refused as text of so many code points at most, as JSON, and why. */
const refusedTexts = (maximum: number): ReadonlyArray<readonly [json: string, message: string]> => [
  ['""', bounded(maximum)],
  ['" \\t\\n\\u00a0\\u3000 "', bounded(maximum)],
  [quote("a".repeat(maximum + 1)), bounded(maximum)],
  [quote(long.repeat(maximum + 1)), bounded(maximum)],
  ['"a\\u0000b"', unstorable],
  ['"\\ud800"', unstorable],
  ['"\\ude00\\ud83d"', unstorable],
  ["7", "Expected string"],
  ["null", "Expected string"],
  ['["Hello"]', "Expected string"]
]

describe("POST chat", () => {
  const path = `${user}/chat`

  it.live("refuses what is no message", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const [json, message] of refusedTexts(2000)) {
        const response = yield* server.fetch("POST", path, { body: `{"message":${json}}` })
        assert.strictEqual(response.status, 400, json.slice(0, 40))
        assert.deepStrictEqual(response.json(), invalidJson({ path: "message", message }))
      }
      const response = yield* server.fetch("POST", path, { body: "{}" })
      assert.deepStrictEqual(response.json(), invalidJson({ path: "message", message: "Missing key" }))
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("takes what is one, trimmed", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const texts = ["a", long.repeat(2000), "a".repeat(2000), "e\u0301 \u202e\u200b\ufffe", "<b>&amp;'\";--"]
      for (const text of texts) {
        const { status } = yield* server.fetch("POST", path, {
          body: `{"unknown":{"a":1},"message":${toJson(` \n${text} `)}}`
        })
        assert.strictEqual(status, 200)
      }
      const request = { user: ada, conversationId: Option.none(), idempotencyKey: Option.none() }
      assert.deepStrictEqual(
        server.calls,
        texts.map((message) => ["send", { ...request, message }])
      )
    })
  )

  it.live("takes a conversation's id in any case, and null for none", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const ids = [quote(conversation.id), quote(conversation.id.toUpperCase()), "null"]
      for (const id of ids) {
        const { status } = yield* server.fetch("POST", path, { body: `{"message":"Hello","conversation_id":${id}}` })
        assert.strictEqual(status, 200)
      }
      const request = { user: ada, message: "Hello", idempotencyKey: Option.none() }
      assert.deepStrictEqual(server.calls, [
        ["send", { ...request, conversationId: Option.some(conversation.id) }],
        ["send", { ...request, conversationId: Option.some(conversation.id) }],
        ["send", { ...request, conversationId: Option.none() }]
      ])
    })
  )

  it.live("tells of everything that does not fit, and repeats nothing of it", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const id of [
        '"secret"',
        `"${conversation.id}0"`,
        `"{${conversation.id}}"`,
        '"7c9e6679742540de944be07fc1f90ae7"'
      ]) {
        const response = yield* server.fetch("POST", path, { body: `{"message":" ","conversation_id":${id}}` })
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(
          response.json(),
          invalidJson(
            { path: "message", message: bounded(2000) },
            { path: "conversation_id", message: "Expected a UUID" }
          )
        )
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )

  it.live("takes an Idempotency-Key bare or quoted, as one key", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const keys = [
        ["abc", "abc"],
        ['"abc"', "abc"],
        ['"a\\"b\\\\c"', 'a"b\\c'],
        ['a"b', 'a"b'],
        ["a\\b", "a\\b"],
        ["!~", "!~"],
        ["a".repeat(255), "a".repeat(255)],
        [quote("a".repeat(255)), "a".repeat(255)]
      ] as const
      for (const [key] of keys) {
        const { status } = yield* server.fetch("POST", path, {
          body: '{"message":"Hello"}',
          headers: { "idempotency-key": key }
        })
        assert.strictEqual(status, 200, key)
      }
      const request = { user: ada, message: "Hello", conversationId: Option.none() }
      assert.deepStrictEqual(
        server.calls,
        keys.map(([, key]) => ["send", { ...request, idempotencyKey: Option.some(key) }])
      )
    })
  )

  it.live("refuses any other Idempotency-Key", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const visible = "Expected 1 to 255 visible ASCII characters"
      const closed = "Expected a closed quoted string"
      const keys = [
        ["", visible],
        ['""', visible],
        ["a b", visible],
        ['"a b"', visible],
        ["a, b", visible],
        ["a\tb", visible],
        ["\xe9", visible],
        ["a".repeat(256), visible],
        [quote("a".repeat(256)), visible],
        ['"', closed],
        ['"abc', closed],
        ['"a"b"', closed],
        ['"a\\b"', closed],
        ['"abc";x=1', closed],
        ['"a\\"', closed]
      ] as const
      for (const [key, message] of keys) {
        const response = yield* server.fetch("POST", path, {
          body: '{"message":"Hello"}',
          headers: { "idempotency-key": key }
        })
        assert.strictEqual(response.status, 400, key)
        assert.deepStrictEqual(response.json(), invalidJson({ path: "idempotency-key", message }))
      }
      assert.deepStrictEqual(server.calls, [])
    })
  )
})

const titled = [
  ["PATCH", `/conversations/${conversation.id}`],
  ["POST", "/tasks"],
  ["PATCH", "/tasks/7"]
] as const

it.live.each(titled)("%s %s refuses what is no title", ([method, path]) =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    for (const [json, message] of refusedTexts(255)) {
      const response = yield* server.fetch(method, user + path, { body: `{"title":${json}}` })
      assert.strictEqual(response.status, 400, json.slice(0, 40))
      assert.deepStrictEqual(response.json(), invalidJson({ path: "title", message }))
    }
    assert.deepStrictEqual(server.calls, [])
    const { status } = yield* server.fetch(method, user + path, { body: `{"title":" ${long.repeat(255)} "}` })
    assert.include([200, 201], status)
    assert.include(toJson(server.calls), `"${long.repeat(255)}"`)
  })
)

describe("tasks", () => {
  const each = [
    ["POST", "/tasks"],
    ["PATCH", "/tasks/7"]
  ] as const

  it.live.each(each)("%s %s refuses what is no description", ([method, path]) =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const [json, message] of [
        [quote("a".repeat(2001)), "Expected a string with at most 2000 code points"],
        ['"\\u0000"', unstorable],
        ['"\\udfff"', unstorable],
        ["7", "Expected string | null"]
      ]) {
        const response = yield* server.fetch(method, user + path, { body: `{"title":"Milk","description":${json}}` })
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(response.json(), invalidJson({ path: "description", message: message ?? "" }))
      }
      assert.deepStrictEqual(server.calls, [])
      const descriptions = [
        ["null", null],
        ['""', null],
        ['" "', " "],
        [quote(long.repeat(2000)), long.repeat(2000)]
      ] as const
      for (const [json, description] of descriptions) {
        const response = yield* server.fetch(method, user + path, { body: `{"title":"Milk","description":${json}}` })
        assert.include([200, 201], response.status)
        assert.deepInclude(response.json(), { description })
      }
      assert.deepStrictEqual(
        server.calls.map((call) => call.find(Predicate.isObject)),
        descriptions.map(([, description]) => ({ title: "Milk", description }))
      )
    })
  )

  it.live("PATCH takes any of its properties, and at least one", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const patches = [{ title: "Milk" }, { description: null }, { completed: true }, { completed: false, title: "a" }]
      for (const patch of patches) {
        const { status } = yield* server.fetch("PATCH", `${user}/tasks/7`, {
          body: toJson({ ...patch, id: 9 })
        })
        assert.strictEqual(status, 200)
      }
      const updates = patches.map((patch) => ["update", ada.id, 7, patch])
      assert.deepStrictEqual<unknown>(server.calls, updates)
      for (const body of ["{}", '{"titel":"Milk"}']) {
        const response = yield* server.fetch("PATCH", `${user}/tasks/7`, { body })
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({ path: "body", message: "Expected at least one of title, description, completed" })
        )
      }
      const response = yield* server.fetch("PATCH", `${user}/tasks/7`, { body: '{"completed":"yes","title":null}' })
      assert.deepStrictEqual(
        response.json(),
        invalidJson({ path: "title", message: "Expected string" }, { path: "completed", message: "Expected boolean" })
      )
      assert.deepStrictEqual<unknown>(server.calls, updates)
    })
  )

  it.live("have numbers in one spelling", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const ids = [
        "0",
        "01",
        "+1",
        "-1",
        "1e0",
        "0x1",
        "1.0",
        "%201",
        "1%20",
        "1_0",
        "x",
        "%D9%A1",
        "2147483648",
        "9".repeat(400),
        "9".repeat(600),
        "9".repeat(10_000),
        ...illegible
      ]
      for (const id of ids) {
        const response = yield* server.fetch("GET", `${user}/tasks/${id}`)
        assert.strictEqual(response.status, 400, id)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({ path: "task_id", message: "Expected a whole number from 1 to 2147483647" })
        )
      }
      assert.deepStrictEqual(server.calls, [])
      yield* server.fetch("GET", `${user}/tasks/2147483647`)
      assert.deepStrictEqual(server.calls, [["task", ada.id, 2_147_483_647]])
    })
  )

  it.live("are filtered by status", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const query of ["", "?status=all", "?status=pending", "?status=completed"]) {
        yield* server.fetch("GET", `${user}/tasks${query}`)
      }
      const listed = ["all", "all", "pending", "completed"].map((status) => [
        "tasks",
        ada.id,
        { status, limit: 50, after: Option.none() }
      ])
      assert.deepStrictEqual<unknown>(server.calls, listed)
      for (const status of ["", "Pending", "done", "pending&status=all"]) {
        const response = yield* server.fetch("GET", `${user}/tasks?status=${status}`)
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({
            path: "status",
            message: status.includes("&") ? "Expected to be given once" : 'Expected "all" | "pending" | "completed"'
          })
        )
      }
      assert.deepStrictEqual<unknown>(server.calls, listed)
    })
  )
})

it.live("a conversation's id is a UUID, in any case", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const path = `${user}/conversations`
    for (const id of [
      "x",
      "1",
      `${conversation.id}0`,
      `%7B${conversation.id}%7D`,
      "7c9e6679742540de944be07fc1f90ae7",
      "0".repeat(400),
      "0".repeat(600),
      ...illegible
    ]) {
      for (const [method, suffix] of [
        ["GET", ""],
        ["DELETE", ""],
        ["GET", "/messages"]
      ] as const) {
        const response = yield* server.fetch(method, `${path}/${id}${suffix}`)
        assert.strictEqual(response.status, 400, id)
        assert.deepStrictEqual(response.json(), invalidJson({ path: "conversation_id", message: "Expected a UUID" }))
      }
    }
    assert.deepStrictEqual(server.calls, [])
    const { status } = yield* server.fetch("GET", `${path}/${conversation.id.toUpperCase()}`)
    assert.strictEqual(status, 200)
    assert.deepStrictEqual(server.calls, [["get", ada.id, conversation.id]])
  })
)

it.live("messages come in either order", () =>
  Effect.gen(function* () {
    const server = yield* serveFakes()
    const path = `${user}/conversations/${conversation.id}/messages`
    for (const query of ["", "?order=asc", "?order=desc"]) {
      yield* server.fetch("GET", path + query)
    }
    const listed = ["asc", "asc", "desc"].map((order) => [
      "messages",
      ada.id,
      conversation.id,
      { order, limit: 50, after: Option.none() }
    ])
    assert.deepStrictEqual<unknown>(server.calls, listed)
    const response = yield* server.fetch("GET", `${path}?order=DESC`)
    assert.strictEqual(response.status, 400)
    assert.deepStrictEqual(response.json(), invalidJson({ path: "order", message: 'Expected "asc" | "desc"' }))
    assert.deepStrictEqual<unknown>(server.calls, listed)
  })
)

const encode = (value: unknown) => Buffer.from(toJson(value)).toString("base64url")
const place = { updatedAt: 1_768_816_935_250, id: conversation.id }

const lists = [
  {
    path: "/conversations",
    maximum: 100,
    cursor: place,
    after: { updatedAt: DateTime.makeUnsafe(place.updatedAt), id: conversation.id },
    refused: [
      { ...place, updatedAt: -1 },
      { ...place, updatedAt: 8.64e15 },
      { ...place, updatedAt: 0.5 },
      { ...place, updatedAt: "2026-01-19T10:02:15.250Z" },
      { ...place, id: "x" },
      { ...place, id: 7 },
      { id: conversation.id },
      { seq: 2 },
      { id: 7 }
    ]
  },
  {
    path: `/conversations/${conversation.id}/messages`,
    maximum: 200,
    cursor: { seq: 2 },
    after: 2,
    refused: [{ seq: -1 }, { seq: 2_147_483_648 }, { seq: 0.5 }, { seq: "2" }, { seq: null }, {}, place, { id: 7 }]
  },
  {
    path: "/tasks",
    maximum: 200,
    cursor: { id: 7 },
    after: 7,
    refused: [{ id: 0 }, { id: 2_147_483_648 }, { id: "7" }, { id: [7] }, place, { seq: 2 }]
  }
]

describe.each(lists)("the list $path", ({ path, maximum, cursor, after, refused }) => {
  it.live("has as many entries as are asked for", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      for (const limit of ["1", String(maximum)]) {
        const { status } = yield* server.fetch("GET", `${user}${path}?limit=${limit}`)
        assert.strictEqual(status, 200)
      }
      const limits = server.calls.map((call) => call.at(-1)).map((query) => toJson(query))
      assert.include(limits[0], '"limit":1,')
      assert.include(limits[1], `"limit":${maximum},`)
      for (const limit of [
        "",
        "0",
        String(maximum + 1),
        "-1",
        "+1",
        "01",
        "1.0",
        "1e1",
        "0x1",
        " 1",
        "x",
        "1&limit=2",
        "9".repeat(40)
      ]) {
        const response = yield* server.fetch("GET", `${user}${path}?limit=${limit}`)
        assert.strictEqual(response.status, 400, limit)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({
            path: "limit",
            message: limit.includes("&") ? "Expected to be given once" : `Expected a whole number from 1 to ${maximum}`
          })
        )
      }
      assert.strictEqual(server.calls.length, 2)
    })
  )

  it.live("goes on behind a cursor, and refuses what is none", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const { status } = yield* server.fetch("GET", `${user}${path}?after=${encode(cursor)}`)
      assert.strictEqual(status, 200)
      assert.deepInclude(server.calls[0]?.at(-1), { after: Option.some(after) })
      const texts = [
        "",
        "*",
        "x",
        "null",
        encode(null),
        encode([]),
        encode("x"),
        "%zz",
        `${encode(cursor)}A`,
        "_w",
        "A".repeat(2000)
      ]
      for (const text of [...texts, ...refused.map(encode)]) {
        const response = yield* server.fetch("GET", `${user}${path}?after=${text}`)
        assert.strictEqual(response.status, 400, text)
        assert.deepStrictEqual(
          response.json(),
          invalidJson({ path: "after", message: "Expected the next_cursor of a page" })
        )
      }
      assert.strictEqual(server.calls.length, 1)
    })
  )

  it.live("tells of everything that does not fit", () =>
    Effect.gen(function* () {
      const server = yield* serveFakes()
      const response = yield* server.fetch("GET", `${user}${path}?limit=0&after=x&unknown=1`)
      assert.deepStrictEqual(
        response.json(),
        invalidJson(
          { path: "limit", message: `Expected a whole number from 1 to ${maximum}` },
          { path: "after", message: "Expected the next_cursor of a page" }
        )
      )
    })
  )
})
