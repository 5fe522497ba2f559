import type { ValidateFunction } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { Option, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Api } from "../../../../src/adapters/http/Api.ts"

const Example = Schema.Struct({ summary: Schema.String, value: Schema.Json })
const Content = Schema.Record(
  Schema.String,
  Schema.Struct({
    schema: Schema.Json,
    examples: Schema.Record(Schema.String, Schema.Union([Example, Schema.Struct({ $ref: Schema.String })]))
  })
)
const Operation = Schema.Struct({
  operationId: Schema.String,
  parameters: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      in: Schema.String,
      required: Schema.Boolean,
      schema: Schema.Json,
      example: Schema.Union([Schema.String, Schema.Int])
    })
  ),
  requestBody: Schema.optionalKey(Schema.Struct({ content: Content })),
  responses: Schema.Record(
    Schema.String,
    Schema.Struct({
      content: Schema.optionalKey(Content),
      headers: Schema.Record(Schema.String, Schema.Json)
    })
  )
})
const Document = Schema.Struct({
  paths: Schema.Record(Schema.String, Schema.Record(Schema.String, Operation)),
  components: Schema.Struct({
    examples: Schema.Record(Schema.String, Example),
    schemas: Schema.Record(Schema.String, Schema.Struct({ properties: Schema.Record(Schema.String, Schema.Json) }))
  })
})

/** The document that the code makes now, as it is. */
export const json = OpenApi.fromApi(Api)
const document = Schema.decodeUnknownSync(Document)(json)

/** A body in an example, and where the schema is that it must fit. */
export interface Shown {
  readonly name: string
  readonly value: Schema.Json
  readonly schema: string
}

const ProblemReference = Schema.Struct({ $ref: Schema.String })
const ErrorProperty = Schema.Struct({
  properties: Schema.Struct({ code: Schema.Struct({ enum: Schema.Array(Schema.String) }) })
})
const choiceOf = Schema.decodeUnknownOption(Schema.Struct({ anyOf: Schema.Array(Schema.Json) }))
const referenceOf = Schema.decodeUnknownOption(ProblemReference)
const errorOf = Schema.decodeUnknownOption(ErrorProperty)

/** The codes that a problem of this schema may have. */
const codesOf = (schema: Schema.Json): ReadonlyArray<string> =>
  Option.getOrElse(choiceOf(schema), () => ({ anyOf: [schema] })).anyOf.flatMap(codesOfOne)

const codesOfOne = (schema: Schema.Json): ReadonlyArray<string> =>
  referenceOf(schema).pipe(
    Option.flatMap(({ $ref }) =>
      errorOf(document.components.schemas[$ref.split("/").at(-1) ?? ""]?.properties["error"])
    ),
    Option.match({ onNone: () => [], onSome: ({ properties }) => properties.code.enum })
  )

/** A place in a document. */
export const pointer = (...keys: ReadonlyArray<string>) =>
  keys.map((key) => `/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`).join("")

const shownIn = (content: typeof Content.Type | undefined, ...at: ReadonlyArray<string>): ReadonlyArray<Shown> =>
  Object.entries(content ?? {}).flatMap(([type, media]) =>
    Object.entries(media.examples).map(([name, example]) => ({
      name,
      value: "value" in example ? example.value : (document.components.examples[name]?.value ?? null),
      schema: pointer(...at, "content", type, "schema")
    }))
  )

/** EventStream.test.ts has the service give these. */
const eventStream = "text/event-stream"

/** All that the document has, one operation after the other. */
export const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    id: operation.operationId,
    path,
    method: method.toUpperCase(),
    parameters: operation.parameters,
    requestSchemas: Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => schema),
    requests: shownIn(operation.requestBody?.content, "paths", path, method, "requestBody"),
    /** The same answer in a form that has no schema to speak of. */
    streams: Object.values(operation.responses).flatMap(({ content }) =>
      Object.entries(content?.[eventStream]?.examples ?? {}).map(([name]) => name)
    ),
    responses: Object.entries(operation.responses)
      .map(([status, response]) => ({
        ...response,
        content: Object.fromEntries(Object.entries(response.content ?? {}).filter(([type]) => type !== eventStream)),
        status
      }))
      .map(({ content, headers, status }) => ({
        status: Number(status),
        types: Object.keys(content),
        shown: shownIn(content, "paths", path, method, "responses", status),
        codes: Object.values(content).flatMap(({ schema }) => codesOf(schema)),
        schema: Object.keys(content).map((type) =>
          pointer("paths", path, method, "responses", status, "content", type, "schema")
        )[0],
        headers: Object.keys(headers)
      }))
  }))
)
export type Operation = (typeof operations)[number]

/** Why a value does not fit the schema at a place of a document, if it does not. */
export const misfitIn = (json: object) => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
  addFormats.default(ajv)
  // What the document has around its schemas is none of them.
  ajv.addVocabulary(["openapi", "info", "paths", "components", "security", "tags", "servers"])
  ajv.addSchema({ ...json, $id: "openapi" })
  const validators = new Map<string, ValidateFunction>()
  return (schema: string, value: unknown): string | undefined => {
    const validate = validators.get(schema) ?? ajv.compile({ $ref: `openapi#${schema}` })
    validators.set(schema, validate)
    return validate(value) === true ? undefined : ajv.errorsText(validate.errors)
  }
}

/** The same of this document. */
export const misfit = misfitIn(json)
