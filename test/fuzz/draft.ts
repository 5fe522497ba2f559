import type { Request } from "./client.ts"
import type { Dice } from "./dice.ts"
import type { JsonSchema, Operation, Parts } from "./operations.ts"
import type { Expectation } from "./oracle.ts"
import type { FuzzUser } from "./service.ts"

/** Things of a user that are there: by the name of the parameter that asks for them. */
export interface Belongings {
  readonly user: FuzzUser
  /** Real values of parameters, by name. */
  readonly values: ReadonlyMap<string, ReadonlyArray<string | number>>
  /** Real cursors, by the id of the operation that gave them. */
  readonly cursors: ReadonlyMap<string, ReadonlyArray<string>>
}

/** A request in its parts, which may be changed. */
export interface Draft {
  readonly operation: Operation
  readonly belongings: Belongings
  method: string
  /** The parameters of the path as they are written in it. */
  readonly params: Map<string, string>
  /** The query's parts as they are written in it. */
  query: Array<string>
  headers: Array<readonly [name: string, value: string]>
  /** The body before it is text; what is not an object cannot be changed by its properties. */
  json: unknown
  body: Buffer | undefined
  chunked: boolean
  expects: Expectation
  secret: string | undefined
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A copy of an object with one property set, as JSON has it: `__proto__` is a name as any other. */
export const withProperty = (json: unknown, name: string, value: unknown): unknown =>
  Object.fromEntries([...Object.entries(isObject(json) ? json : {}).filter(([key]) => key !== name), [name, value]])

/** A copy of an object without a property. */
export const withoutProperty = (json: unknown, name: string): unknown =>
  Object.fromEntries(Object.entries(isObject(json) ? json : {}).filter(([key]) => key !== name))

/** The pairs of a query as it is written. */
const pair = (name: string, value: unknown): string => `${encodeURIComponent(name)}=${encode(`${value}`)}`

/** A text as it stands in a URL; a lone surrogate has no way to, and goes as U+FFFD. */
export const encode = (text: string): string => encodeURIComponent(text.toWellFormed())

/** Sets a header, whatever it was before. */
export const setHeader = (draft: Draft, name: string, value: string): void => {
  draft.headers = [...draft.headers.filter(([each]) => each !== name), [name, value]]
}

/** Puts text in the place of the body. */
export const setBody = (draft: Draft, body: string | Buffer): void => {
  draft.body = typeof body === "string" ? Buffer.from(body) : body
}

/** The JSON of the draft, or that of another value. */
export const writeJson = (draft: Draft, json: unknown = draft.json): void => setBody(draft, JSON.stringify(json))

/** The schemas of a body's properties. */
export const propertiesOf = (operation: Operation): ReadonlyArray<readonly [name: string, schema: JsonSchema]> =>
  Object.entries(operation.body?.properties ?? {})

/** A message by which the text gets into a task, through the agent and its tools. */
export const asTask = (text: string): string => `Add a task to ${Array.from(text).slice(0, 1500).join("")}`

/** A real value in the place of a generated one, for most requests: what is made up hits nothing that is there. */
const real = (draft: Draft, dice: Dice, name: string, made: unknown): unknown => {
  if (name === "message" && typeof made === "string" && dice.percent(40)) return asTask(made)
  const known = name === "after" ? draft.belongings.cursors.get(draft.operation.id) : draft.belongings.values.get(name)
  return known !== undefined && made !== null && dice.percent(70) ? dice.pickOr(known, `${made}`) : made
}

/** Other ways to say the same. */
const otherwise: ReadonlyArray<(draft: Draft, dice: Dice) => void> = [
  // Every character of the user's id as percent and digits, which is the same path (RFC 3986, section 6.2.2.2).
  (draft) => {
    const id = draft.params.get("user_id")
    if (id !== undefined)
      draft.params.set(
        "user_id",
        id.replaceAll(/[A-Za-z0-9]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)
      )
  },
  (draft) => {
    const id = draft.params.get("conversation_id")
    if (id !== undefined) draft.params.set("conversation_id", id.toUpperCase())
  },
  (draft) => {
    draft.query = draft.query.toReversed()
  },
  (draft) => draft.query.push("unknown=1&unknown=2&__proto__=x"),
  (draft, dice) =>
    setHeader(draft, "accept", dice.pick(["*/*", "application/xml", "text/html;q=0.1", "application/json"])),
  (draft) => {
    if (draft.body === undefined) return
    const escaped = JSON.stringify(draft.json).replaceAll(
      /[^\x20-\x7e]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
    )
    setBody(draft, ` \t\r\n${escaped}\n`)
  },
  (draft) => {
    if (draft.body !== undefined) writeJson(draft, withProperty(draft.json, "unknown", [{ a: { b: [null, 1e300] } }]))
  },
  (draft) => {
    if (draft.body !== undefined) writeJson(draft, withProperty(draft.json, "__proto__", { message: "x", title: 7 }))
  },
  (draft) => {
    draft.chunked = draft.body !== undefined
  },
  (draft, dice) => {
    if (draft.body === undefined) return
    const types = ["Application/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf-8"] as const
    setHeader(draft, "content-type", dice.pick(types))
  }
]

/** A valid request of the operation, made from what its schemas gave. */
export const draftOf = (operation: Operation, parts: Parts, belongings: Belongings, dice: Dice, id: string): Draft => {
  const draft: Draft = {
    operation,
    belongings,
    method: operation.method,
    params: new Map(),
    query: [],
    headers: [["x-request-id", id]],
    json: undefined,
    body: undefined,
    chunked: false,
    expects: "accepted",
    secret: undefined
  }
  for (const [name, made] of Object.entries(parts.params)) {
    draft.params.set(name, encode(`${name === "user_id" ? belongings.user.id : real(draft, dice, name, made)}`))
  }
  draft.query = Object.entries(parts.query).map(([name, made]) => pair(name, real(draft, dice, name, made)))
  for (const [name, value] of Object.entries(parts.headers)) draft.headers.push([name, `${value}`])
  if (operation.secured) draft.headers.push(["authorization", `Bearer ${belongings.user.token}`])
  if (operation.body !== undefined) {
    draft.json = isObject(parts.payload)
      ? Object.fromEntries(Object.entries(parts.payload).map(([name, made]) => [name, real(draft, dice, name, made)]))
      : parts.payload
    writeJson(draft)
    setHeader(draft, "content-type", "application/json")
  }
  return draft
}

/** Says the same in another way. */
export const vary = (draft: Draft, dice: Dice): void => {
  if (dice.percent(50)) dice.pickOr(otherwise, () => undefined)(draft, dice)
}

/** The request of a draft. */
export const requestOf = (draft: Draft): Request => {
  const path = draft.operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => draft.params.get(name) ?? "")
  return {
    method: draft.method,
    path: draft.query.length === 0 ? path : `${path}?${draft.query.join("&")}`,
    headers: draft.headers,
    body: draft.body,
    chunked: draft.chunked
  }
}
