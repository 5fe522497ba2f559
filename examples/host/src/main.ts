import { createServer } from "node:http"
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { Settings, Turnkeeper, Turns } from "turnkeeper"
import { Routes } from "turnkeeper/http"
import { OpenAiModel } from "turnkeeper/openai"
import { Postgres } from "turnkeeper/postgres"
import * as AgentTools from "./AgentTools.ts"
import * as Caterer from "./Caterer.ts"
import * as Database from "./Database.ts"
import * as Http from "./Http.ts"
import * as People from "./People.ts"
import * as Visitors from "./Visitors.ts"

const model = OpenAiModel.layerConfig({
  apiKey: Config.Redacted("OPENAI_API_KEY"),
  model: Config.withDefault(Config.String("OPENAI_MODEL"), "gpt-4"),
  baseUrl: Config.withDefault(Config.String("OPENAI_BASE_URL"), "https://api.openai.com/v1")
})

const settings = Settings.layerConfig({
  shutdownGrace: Config.withDefault(Config.Duration("SHUTDOWN_GRACE"), Settings.defaultSettings.shutdownGrace)
})

const stores = Postgres.layer({ schema: "agent" })

const server = HttpRouter.serve(Http.layer, { routerConfig: Routes.routerConfig }).pipe(
  Layer.provide(NodeHttpServer.layerConfig(createServer, { port: Config.withDefault(Config.Int("PORT"), 3000) }))
)

// What is built last ends first: turns end, or are handed to other instances, while the server still answers.
const app = Turns.layerDrain.pipe(
  Layer.provide(server),
  Layer.provide(Turnkeeper.layerWithoutTools),
  Layer.provide(AgentTools.layer),
  Layer.provide([stores, model, People.layer, Visitors.layer, Caterer.layer]),
  Layer.provide([Database.layer, NodeHttpClient.layerUndici, settings])
)

NodeRuntime.runMain(Layer.launch(app))
