import { Arbitrary, Effect, Exit, Schema } from "effect"
import { HttpApi, OpenApi } from "effect/http-api"
import { Api } from "../../src/adapters/http/Api.ts"

/** A part of JSON Schema, as far as requests are made from it. */
export interface JsonSchema {
  readonly type?: string
  readonly properties?: { readonly [name: string]: JsonSchema }
  readonly required?: ReadonlyArray<string>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly enum?: ReadonlyArray<unknown>
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly format?: string
  readonly pattern?: string
}

export interface Parameter {
  readonly name: string
  readonly in: string
  readonly schema: JsonSchema
}

/** What the document says of one answer. */
export interface DocumentedAnswer {
  readonly content?: { readonly [type: string]: unknown }
  readonly headers?: { readonly [name: string]: { readonly required?: boolean } }
}

interface DocumentedOperation {
  readonly operationId: string
  readonly parameters?: ReadonlyArray<Parameter>
  readonly security?: ReadonlyArray<object>
  readonly requestBody?: { readonly content: { readonly [type: string]: { readonly schema: JsonSchema } } }
  readonly responses: { readonly [status: string]: DocumentedAnswer }
}

/** The OpenAPI document, as far as it is read here. */
export interface Document {
  readonly paths: { readonly [path: string]: { readonly [method: string]: DocumentedOperation } }
}

/** The values of one part of a request, as they travel. */
type Part = { readonly [name: string]: unknown }

/** What a valid request is made of. */
export interface Parts {
  readonly params: Part
  readonly query: Part
  readonly headers: Part
  readonly payload: unknown
}

/** An operation of the API: what the document says of it, and what makes valid requests from its schemas. */
export interface Operation {
  readonly id: string
  readonly method: string
  /** The path with its parameters in braces, as the document has it. */
  readonly path: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly body: JsonSchema | undefined
  /** Whether it asks for a token. */
  readonly secured: boolean
  readonly responses: DocumentedOperation["responses"]
  /** Makes so many valid requests, the same ones for the same seed. */
  readonly sample: (seed: string, count: number, size: number) => Effect.Effect<ReadonlyArray<Parts>>
}

type Codec = Schema.Codec<unknown, unknown>

/**
 * Values of a schema as they are sent. What the decoded type allows but has no way to be sent is left out, such as text
 * that would be trimmed to nothing: as many are drawn as are asked for.
 */
const valuesOf = (schema: Codec) => {
  const arbitrary = Arbitrary.schema(schema)
  const encode = Schema.encodeUnknownEffect(schema)
  const decode = Schema.decodeUnknownEffect(schema)
  return Effect.fnUntraced(function* (seed: string, count: number, size: number) {
    const values: Array<unknown> = []
    for (let round = 0; values.length < count && round < 50; round++) {
      const drawn = yield* Effect.orDie(Arbitrary.sampleEffect(arbitrary, { seed: `${seed}/${round}`, count, size }))
      for (const value of drawn) {
        const encoded = Effect.runSyncExit(Effect.suspend(() => Effect.tap(encode(value), decode)))
        if (Exit.isSuccess(encoded) && values.length < count) values.push(encoded.value)
      }
    }
    return values
  })
}

const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null

/** The document of the API. */
export const documentOf = (): Document => OpenApi.fromApi(Api) as unknown as Document

/** Every operation that the API has: one that is added to it is here by itself. */
export const operationsOf = (document: Document): ReadonlyArray<Operation> => {
  const operations: Array<Operation> = []
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      const path = endpoint.path.replaceAll(/:(\w+)/g, "{$1}")
      const documented = document.paths[path]?.[endpoint.method.toLowerCase()]
      if (documented === undefined) throw new Error(`The document does not know ${endpoint.method} ${path}`)
      const payloads = [...endpoint.payload.values()].flatMap(({ schemas }) => [...schemas])
      const parts = {
        params: endpoint.params,
        query: endpoint.query,
        headers: endpoint.headers,
        payload: payloads[0]
      }
      const sources = Object.entries(parts).map(([name, schema]) => ({
        name,
        values: schema === undefined ? undefined : valuesOf(schema as Codec)
      }))
      operations.push({
        id: documented.operationId,
        method: endpoint.method,
        path,
        parameters: documented.parameters ?? [],
        body: documented.requestBody?.content["application/json"]?.schema,
        secured: (documented.security ?? []).length > 0,
        responses: documented.responses,
        sample: Effect.fnUntraced(function* (seed: string, count: number, size: number) {
          const drawn = yield* Effect.forEach(sources, ({ name, values }) =>
            Effect.map(
              values === undefined
                ? Effect.succeed([])
                : values(`${seed}/${documented.operationId}/${name}`, count, size),
              (list) => [name, list] as const
            )
          )
          const columns = new Map(drawn)
          const part = (name: string, at: number): Part => {
            const value = columns.get(name)?.[at]
            return isPart(value) ? value : {}
          }
          return Array.from({ length: count }, (_, at) => ({
            params: part("params", at),
            query: part("query", at),
            headers: part("headers", at),
            payload: columns.get("payload")?.[at]
          }))
        })
      })
    }
  })
  return operations
}
