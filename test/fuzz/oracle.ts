import type { ValidateFunction } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import type { Answer, Request } from "./client.ts"
import type { Document, DocumentedAnswer, Operation } from "./operations.ts"

/** What must become of a request: it is let in, it is refused, or either. */
export type Expectation = "accepted" | "refused" | "any"

/** A request, and what was put into it. */
export interface Case {
  readonly request: Request
  readonly expects: Expectation
  /** What must not be repeated to whom it is refused. */
  readonly secret?: string | undefined
}

/** What is wrong with an answer; nothing if it is as it should be. */
export type Judge = (one: Case, answer: Answer) => ReadonlyArray<string>

/** What Node or the router answer before any operation is known, as README's "every error is a problem" has it. */
const generalStatuses = new Set([400, 404, 405, 408, 413, 417, 431])
/** Those of them that any operation may be refused with, since Node does so by itself. */
const nodeStatuses = new Set([408, 417, 431])

const generalProblem = {
  type: "object",
  properties: {
    type: { type: "string", pattern: "^(about:blank|urn:turnkeeper:problem:[a-z_]+)$" },
    title: { type: "string", minLength: 1 },
    status: { type: "integer", minimum: 400, maximum: 499 },
    detail: { type: "string", minLength: 1 },
    request_id: { type: "string", pattern: "^[A-Za-z0-9-]{1,64}$" },
    error: {
      type: "object",
      properties: { message: { type: "string" }, code: { type: "string", pattern: "^[a-z_]+$" } },
      required: ["message", "code"]
    }
  },
  required: ["type", "title", "status", "detail", "request_id", "error"]
}

const problemType = "application/problem+json"
const validRequestId = /^[A-Za-z0-9-]{1,64}$/
/** What would show that something of the inside got out. */
const innards =
  /\bat (?:\S+ \()?(?:file:|node:|\/)|node_modules|\.[cm]?[jt]s:\d|SQLSTATE|\bselect\b.+\bfrom\b|\binsert into\b|\bupdate\b.+\bset\b|pg_|syntax error|duplicate key|violates/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const controls = /[\u0000-\u001f\u007f-\u009f]/

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const escapePointer = (name: string) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))

/** Every text in a JSON value, names included. */
const textsOf = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, entry]) => [name, ...textsOf(entry)])
}

const statusOf = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "status" in value ? value.status : undefined

const isStream = ({ headers }: Answer): boolean => headers.get("content-type") === "text/event-stream"

/** What the events of a stream say, one to a line as it is written; what the AI SDK has at the end is no JSON. */
const dataOf = (text: string): string =>
  `[${text
    .split("\n")
    .flatMap((line) => (line.startsWith("data: ") && line !== "data: [DONE]" ? [line.slice("data: ".length)] : []))
    .join(",")}]`

/** The decoded text of a body, and its JSON if it is such; of a stream, that which its events say. */
const read = (
  answer: Answer
): { readonly text: string; readonly json: unknown; readonly wrong: ReadonlyArray<string> } => {
  let text = ""
  try {
    text = utf8.decode(answer.body)
    if (isStream(answer)) text = dataOf(text)
    return { text, json: text === "" ? undefined : JSON.parse(text), wrong: [] }
  } catch (error) {
    return { text, json: undefined, wrong: [`the body is not JSON in UTF-8: ${String(error)}`] }
  }
}

/** Who answers a path under a method: the operation, as the document has it. */
const routerOf = (operations: ReadonlyArray<Operation>) => {
  const templates = operations.map((operation) => ({ operation, segments: operation.path.split("/") }))
  return (method: string, url: string): Operation | undefined => {
    const [path = ""] = url.split("?", 1)
    const segments = path.split("/")
    const sought = method === "HEAD" ? "GET" : method
    return templates.find(
      (template) =>
        template.operation.method === sought &&
        template.segments.length === segments.length &&
        template.segments.every((part, i) => (part.startsWith("{") ? segments[i] !== "" : part === segments[i]))
    )?.operation
  }
}

/** Whether a request can be read as HTTP at all: a target is visible ASCII (RFC 9112, section 3.2). */
const isLegible = ({ path }: Request): boolean => /^[\x21-\x7e]+$/.test(path)

/** What holds of every answer, whatever was asked. */
const commonFaults = (answer: Answer, text: string, json: unknown): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (answer.status >= 500) faults.push(`status ${answer.status}`)
  if (!validRequestId.test(answer.headers.get("x-request-id") ?? "")) faults.push("no X-Request-Id")
  for (const [name, value] of answer.headers) {
    if (controls.test(value)) faults.push(`a control character in the header ${name}`)
  }
  if (controls.test(text)) faults.push("a raw control character in the body")
  if (!textsOf(json).every((each) => each.isWellFormed())) faults.push("a lone surrogate in the body")
  return faults
}

/** What holds of every problem. */
const problemFaults = (
  secret: string | undefined,
  answer: Answer,
  text: string,
  json: unknown
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (controls.test(text) || textsOf(json).some((each) => controls.test(each))) {
    faults.push("a control character in a problem")
  }
  if (innards.test(text)) faults.push("a problem tells of the inside")
  if (secret !== undefined && text.includes(JSON.stringify(secret).slice(1, -1))) {
    faults.push("a problem repeats what was sent")
  }
  if (json !== undefined && statusOf(json) !== answer.status) faults.push("a problem of another status")
  if (json !== undefined && !text.includes(`"request_id":"${answer.headers.get("x-request-id")}"`)) {
    faults.push("the problem's request_id is not the X-Request-Id")
  }
  return faults
}

const refusals = new Set([400, 401, 403, 405, 413, 415, 417, 431])

const expectationFaults = ({ expects }: Case, status: number): ReadonlyArray<string> => {
  if (expects === "accepted" && refusals.has(status)) return [`a valid request is refused with ${status}`]
  return expects === "refused" && status < 400 ? [`an invalid request is answered with ${status}`] : []
}

const ajvOf = () => {
  const ajv = new Ajv2020({ strict: false, allErrors: false })
  addFormats.default(ajv)
  return ajv
}

const isGeneral = ajvOf().compile(generalProblem)

/** What is wrong with an answer of which nobody knows to what operation it belongs. */
export const judgeRefusal = (answer: Answer): ReadonlyArray<string> => {
  if (answer.status < 200) return []
  const { json, text, wrong } = read(answer)
  const faults = [...wrong, ...commonFaults(answer, text, json)]
  if (answer.status < 400) return faults
  return [
    ...faults,
    ...problemFaults(undefined, answer, text, json),
    ...(isGeneral(json) ? [] : ["a refusal that is no problem"]),
    ...(answer.headers.get("content-type") === problemType ? [] : ["a refusal of another content type"])
  ]
}

/** A judge over the answers, by what the document tells. */
export const makeJudge = (document: Document, operations: ReadonlyArray<Operation>): Judge => {
  const ajv = ajvOf()
  ajv.addSchema({ ...document, $id: "openapi" })
  const validators = new Map<string, ValidateFunction>()
  const validatorOf = ({ id, method, path }: Operation, status: number, type: string): ValidateFunction => {
    const name = `${id} ${status} ${type}`
    const known = validators.get(name)
    if (known !== undefined) return known
    const place = ["paths", path, method.toLowerCase(), "responses", `${status}`, "content", type, "schema"]
    const made = ajv.compile({ $ref: `openapi#/${place.map(escapePointer).join("/")}` })
    validators.set(name, made)
    return made
  }
  const route = routerOf(operations)
  const fits = (validate: ValidateFunction, json: unknown): ReadonlyArray<string> =>
    validate(json) ? [] : [`the body does not fit: ${ajv.errorsText(validate.errors)}`]

  const bodyFaults = (
    operation: Operation,
    documented: DocumentedAnswer,
    one: Case,
    answer: Answer,
    json: unknown
  ): ReadonlyArray<string> => {
    const types = Object.keys(documented.content ?? {})
    const type = answer.headers.get("content-type")?.split(";", 1)[0]
    if (types.length === 0) return answer.body.length === 0 ? [] : ["a body where none is documented"]
    if (type === undefined || !types.includes(type)) return [`the content type ${type} is not documented`]
    if (one.request.method === "HEAD") return answer.body.length === 0 ? [] : ["a body to HEAD"]
    return fits(validatorOf(operation, answer.status, type), isStream(answer) ? answer.body.toString() : json)
  }

  const documentedFaults = (operation: Operation, one: Case, answer: Answer, json: unknown): ReadonlyArray<string> => {
    const documented = operation.responses[answer.status]
    if (documented === undefined) return [`${operation.id} does not document the status ${answer.status}`]
    const missing = Object.entries(documented.headers ?? {}).filter(
      ([name, { required }]) => required === true && !answer.headers.has(name)
    )
    return [...missing.map(([name]) => `no header ${name}`), ...bodyFaults(operation, documented, one, answer, json)]
  }

  const generalFaults = (one: Case, answer: Answer, json: unknown): ReadonlyArray<string> => {
    if (!generalStatuses.has(answer.status)) return [`nothing documents the status ${answer.status}`]
    if (answer.headers.get("content-type") !== problemType) return ["a refusal that is no problem"]
    return one.request.method === "HEAD" ? [] : fits(isGeneral, json)
  }

  return (one, answer) => {
    const { json, text, wrong } = read(answer)
    const operation = isLegible(one.request) ? route(one.request.method, one.request.path) : undefined
    return [
      ...wrong,
      ...commonFaults(answer, text, json),
      ...(answer.status >= 400 ? problemFaults(one.secret, answer, text, json) : []),
      ...(operation === undefined || nodeStatuses.has(answer.status)
        ? generalFaults(one, answer, json)
        : documentedFaults(operation, one, answer, json)),
      ...expectationFaults(one, answer.status)
    ]
  }
}
