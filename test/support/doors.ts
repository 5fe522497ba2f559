import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"

/** Somebody with a valid token, and what is theirs. */
export interface Owner {
  readonly id: string
  readonly token: string
  /** Makes a conversation and a task of theirs, and answers their ids. */
  readonly belongings: Effect.Effect<Belongings>
}

export interface Belongings {
  readonly conversation_id: string
  /** What a front end calls that conversation. */
  readonly chat_id: string
  readonly task_id: string
  readonly turn_id: string
}

/** What a request was answered. */
export interface DoorAnswer {
  readonly status: number
  readonly body: string
}

/** A service whose doors are tried. */
export interface Building {
  readonly url: string
  readonly ada: Owner
  readonly bob: Owner
  /** Tokens that must open nothing, by what is wrong with them; each was once, or could be, Ada's. */
  readonly wrongTokens: Readonly<Record<string, string | undefined>>
  /** What the database was asked since this was called last. */
  readonly statements: () => ReadonlyArray<string>
}

/** What came of it: how many requests were sent, and each that was not answered as it must be. */
export interface Tried {
  readonly operations: number
  readonly requests: number
  readonly breaches: ReadonlyArray<string>
}

/** Operations that ask for no token, on purpose. */
const open = new Set(["/health/live", "/health/ready"])

const unused = "00000000-0000-7000-8000-0000000000ff"
const absent: Belongings = { conversation_id: unused, chat_id: unused, task_id: "2147483647", turn_id: unused }
const malformed: Belongings = {
  conversation_id: "not-a-uuid",
  chat_id: "x".repeat(256),
  task_id: "x",
  turn_id: "not-a-uuid"
}

interface Door {
  readonly method: string
  readonly path: string
  /** A body that it takes, if it takes any. */
  readonly body: Readonly<Record<string, unknown>> | undefined
}

interface Exampled {
  readonly requestBody?: {
    readonly content: Readonly<
      Record<string, { readonly examples?: Readonly<Record<string, { readonly value: Record<string, unknown> }>> }>
    >
  }
}

/** Every operation of an API, with the first example of its body. */
const doorsOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): ReadonlyArray<Door> => {
  const { paths } = OpenApi.fromApi(api)
  const doors: Array<Door> = []
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      const item: Readonly<Record<string, unknown>> = { ...paths[endpoint.path.replaceAll(/:(\w+)/g, "{$1}")] }
      const { requestBody } = (item[endpoint.method.toLowerCase()] ?? {}) as Exampled
      const [example] = Object.values(requestBody?.content["application/json"]?.examples ?? {})
      if (requestBody !== undefined && example === undefined) {
        throw new Error(`${endpoint.method} ${endpoint.path} has no example of its body`)
      }
      doors.push({ method: endpoint.method, path: endpoint.path, body: example?.value })
    }
  })
  return doors
}

/** Whether the database was asked the same, and asked at all. */
const areAlike = (statements: ReadonlyArray<string>, others: ReadonlyArray<string>): boolean =>
  JSON.stringify(statements) === JSON.stringify(others) && statements.length > 0

/** The body of a request that names these things. */
const bodyOf = ({ body, path }: Door, ids: Belongings) =>
  body === undefined
    ? undefined
    : {
        ...body,
        ...(path.endsWith("/chat") && { conversation_id: ids.conversation_id }),
        ...(path.endsWith("/chat/ui") && { id: ids.chat_id })
      }

/** Where one sees what is in a conversation. */
const conversationOf: Door = {
  method: "GET",
  path: "/api/v1/users/:user_id/conversations/:conversation_id/messages",
  body: undefined
}

/** Answers are alike when they differ in the id of their request alone. */
const withoutId = ({ body, status }: DoorAnswer): string =>
  `${status} ${body.replace(/"request_id":"[^"]*"/, '"request_id":""')}`

/**
 * Tries each operation of an API with own, foreign, absent and malformed ids, each with every kind of token:
 *
 * - without a good token: 401, always the same, and nothing of the database
 * - on another user's path: 403, always the same
 * - on one's own path: one's own things are given, foreign and absent ones are 404 by the same statements and words, and
 *   ids that are none are 400; but a chat may be called as one likes, so that a foreign one is one's own without anything in
 *   it, and nothing comes into the other's
 *
 * An operation that the API gains is tried as well; a name in a path that is not known here is a mistake.
 */
export const tryDoors = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  { ada, bob, statements, url, wrongTokens }: Building
): Effect.Effect<Tried> =>
  Effect.gen(function* () {
    const breaches: Array<string> = []
    let requests = 0
    const doors = doorsOf(api).filter((door) => !open.has(door.path))

    const knock = (door: Door, userId: string, ids: Belongings, token: string | undefined): Effect.Effect<DoorAnswer> =>
      Effect.promise(async () => {
        requests++
        const values: Readonly<Record<string, string>> = { user_id: userId, ...ids }
        const path = door.path.replaceAll(/:(\w+)/g, (_, name: string) => {
          const value = values[name]
          if (value === undefined) throw new Error(`${door.path}: what is ${name}?`)
          return value
        })
        const body = bodyOf(door, ids)
        const response = await fetch(`${url}${path}`, {
          method: door.method,
          headers: {
            ...(token !== undefined && { authorization: `Bearer ${token}` }),
            ...(body !== undefined && { "content-type": "application/json" })
          },
          ...(body !== undefined && { body: JSON.stringify(body) })
        })
        return { status: response.status, body: await response.text() }
      })

    /** A chat may be called as one likes. */
    const tryChat = Effect.fnUntraced(function* (
      door: Door,
      foreign: Belongings,
      expect: (holds: boolean, what: string) => void
    ) {
      const before = yield* knock(conversationOf, bob.id, foreign, bob.token)
      statements()
      const other = yield* knock(door, ada.id, foreign, ada.token)
      const otherStatements = statements()
      const none = yield* knock(door, ada.id, { ...absent, chat_id: randomUUID() }, ada.token)
      const noStatements = statements()
      expect(other.status >= 200 && other.status < 300, `somebody else's: ${withoutId(other)}`)
      expect(other.status === none.status, `somebody else's is told from none: ${withoutId(none)}`)
      if (door.method === "GET") {
        expect(other.body === none.body, `somebody else's is told from none: ${other.body} | ${none.body}`)
        expect(
          areAlike(otherStatements, noStatements),
          `somebody else's takes other statements than none: ${otherStatements.join("; ")} | ${noStatements.join("; ")}`
        )
      }
      const after = yield* knock(conversationOf, bob.id, foreign, bob.token)
      expect(before.status === 200 && before.body === after.body, "something came into somebody else's")
      const odd = yield* knock(door, ada.id, malformed, ada.token)
      expect(odd.status === 400, `an id that is none: ${withoutId(odd)}`)
    })

    for (const door of doors) {
      const name = `${door.method} ${door.path}`
      const expect = (holds: boolean, what: string) => {
        if (!holds) breaches.push(`${name}: ${what}`)
      }
      const foreign = yield* bob.belongings
      const kinds = { own: yield* ada.belongings, foreign, absent, malformed }
      // Both tokens are known from here on: what is asked next is asked for the request itself.
      yield* knock(door, "nobody", absent, ada.token)
      yield* knock(door, "nobody", absent, bob.token)

      for (const [wrong, token] of Object.entries(wrongTokens)) {
        const answers = new Set<string>()
        for (const ids of Object.values(kinds)) answers.add(withoutId(yield* knock(door, ada.id, ids, token)))
        expect(
          [...answers].every((answer) => answer.startsWith("401 ")),
          `${wrong}: ${[...answers].join(" | ")}`
        )
        expect(answers.size === 1, `${wrong}: told apart by the ids`)
      }

      statements()
      const locked = new Set<string>()
      for (const ids of Object.values(kinds)) locked.add(withoutId(yield* knock(door, ada.id, ids, bob.token)))
      // A path that names nobody is about whoever asks.
      const isRight = (answer: string) =>
        door.path.includes(":user_id") ? answer.startsWith("403 ") : answer.startsWith(`200 {"id":"${bob.id}"`)
      expect([...locked].every(isRight), `another user: ${[...locked].join(" | ")}`)
      expect(locked.size === 1, "another user: told apart by the ids")
      expect(statements().length === 0, "another user: the database was asked")

      const named = /:(?:conversation|task|turn)_id/.test(door.path) || door.path.endsWith("/chat")
      if (named) {
        statements()
        const other = yield* knock(door, ada.id, foreign, ada.token)
        const otherStatements = statements()
        const none = yield* knock(door, ada.id, absent, ada.token)
        const noStatements = statements()
        expect(other.status === 404, `somebody else's: ${withoutId(other)}`)
        expect(withoutId(other) === withoutId(none), `somebody else's is told from none: ${withoutId(none)}`)
        expect(
          areAlike(otherStatements, noStatements),
          `somebody else's takes other statements than none: ${otherStatements.join("; ")} | ${noStatements.join("; ")}`
        )
        const odd = yield* knock(door, ada.id, malformed, ada.token)
        expect(odd.status === 400, `an id that is none: ${withoutId(odd)}`)
        expect(statements().length === 0, "an id that is none: the database was asked")
      }
      if (door.path.includes("/chat/ui")) yield* tryChat(door, foreign, expect)
      const own = yield* knock(door, ada.id, kinds.own, ada.token)
      expect(own.status >= 200 && own.status < 300, `one's own: ${withoutId(own)}`)
    }
    return { operations: doors.length, requests, breaches }
  })
