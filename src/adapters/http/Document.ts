import { Predicate } from "effect"

/**
 * Corrects what the generator cannot know: clients may send, and must bear, properties that are not in the document; a
 * parameter with bounds is a number, although any parameter travels as text; and times are times, ids UUIDs, and counts
 * not negative.
 */
export const describeDocument = (document: Record<string, unknown>): Record<string, unknown> => {
  const described: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(document)) {
    if (key !== "additionalProperties" || value !== false) {
      described[key] = describeProperty(key, value)
    }
  }
  const { schema } = described
  if ("in" in described && Predicate.isObject(schema) && "minimum" in schema) {
    return { ...described, schema: { ...schema, type: "integer" } }
  }
  return described
}

const timestamp = /_at$/
const uuid = /^(?:(?:conversation|turn|message)_)?id$/

const describeProperty = (name: string, value: unknown): unknown => {
  if (!Predicate.isObject(value)) {
    return describe(value)
  }
  if (timestamp.test(name)) {
    return { ...value, format: "date-time" }
  }
  const type = Predicate.hasProperty(value, "type") ? value.type : undefined
  // A task's id is a number.
  if (uuid.test(name) && type === "string") {
    return { ...value, format: "uuid" }
  }
  if (type === "integer" && Predicate.hasProperty(value, "minimum") && value.minimum === Number.MIN_SAFE_INTEGER) {
    return { ...value, minimum: name === "seq" ? 1 : 0 }
  }
  return describe(value)
}

const describe = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(describe)
  }
  return Predicate.isObject(value) ? describeDocument({ ...value }) : value
}
