/**
 * Why the real API would answer a Chat Completions request with 400, or `undefined` if it would not. Stricter than the
 * real one where compatible servers are: the last message is the user's or a tool's, ids of calls and names of tools
 * are unique in the whole request, and there is no `function` role. No tool may know of a `user_id`.
 */
export const invalidRequest = (body: unknown): string | undefined => {
  for (const complaint of complaintsAboutBody(body)) return complaint
  return undefined
}

type Complaints = Generator<string, void, undefined>
type Members = { readonly [key: string]: unknown }

const namePattern = /^[a-zA-Z0-9_-]{1,64}$/
const reasoningModel = /(?:^|\/)(?:o\d|gpt-5)/
const maxCalls = 128
const maxTools = 128
const maxMessages = 2048

const bodyMembers = new Set([
  "model",
  "messages",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "temperature",
  "max_tokens",
  "max_completion_tokens",
  "top_p",
  "seed",
  "stop",
  "user",
  "stream",
  "stream_options"
])

function* complaintsAboutBody(body: unknown): Complaints {
  if (!isMembers(body)) return yield "We could not parse the JSON body of your request."
  if (holdsLoneSurrogate(body)) yield "We could not parse the JSON body of your request: lone surrogate."
  for (const key of Object.keys(body)) {
    if (!bodyMembers.has(key)) yield `Unrecognized request argument supplied: ${key}`
  }
  if (typeof body["model"] !== "string" || body["model"] === "") return yield "you must provide a model parameter"
  if (body["stream_options"] !== undefined && body["stream"] !== true) {
    yield "The 'stream_options' parameter is only allowed when 'stream' is enabled."
  }
  yield* complaintsAboutLimits(body, body["model"])
  yield* complaintsAboutMessages(body["messages"])
  if (body["tools"] !== undefined) yield* complaintsAboutTools(body["tools"])
}

function* complaintsAboutLimits(body: Members, model: string): Complaints {
  const { max_completion_tokens, max_tokens, temperature } = body
  for (const [name, value] of Object.entries({ max_completion_tokens, max_tokens })) {
    if (value !== undefined && !(typeof value === "number" && Number.isInteger(value) && value >= 1)) {
      yield `Invalid type or value for '${name}': expected an integer >= 1.`
    }
  }
  if (max_tokens !== undefined && max_completion_tokens !== undefined) {
    yield "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
  }
  if (temperature !== undefined && !(typeof temperature === "number" && temperature >= 0 && temperature <= 2)) {
    yield "Invalid 'temperature': expected a decimal between 0 and 2."
  }
  if (!reasoningModel.test(model)) return
  if (max_tokens !== undefined) {
    yield "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
  }
  if (temperature !== undefined && temperature !== 1) {
    yield `Unsupported value: 'temperature' does not support ${temperature} with this model.`
  }
}

function* complaintsAboutMessages(messages: unknown): Complaints {
  if (!Array.isArray(messages)) return yield "Missing required parameter: 'messages'."
  if (messages.length === 0) return yield "Invalid 'messages': empty array. Expected an array with minimum length 1."
  if (messages.length > maxMessages) yield `Invalid 'messages': array too long. Expected at most ${maxMessages}.`
  const seen = new Set<string>()
  /** The calls of the last assistant message that have no result yet; `undefined` where no result may stand. */
  let open: Set<string> | undefined
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`
    if (!isMembers(message)) return yield `Invalid type for '${path}': expected an object.`
    if (message["role"] === "tool") {
      yield* complaintsAboutResult(message, path, open)
      continue
    }
    yield* complaintsAboutOpen(open)
    open = undefined
    yield* complaintsAboutMessage(message, path)
    if (message["role"] === "assistant" && message["tool_calls"] !== undefined) {
      open = new Set()
      yield* complaintsAboutCalls(message["tool_calls"], `${path}.tool_calls`, seen, open)
    }
  }
  yield* complaintsAboutOpen(open)
  const last: unknown = messages.at(-1)
  if (!isMembers(last) || (last["role"] !== "user" && last["role"] !== "tool")) {
    yield "Expected last role User or Tool for serving."
  }
}

function* complaintsAboutOpen(open: ReadonlySet<string> | undefined): Complaints {
  if (open !== undefined && open.size > 0) {
    yield `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(", ")}`
  }
}

function* complaintsAboutResult(message: Members, path: string, open: Set<string> | undefined): Complaints {
  yield* complaintsAboutMembers(message, path, ["role", "content", "tool_call_id"])
  yield* complaintsAboutContent(message["content"], `${path}.content`, ["text"])
  const id = message["tool_call_id"]
  if (typeof id !== "string") return yield `Missing parameter 'tool_call_id': ${path}.`
  if (open?.delete(id) !== true) {
    yield "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
  }
}

function* complaintsAboutMessage(message: Members, path: string): Complaints {
  const content = message["content"]
  switch (message["role"]) {
    case "system":
    case "developer":
      yield* complaintsAboutMembers(message, path, ["role", "content", "name"])
      return yield* complaintsAboutContent(content, `${path}.content`, ["text"])
    case "user":
      yield* complaintsAboutMembers(message, path, ["role", "content", "name"])
      return yield* complaintsAboutContent(content, `${path}.content`, ["text", "image_url", "input_audio", "file"])
    case "assistant":
      yield* complaintsAboutMembers(message, path, ["role", "content", "name", "refusal", "tool_calls"])
      if ((content === undefined || content === null) && message["tool_calls"] !== undefined) return
      return yield* complaintsAboutContent(content, `${path}.content`, ["text", "refusal"])
    default:
      yield `Invalid value for '${path}.role': ${String(message["role"])}. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'.`
  }
}

function* complaintsAboutContent(content: unknown, path: string, types: ReadonlyArray<string>): Complaints {
  if (typeof content === "string") return
  if (!Array.isArray(content) || content.length === 0) {
    return yield `Invalid value for '${path}': expected a string or a list of parts, got ${JSON.stringify(content) ?? "undefined"}.`
  }
  for (const part of content) {
    if (!isMembers(part) || typeof part["type"] !== "string" || !types.includes(part["type"])) {
      yield `Invalid value for '${path}': no such type of part here.`
    } else if (part["type"] === "text" && typeof part["text"] !== "string") {
      yield `Invalid type for '${path}.text': expected a string.`
    }
  }
}

function* complaintsAboutCalls(calls: unknown, path: string, seen: Set<string>, open: Set<string>): Complaints {
  if (!Array.isArray(calls) || calls.length === 0) {
    return yield `Invalid '${path}': empty array. Expected an array with minimum length 1.`
  }
  if (calls.length > maxCalls) {
    yield `Invalid '${path}': array too long. Expected an array with maximum length ${maxCalls}, but got an array with length ${calls.length} instead.`
  }
  for (const [index, call] of calls.entries()) {
    const at = `${path}[${index}]`
    if (!isMembers(call) || call["type"] !== "function" || !isMembers(call["function"])) {
      yield `Invalid '${at}': expected a call of type 'function'.`
      continue
    }
    yield* complaintsAboutMembers(call, at, ["id", "type", "function"])
    yield* complaintsAboutMembers(call["function"], `${at}.function`, ["name", "arguments"])
    yield* complaintsAboutName(call["function"]["name"], `${at}.function.name`)
    if (typeof call["function"]["arguments"] !== "string") {
      yield `Invalid type for '${at}.function.arguments': expected a string.`
    }
    yield* complaintsAboutId(call["id"], `${at}.id`, seen, open)
  }
}

function* complaintsAboutId(id: unknown, path: string, seen: Set<string>, open: Set<string>): Complaints {
  if (typeof id !== "string" || id === "") return yield `Invalid '${path}': empty string.`
  if (id.length > 40) yield `Invalid '${path}': string too long. Expected a string with maximum length 40.`
  if (seen.has(id)) yield `Duplicate value for '${path}': ${id}`
  seen.add(id)
  open.add(id)
}

function* complaintsAboutName(name: unknown, path: string): Complaints {
  if (typeof name !== "string" || !namePattern.test(name)) {
    yield `Invalid '${path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$', 1 to 64 characters.`
  }
}

function* complaintsAboutTools(tools: unknown): Complaints {
  if (!Array.isArray(tools) || tools.length === 0) {
    return yield "Invalid 'tools': empty array. Expected an array with minimum length 1."
  }
  if (tools.length > maxTools) yield `Invalid 'tools': array too long. Expected at most ${maxTools}.`
  const names = new Set<unknown>()
  for (const [index, tool] of tools.entries()) {
    const path = `tools[${index}]`
    if (!isMembers(tool) || tool["type"] !== "function" || !isMembers(tool["function"])) {
      yield `Invalid '${path}': expected a tool of type 'function'.`
      continue
    }
    const definition = tool["function"]
    yield* complaintsAboutMembers(tool, path, ["type", "function"])
    yield* complaintsAboutMembers(definition, `${path}.function`, ["name", "description", "parameters", "strict"])
    yield* complaintsAboutName(definition["name"], `${path}.function.name`)
    if (names.has(definition["name"])) yield `Duplicate value for '${path}.function.name'.`
    names.add(definition["name"])
    yield* complaintsAboutDescription(definition["description"], `${path}.function.description`)
    if (definition["parameters"] !== undefined) {
      yield* complaintsAboutParameters(definition["parameters"], `Invalid schema for function '${definition["name"]}'`)
    }
  }
}

function* complaintsAboutDescription(description: unknown, path: string): Complaints {
  if (description === undefined) return
  if (typeof description !== "string") return yield `Invalid type for '${path}': expected a string.`
  if (description.length > 1024) yield `Invalid '${path}': string too long. Expected a maximum length of 1024.`
}

function* complaintsAboutParameters(schema: unknown, prefix: string): Complaints {
  if (!isMembers(schema) || schema["type"] !== "object") {
    return yield `${prefix}: schema must be a JSON Schema of 'type: "object"'.`
  }
  if (["oneOf", "anyOf", "allOf", "enum", "not"].some((key) => schema[key] !== undefined)) {
    yield `${prefix}: schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.`
  }
  if (!isMembers(schema["properties"])) yield `${prefix}: object schema missing properties.`
  yield* complaintsAboutSchema(schema, schema, prefix)
}

function* complaintsAboutSchema(schema: unknown, root: Members, prefix: string): Complaints {
  if (Array.isArray(schema)) {
    for (const each of schema) yield* complaintsAboutSchema(each, root, prefix)
  }
  if (!isMembers(schema)) return
  if (isMembers(schema["properties"]) && Object.hasOwn(schema["properties"], "user_id")) {
    yield `${prefix}: the model must not know of a 'user_id'.`
  }
  if (schema["type"] === "array" && schema["items"] === undefined) yield `${prefix}: array schema missing items.`
  if (typeof schema["$ref"] === "string" && !resolves(schema["$ref"], root)) {
    yield `${prefix}: reference to component '${schema["$ref"]}' which was not found in the schema.`
  }
  for (const each of Object.values(schema)) yield* complaintsAboutSchema(each, root, prefix)
}

function* complaintsAboutMembers(value: Members, path: string, allowed: ReadonlyArray<string>): Complaints {
  for (const key of Object.keys(value)) {
    if (!allowed.includes(key)) yield `Additional properties are not allowed ('${key}' was unexpected) - '${path}'`
  }
}

/** Whether a JSON pointer leads somewhere. */
const resolves = (pointer: string, root: Members): boolean => {
  if (!pointer.startsWith("#")) return false
  let current: unknown = root
  for (const segment of pointer.slice(1).split("/").slice(1)) {
    if (!isMembers(current)) return false
    current = current[segment.replaceAll("~1", "/").replaceAll("~0", "~")]
  }
  return isMembers(current)
}

const holdsLoneSurrogate = (value: unknown): boolean => {
  if (typeof value === "string") return !value.isWellFormed()
  if (typeof value !== "object" || value === null) return false
  return Object.entries(value).some(([key, each]) => !key.isWellFormed() || holdsLoneSurrogate(each))
}

/** Whether it is an object of JSON. */
export const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value)
