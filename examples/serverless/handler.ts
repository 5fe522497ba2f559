import { Config, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Turnkeeper } from "turnkeeper"
import { Routes } from "turnkeeper/http"
import { JwtAuth } from "turnkeeper/jwt"
import { OpenAiModel } from "turnkeeper/openai"
import { PgDatabase, Postgres } from "turnkeeper/postgres"
import { database } from "./database.ts"

const model = OpenAiModel.layerConfig({
  apiKey: Config.Redacted("OPENAI_API_KEY"),
  model: Config.withDefault(Config.String("OPENAI_MODEL"), "gpt-4"),
  baseUrl: Config.withDefault(Config.String("OPENAI_BASE_URL"), "https://api.openai.com/v1")
})

const users = JwtAuth.layerConfig({
  jwksUrl: Config.URL("JWKS_URL"),
  issuer: Config.String("JWT_ISSUER"),
  audience: Config.String("JWT_AUDIENCE")
})

/** A deployment runs the migrations, not each instance that comes up. */
const stores = Postgres.layer({ migrate: false })

const app = Routes.layer.pipe(
  Layer.provide(Turnkeeper.layer),
  Layer.provide([stores, model, users, HttpServer.layerServices]),
  Layer.provide(PgDatabase.layerConfig(database))
)

const { dispose, handler } = HttpRouter.toWebHandler(app, { routerConfig: Routes.routerConfig })

export { dispose }

export default { fetch: (request: Request): Promise<Response> => handler(request) }
