import { Predicate } from "effect"

/**
 * Corrects what the generator cannot know: clients may send, and must bear, properties that are not in the document; a
 * parameter with bounds is a number, although any parameter travels as text; and times are times.
 */
export const describeDocument = (document: Record<string, unknown>): Record<string, unknown> => {
  const described: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(document)) {
    if (key !== "additionalProperties" || value !== false) {
      described[key] =
        timestamp.test(key) && Predicate.isObject(value) ? { ...value, format: "date-time" } : describe(value)
    }
  }
  const { schema } = described
  if ("in" in described && Predicate.isObject(schema) && "minimum" in schema) {
    return { ...described, schema: { ...schema, type: "integer" } }
  }
  return described
}

const timestamp = /_at$/

const describe = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(describe)
  }
  return Predicate.isObject(value) ? describeDocument({ ...value }) : value
}
