import { Schema, SchemaTransformation } from "effect"

/** Whether a string is well-formed Unicode without NUL: the text that PostgreSQL can store and JSON can carry unchanged. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes("\0")

/**
 * Makes any text storable: lone surrogates become U+FFFD, NUL characters are left out. For what a model says;
 * what a person sends is refused instead.
 */
export const toStorable = (text: string): string => text.toWellFormed().replaceAll("\0", "")

/** Text of `minimum` to `maximum` Unicode code points after trimming, well-formed and without NUL. */
export const TrimmedText = (minimum: number, maximum: number) => {
  const expected = `${minimum} to ${maximum} characters (Unicode code points) after trimming`
  return Schema.String.annotate({ description: expected }).pipe(
    // For the JSON Schema, which tells of what comes before the trimming.
    Schema.check(Schema.isMinCodePoints(minimum, { expected })),
    Schema.decode(SchemaTransformation.trim()),
    Schema.check(
      Schema.isBetweenCodePoints(minimum, maximum, { expected }),
      Schema.makeFilter(isStorable, { expected: "well-formed Unicode without NUL characters" })
    )
  )
}

/** How many bytes a well-formed text has as UTF-8, without making them. */
export const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // The two halves of a surrogate pair have two bytes each.
    if (unit >= 0x80) bytes += unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

/** The greatest depth of brackets in a JSON text, those in strings included: an estimate from above. */
export const nesting = (text: string): number => {
  let depth = 0
  let deepest = 0
  for (const character of text) {
    if (character === "[" || character === "{") deepest = Math.max(deepest, ++depth)
    else if (character === "]" || character === "}") depth--
  }
  return deepest
}

/**
 * JSON may have these characters as they are (RFC 8259, section 7), but a terminal that shows an answer would obey them. What
 * a user has stored comes back as the same text all the same.
 */
const terminalControls = /[\u007f-\u009f]/g

/** JSON as it is fit to be shown anywhere. */
export const legible = (json: string): string =>
  json.search(terminalControls) === -1
    ? json
    : json.replaceAll(terminalControls, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
