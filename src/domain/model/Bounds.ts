import { Schema } from "effect"

/*
 * Bounds of what was bounded before it was stored. They are told in JSON Schemas only: an answer that checked them once
 * more would pay for it each time.
 */

export const StoredText = (bounds: { readonly minLength?: number; readonly maxLength: number }) =>
  Schema.String.pipe(Schema.check(Schema.makeFilter(() => true, { toJsonSchema: () => ({ ...bounds }) })))

export const StoredArray = <S extends Schema.Constraint>(
  entry: S,
  bounds: { readonly minItems?: number; readonly maxItems: number }
) =>
  Schema.Array(entry).pipe(
    Schema.check(
      // Structural: it is as true of the entries as they are sent.
      Schema.makeFilter(() => true, { "~structural": true, toJsonSchema: () => ({ ...bounds }) })
    )
  )
