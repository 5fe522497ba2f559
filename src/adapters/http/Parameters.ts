import { Effect, Schema, SchemaGetter, SchemaIssue } from "effect"
import { ConversationId, TurnId } from "../../domain/model/Conversation.ts"
import { TaskId } from "../../domain/model/Task.ts"
import { isStorable } from "../../domain/model/Text.ts"
import { IdempotencyKey } from "../../domain/model/Turn.ts"
import { UserId } from "../../domain/model/User.ts"
import { conversationId, cursors, idempotencyKey, turnId, userId } from "./Examples.ts"

/** Text on the wire. A schema that changes it before it looks would leave the OpenAPI document with a bare string. */
export const documentedText = (description: string, json: Schema.JsonObject = {}, example?: string) =>
  Schema.String.check(Schema.makeFilter(() => true, { toJsonSchema: () => json })).annotate({
    description,
    ...(example !== undefined && { examples: [example] })
  })

export const UserIdParam = documentedText(
  "The user whose token is sent",
  { minLength: 1, maxLength: 128, pattern: "^[A-Za-z0-9_-]{1,128}$" },
  userId
).pipe(Schema.decodeTo(UserId))

export const ConversationIdParam = documentedText("A conversation", { format: "uuid" }, conversationId).pipe(
  Schema.decodeTo(ConversationId)
)

/** A chat of a front end, which may call it as it likes. */
export const ChatIdParam = documentedText(
  "A chat, by the id that the front end gave it: a conversation's id, or any other text",
  { minLength: 1, maxLength: 255 },
  conversationId
).pipe(
  Schema.decodeTo(
    Schema.String.check(
      Schema.makeFilter((text) => isStorable(text) && text.trim() !== "", {
        expected: "well-formed Unicode without NUL characters, and not only white space"
      }),
      Schema.isBetweenCodePoints(1, 255, { expected: "1 to 255 characters (Unicode code points)" })
    )
  )
)

export const TurnIdParam = documentedText("A turn", { format: "uuid" }, turnId).pipe(Schema.decodeTo(TurnId))

const canonicalDigits = /^[1-9][0-9]{0,9}$/

/** A whole number from 1, in the one way to write it: without sign, leading zeros, fraction or exponent. */
const canonicalInteger = (
  description: string,
  json: { readonly maximum: number; readonly default?: number },
  example: number
) =>
  documentedText(description, { minimum: 1, ...json }, String(example)).pipe(
    Schema.check(Schema.isPattern(canonicalDigits, { expected: `a whole number from 1 to ${json.maximum}` })),
    Schema.decodeTo(
      Schema.Int.check(
        Schema.isBetween(
          { minimum: 1, maximum: json.maximum },
          { expected: `a whole number from 1 to ${json.maximum}` }
        )
      ),
      { decode: SchemaGetter.Number(), encode: SchemaGetter.String() }
    )
  )

export const TaskIdParam = canonicalInteger("The number of a task", { maximum: 2_147_483_647 }, 1).pipe(
  Schema.decodeTo(TaskId)
)

/** How many entries a page may have. */
export const limitParam = (bounds: { readonly maximum: number; readonly default: number }) =>
  Schema.optionalKey(canonicalInteger("How many entries the page may have at most", bounds, 2))

/**
 * A place in a list: the opaque text that a page gave as `next_cursor`, which stands for these values.
 *
 * What was tampered with is refused or names another place of the same user's list: the values are bounded to what a
 * store can compare with, and choose nothing else.
 */
const cursor = <S extends Schema.ConstraintCodec<unknown, unknown>>(position: S, example: string) => {
  const text = Schema.StringFromBase64Url.pipe(Schema.decodeTo(Schema.fromJsonString(position)))
  const decode = Schema.decodeUnknownOption(text)
  return documentedText(
    "A place in the list: `after` takes what `next_cursor` gave",
    { minLength: 1, maxLength: 512 },
    example
  ).pipe(
    Schema.decodeTo(Schema.toType(position), {
      decode: SchemaGetter.transformEffect((input, options) =>
        Effect.mapError(
          Effect.fromOption(decode(input)),
          () => new SchemaIssue.InvalidValue({ expected: "the next_cursor of a page" }, input, options)
        )
      ),
      encode: SchemaGetter.transform(Schema.encodeSync(text))
    })
  )
}

/** Behind which conversation a page begins. */
export const ConversationCursor = cursor(
  Schema.Struct({
    updatedAt: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Date.UTC(9999, 11, 31) })).pipe(
      Schema.decodeTo(Schema.DateTimeUtcFromMillis)
    ),
    id: ConversationId
  }),
  cursors.conversations
)

/** Behind which message of its conversation a page begins. */
export const MessageCursor = cursor(
  Schema.Struct({ seq: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_147_483_647 })) }),
  cursors.messages
)

/** Behind which task a page begins. */
export const TaskCursor = cursor(Schema.Struct({ id: TaskId }), cursors.tasks)

/** A string of RFC 8941, section 3.3.3. */
const quotedString = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/
const escaped = /\\(["\\])/g
const needsEscape = /["\\]/g

/**
 * The `Idempotency-Key` header. The IETF's draft makes it a quoted string of RFC 8941; most clients send it bare. Both
 * are one key.
 */
export const IdempotencyKeyHeader = documentedText(
  "Makes it safe to send the request again: 1 to 255 visible ASCII characters, bare or quoted",
  // Quoted, with all of it escaped.
  { minLength: 1, maxLength: 512 },
  idempotencyKey
).pipe(
  Schema.decodeTo(IdempotencyKey, {
    decode: SchemaGetter.transformEffect((text, options) => {
      if (!text.startsWith('"')) {
        return Effect.succeed(text)
      }
      const inner = quotedString.exec(text)?.[1]
      return inner === undefined
        ? Effect.fail(new SchemaIssue.InvalidValue({ expected: "a closed quoted string" }, text, options))
        : Effect.succeed(inner.replaceAll(escaped, "$1"))
    }),
    encode: SchemaGetter.transform((key) => `"${key.replaceAll(needsEscape, "\\$&")}"`)
  })
)

const eventId = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/

/** The `Last-Event-ID` header (https://html.spec.whatwg.org/#the-last-event-id-header): how far a turn has been told. */
export const LastEventIdHeader = documentedText(
  "The id of the last event that came: what is behind it is told",
  { minLength: 5, maxLength: 29, pattern: eventId.source },
  "1.1.12"
).pipe(
  Schema.check(Schema.isPattern(eventId, { expected: "the id of an event" })),
  Schema.decodeTo(Schema.Struct({ attempt: Schema.Int, step: Schema.Int, position: Schema.Int }), {
    decode: SchemaGetter.transform((text) => {
      const [attempt = 0, step = 0, position = 0] = text.split(".").map(Number)
      return { attempt, step, position }
    }),
    encode: SchemaGetter.transform(({ attempt, position, step }) => `${attempt}.${step}.${position}`)
  })
)
