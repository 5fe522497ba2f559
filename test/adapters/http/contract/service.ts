import { Context, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import createClient, { type Middleware } from "openapi-fetch"
import { userId } from "../../../../src/adapters/http/Examples.ts"
import { serve } from "../../../../src/adapters/http/Server.ts"
import * as Memory from "../../../../src/adapters/memory/Memory.ts"
import * as MemoryAuth from "../../../../src/adapters/memory/MemoryAuth.ts"
import * as OfflineModel from "../../../../src/adapters/offline/OfflineModel.ts"
import { UserId } from "../../../../src/domain/model/User.ts"
import { defaultSettings, Settings } from "../../../../src/domain/Settings.ts"
import * as Turnkeeper from "../../../../src/domain/Turnkeeper.ts"
import { misfit, operations } from "./document.ts"
import { authorization } from "./morning.ts"
import type { paths } from "./schema.d.ts"

const demo = { id: UserId.make(userId), name: "Demo" }

/** The whole service over a socket, on a store in memory and the offline model. Gives its URL. */
export const serveService = Effect.gen(function* () {
  const context = yield* Layer.build(
    serve({ port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }).pipe(
      Layer.provide(Turnkeeper.layer),
      Layer.provide([
        Memory.layer,
        OfflineModel.layer,
        MemoryAuth.layer(new Map([[authorization.replace("Bearer ", ""), demo]])),
        Layer.succeed(Settings, { ...defaultSettings, turnsPerMinute: 4 })
      ])
    )
  )
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
})

/** What of an answer is not in the document: its status, its headers, its type, or something in its body. */
const surprises = async (method: string, path: string, response: Response): Promise<ReadonlyArray<string>> => {
  const told = operations
    .find((operation) => operation.method === method && operation.path === path)
    ?.responses.find(({ status }) => status === response.status)
  if (told === undefined) {
    return [`${method} ${path} does not tell of ${response.status}`]
  }
  const at = `${method} ${path} ${response.status}`
  const type = response.headers.get("content-type") ?? undefined
  if (type === "text/event-stream") return []
  const body = type === undefined ? undefined : await response.clone().json()
  const reason = told.schema === undefined ? undefined : misfit(told.schema, body)
  return [
    ...(type === told.types[0] ? [] : [`${at} is ${type}`]),
    ...told.headers
      .filter((name) => name !== "idempotency-replayed" && !response.headers.has(name))
      .map((name) => `${at} has no ${name}`),
    ...(reason === undefined ? [] : [`${at}: ${reason}`])
  ]
}

/** A client that others wrote, with types that others' generator made of the document; and all that surprised it. */
export const clientOf = (baseUrl: string) => {
  const found: Array<string> = []
  const seen = new Set<string>()
  const watch: Middleware = {
    onResponse: async ({ request, response, schemaPath }) => {
      seen.add(`${request.method} ${schemaPath}`)
      found.push(...(await surprises(request.method, schemaPath, response)))
    }
  }
  const client = createClient<paths, "application/json" | "application/problem+json">({
    baseUrl,
    headers: { authorization }
  })
  client.use(watch)
  return { client, found, seen }
}
