import { Predicate } from "effect"
import { ProblemDetails } from "effect/http"
import { type Example, usuallyWrong, type Wrong, wrong } from "./Examples.ts"

type Json = { readonly [key: PropertyKey]: unknown }

const mapValues = (value: unknown, change: (value: unknown, key: string) => unknown): unknown =>
  Predicate.isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, change(entry, key)]))
    : value

/** What the document shows of an operation. */
export interface Shown {
  readonly request?: { readonly [name: string]: Example }
  /** What the entries of lists in the request are, where the schema looks at few of them: by the list's name, in JSON Schema. */
  readonly entries?: { readonly [list: string]: object }
  readonly answer?: { readonly [name: string]: Example }
  /** The same answer as a stream of server-sent events, for those who accept that. */
  readonly events?: { readonly [name: string]: Example<string> }
  /** What these events are, if they are not those of a turn as it is stored. */
  readonly eventWords?: string
  /** What may go wrong here in a way of its own, by status; of the others there is what usually does. */
  readonly wrong: { readonly [status: number]: ReadonlyArray<Wrong> }
}

/** Corrects an operation in the document of any API as `describeDocument` does, and gives it its examples. */
export const showExamples =
  (shown: Shown) =>
  (operation: Json): Record<string, unknown> => {
    const { requestBody } = operation
    const described = mapValues(
      shown.request === undefined ? operation : { ...operation, requestBody: withEntries(requestBody, shown.entries) },
      describe
    )
    return Predicate.isObject(described)
      ? {
          ...described,
          ...(shown.request !== undefined && { requestBody: withExamples(described["requestBody"], shown.request) }),
          responses: mapValues(described["responses"], (response, status) => withAnswers(response, status, shown))
        }
      : { ...operation }
  }

const withAnswers = (response: unknown, status: string, shown: Shown): unknown => {
  // Strangers are refused by whoever signs users in: ours are shown in our own document.
  if (status === strangers) {
    return response
  }
  const names = shown.wrong[Number(status)] ?? usuallyWrong[status]
  const shownResponse = names === undefined ? withExamples(response, shown.answer) : withProblems(response, names)
  return status === "200" && shown.events !== undefined
    ? withEvents(shownResponse, shown.events, shown.eventWords)
    : shownResponse
}

const strangers = "401"

const eventStream = "text/event-stream"

/** What the chunks of a turn are. */
export const uiStreamWords =
  "The AI SDK's UI message stream, protocol v1 (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol): server-sent events whose " +
  "data are chunks, and `[DONE]` at the end. The message has the turn's id, and metadata: `conversation_id`, `turn_id`, " +
  "`turn_status`, `message_id`, `usage`, and `failure` of a turn that failed, which ends with an `error`. `reset-step` takes " +
  "back what holds no longer. Of a turn that was stopped the `finishReason` is `interrupted`. When the connection is lost the " +
  "turn goes on."

/** OpenAPI has no words for the events of a stream: they are described, and shown. */
const withEvents = (response: unknown, examples: unknown, words = eventStreamWords): unknown =>
  Predicate.hasProperty(response, "content") && Predicate.isObject(response.content)
    ? {
        ...response,
        content: {
          ...response.content,
          [eventStream]: { schema: { ...eventStreamSchema, description: words }, examples }
        }
      }
    : response

/** What the events of a turn are. */
export const eventStreamWords =
  "Server-sent events, as they happen. `begun`: `{conversation_id, turn_id}`, what was told of the turn before holds no " +
  "longer. `text`: `{text}`, more of what the agent says. `tool_call_begun`: `{id, tool_name, arguments}`. " +
  "`tool_call_done`: the tool call with its result, which is committed. `step_done`: `{step}`, all up to here is committed. " +
  "`restarted`: `{step}`, what was told since that step holds no longer, and what of it happened is told again. The last one is `completed` or `stopped`, with the " +
  "answer, or `failed`, with a problem. `interrupted`, with a problem, ends the stream before that, as does a lost " +
  "connection: the turn goes on, and its events behind an id can be had as `Last-Event-ID`. An id is " +
  "`attempt.step.position`; more events may come to be."

const eventStreamSchema = {
  type: "string",
  // Far more than a turn comes to with the usual limits of a model; nothing is cut at it.
  maxLength: 16_777_216
}

const withEntries = (body: unknown, entries: Shown["entries"] = {}): unknown => {
  const described = (value: unknown, key: string): unknown => {
    const items = entries[key]
    return items !== undefined && Predicate.isObject(value) ? { ...value, items } : mapValues(value, described)
  }
  return Object.keys(entries).length === 0 ? body : described(body, "")
}

/**
 * Problems as they are: the document of another API has no components of ours. Errors that its own middleware adds to the
 * status are mostly of another media type, of which these are no examples.
 */
const withProblems = (response: unknown, names: ReadonlyArray<Wrong> = []): unknown =>
  withExamples(
    response,
    Object.fromEntries(names.map((name) => [name, wrong[name]])),
    (type) => type === ProblemDetails.contentType
  )

/** Problems are shown once, in the components: most operations share them. */
const withReferences = (examples: unknown): unknown =>
  mapValues(examples, (example, name) => (isWrong(name) ? { $ref: `#/components/examples/${name}` } : example))

const isWrong = (name: string): name is Wrong => Object.hasOwn(wrong, name)

const withExamples = (body: unknown, examples: unknown, isOf = (_type: string) => true): unknown =>
  Predicate.hasProperty(body, "content") && examples !== undefined
    ? {
        ...body,
        content: mapValues(body.content, (media, type) =>
          Predicate.isObject(media) && isOf(type) ? { ...media, examples } : media
        )
      }
    : body

const requestIdHeader = {
  description: "The id of the request, which the logs have as well: that which was sent, or a new one",
  required: true,
  schema: { type: "string", minLength: 1, maxLength: 64, pattern: "^[A-Za-z0-9-]{1,64}$" },
  example: wrong.NoToken.value.request_id
}

/**
 * Corrects what the generator cannot know: clients may send, and must bear, properties that are not in the document; a
 * parameter with bounds is a number, although any parameter travels as text; and times are times, ids UUIDs, and counts
 * not negative. Adds what all answers have in common.
 */
export const describeDocument = (document: Json): Record<string, unknown> => {
  const described = describe({ ...document, paths: mapValues(document["paths"], withStrangers) }, "")
  if (!Predicate.isObject(described)) {
    return { ...document }
  }
  return {
    ...described,
    info: Predicate.isObject(described["info"]) && {
      ...described["info"],
      contact: { name: "turnkeeper contributors" }
    },
    paths: mapValues(described["paths"], (path) => mapValues(path, withRequestId)),
    components: Predicate.isObject(described["components"]) && {
      ...described["components"],
      examples: wrong,
      headers: { RequestId: requestIdHeader }
    }
  }
}

/** Here it is known who signs users in, and so how strangers are refused. */
const withStrangers = (path: unknown): unknown =>
  mapValues(path, (operation) =>
    Predicate.hasProperty(operation, "responses")
      ? {
          ...operation,
          responses: mapValues(operation.responses, (response, status) =>
            status === strangers ? withProblems(response, usuallyWrong[strangers]) : response
          )
        }
      : operation
  )

const headersOf = ({ headers }: Json): Json => (Predicate.isObject(headers) ? headers : {})

const withRequestId = (operation: unknown): unknown =>
  Predicate.hasProperty(operation, "responses")
    ? {
        ...operation,
        responses: mapValues(operation.responses, (response) =>
          Predicate.isObject(response)
            ? {
                ...response,
                headers: { ...headersOf(response), "x-request-id": { $ref: "#/components/headers/RequestId" } }
              }
            : response
        )
      }
    : operation

const describe = (value: unknown, name: string): unknown => {
  if (Array.isArray(value)) {
    return value.map((entry) => describe(entry, ""))
  }
  if (!Predicate.isObject(value)) {
    return value
  }
  // Examples are what is sent, and nothing of them is a schema.
  if (name === "examples") {
    return withReferences(value)
  }
  const node: Record<string, unknown> = {}
  for (const [key, entry] of Object.entries(value)) {
    if (key !== "additionalProperties" || entry !== false) {
      node[key] = describe(entry, key)
    }
  }
  return describeParameter(describeNumber(describeText(describeChoice(node), name), name))
}

/** A choice of one is none. */
const describeChoice = (node: Json): Json => {
  const { anyOf, ...rest } = node
  return Array.isArray(anyOf) && anyOf.length === 1 ? { ...rest, ...anyOf[0] } : node
}

const timestamp = /_at$/
const uuid = /^(?:(?:conversation|turn|message)_)?id$/

const describeText = (node: Json, name: string): Json => {
  if (node["type"] !== "string") {
    return node
  }
  if (timestamp.test(name)) {
    return { ...node, format: "date-time", minLength: 24, maxLength: 24 }
  }
  // A text with a length of its own is none, whatever it is called.
  return node["format"] === "uuid" || (uuid.test(name) && node["maxLength"] === undefined)
    ? { ...node, format: "uuid", minLength: 36, maxLength: 36 }
    : node
}

const describeNumber = (node: Json, name: string): Json => {
  if (node["type"] !== "integer") {
    return node
  }
  const { minimum, maximum } = node
  return {
    ...node,
    format: Predicate.isNumber(maximum) && maximum < 2 ** 31 ? "int32" : "int64",
    ...(minimum === Number.MIN_SAFE_INTEGER && { minimum: name === "seq" ? 1 : 0 })
  }
}

/** A parameter or a header: what its schema tells of it belongs to itself. */
const describeParameter = (node: Json): Json => {
  const { schema } = node
  if (!Predicate.isObject(schema) || !("required" in node)) {
    return node
  }
  const { description, examples, ...rest } = schema
  const example = Array.isArray(examples) ? examples[0] : undefined
  const isNumber = "minimum" in rest
  return {
    ...node,
    ...(description !== undefined && { description }),
    ...(example !== undefined && { example: isNumber ? Number(example) : example }),
    schema: isNumber ? describeNumber({ ...rest, type: "integer" }, "") : rest
  }
}
