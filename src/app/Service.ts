import { Context, Effect, Layer, Option, Schema } from "effect"
import { HttpServer } from "effect/http"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import * as BetterAuth from "../adapters/better-auth/BetterAuth.ts"
import { Readiness } from "../adapters/http/Handlers.ts"
import { LocalSession } from "../adapters/http/Page.ts"
import * as Http from "../adapters/http/Server.ts"
import * as JwtAuth from "../adapters/jwt/JwtAuth.ts"
import * as Mcp from "../adapters/mcp/Mcp.ts"
import * as OfflineModel from "../adapters/offline/OfflineModel.ts"
import type * as PgliteDatabase from "../adapters/pglite/PgliteDatabase.ts"
import * as PgDatabase from "../adapters/postgres/PgDatabase.ts"
import * as Postgres from "../adapters/postgres/Postgres.ts"
import type { SchemaInvalid } from "../adapters/postgres/Schema.ts"
import { InvalidToken } from "../domain/model/Errors.ts"
import { Settings } from "../domain/Settings.ts"
import * as Tools from "../domain/Tools.ts"
import * as Turnkeeper from "../domain/Turnkeeper.ts"
import * as Turns from "../domain/Turns.ts"
import { Auth } from "../ports/Auth.ts"
import { ConversationRepo } from "../ports/ConversationRepo.ts"
import * as Banner from "./Banner.ts"
import { type AppConfig, isLoopback } from "./Config.ts"

/** The session of the demo user, where the database is embedded. */
class Demo extends Context.Service<Demo, Option.Option<BetterAuth.DemoSession>>()("turnkeeper/app/Service/Demo") {}

/** The ports, on the database and the model that the configuration names. */
export const adapters = (config: AppConfig) =>
  Layer.mergeAll(stores(config), authentication(config.auth), model(config)).pipe(Layer.provideMerge(database(config)))

/** The embedded database is nobody else's; that of a server is migrated by a connection for that, or refused. */
const stores = ({ database }: AppConfig) =>
  Postgres.layer(database._tag === "Embedded" ? {} : { schema: database.schema, migrate: false })

/** The service on whatever ports it is given: it serves once the layer is built, and hands back what it had begun when it is closed. */
export const serve = (config: AppConfig) => {
  const domain = Turnkeeper.layerWithoutTools.pipe(
    Layer.provideMerge(Tools.layer),
    Layer.provide(config.database._tag === "Embedded" ? takeUpAll : Layer.empty)
  )
  const server = Http.serve(
    {
      port: config.port,
      host: config.host,
      corsOrigins: config.corsOrigins,
      gracefulShutdownTimeout: "10 seconds"
    },
    Mcp.layer({ allowedOrigins: config.corsOrigins })
  ).pipe(
    Layer.provide(isLoopback(config.host) ? signedIn : Layer.empty),
    Layer.provide(
      Layer.effect(
        Readiness,
        Effect.map(Turns.Turns, (turns) => turns.ready)
      )
    )
  )
  const banner = Layer.effectDiscard(
    Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      yield* Banner.print(config, HttpServer.formatAddress(address), yield* Demo)
    })
  )
  // What is built last ends first: turns are drained while the server still answers.
  return draining.pipe(
    Layer.provide(banner),
    Layer.provide(server),
    Layer.provide(domain),
    Layer.provide(Layer.succeed(Settings, config.settings))
  )
}

/** The whole service as it is configured. */
export const layer = (config: AppConfig) => serve(config).pipe(Layer.provide(adapters(config)))

const draining = Layer.effectDiscard(
  Effect.gen(function* () {
    const turns = yield* Turns.Turns
    const { announce, awaitGone } = yield* Http.Farewell
    yield* Effect.addFinalizer(() => Effect.andThen(announce, Effect.andThen(turns.drain, awaitGone)))
  })
)

/** On the machine of whoever tries the service, the page is signed in as the demo user by the banner's link. */
const signedIn = Layer.effect(
  LocalSession,
  Effect.map(Demo, (demo) => Option.map(demo, ({ name, token, userId }) => ({ id: userId, name, token })))
)

/** The embedded database has no other instance: whatever is still running there was left behind by the last start. */
const takeUpAll = Layer.effectDiscard(Effect.flatMap(ConversationRepo, (repo) => repo.expireLeases))

/** An adapter cannot be loaded: a package that it needs is not there. */
class AdapterMissing extends Schema.TaggedError<AdapterMissing>()("AdapterMissing", {
  /** How that package is installed. */
  install: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `A package is missing (${this.install})`
  }
}

/** Loads an adapter whose packages are installed by those who want it, and nobody else. */
const adapter = <A, E, B>(
  install: string,
  load: () => Promise<B>,
  toLayer: (loaded: B) => Layer.Layer<A, E>
): Layer.Layer<A, E | AdapterMissing> =>
  Layer.unwrap(
    Effect.map(Effect.tryPromise({ try: load, catch: (cause) => new AdapterMissing({ install, cause }) }), toLayer)
  )

const model = (config: AppConfig) => {
  if (config.model._tag === "Offline") return OfflineModel.layer
  const { apiKey, baseUrl, model } = config.model
  return adapter(
    "npm install openai undici",
    () => import("../adapters/openai/OpenAiModel.ts"),
    (OpenAiModel) =>
      OpenAiModel.layer({ apiKey, model, ...(Option.isSome(baseUrl) && { baseUrl: baseUrl.value.href }) })
  )
}

const embedded = (dataDir: string) =>
  adapter(
    "npm install @electric-sql/pglite",
    () => import("../adapters/pglite/PgliteDatabase.ts"),
    (PgliteDatabase) => PgliteDatabase.layer({ dataDir })
  )

type DatabaseError =
  | AdapterMissing
  | BetterAuth.AuthTablesMissing
  | Migrator.MigrationError
  | PgDatabase.MigrationsMissing
  | PgliteDatabase.DataDirLocked
  | PgliteDatabase.DataDirUnusable
  | SchemaInvalid
  | SqlError.SqlError

/** Sessions, JWTs, or both: a token tells by its form which of them it is. */
const authentication = (options: AppConfig["auth"]) =>
  Layer.effect(
    Auth,
    Effect.gen(function* () {
      const sessions = options.sessions ? Option.some(yield* BetterAuth.make(options)) : Option.none()
      const jwts = Option.isSome(options.jwt) ? Option.some(yield* JwtAuth.make(options.jwt.value)) : Option.none()
      return Auth.of({
        authenticate: (token) =>
          Option.match(Option.isSome(jwts) && JwtAuth.isJwt(token) ? jwts : sessions, {
            onNone: () => Effect.fail(new InvalidToken()),
            onSome: (auth) => auth.authenticate(token)
          })
      })
    })
  )

const database = (config: AppConfig): Layer.Layer<Demo | SqlClient.SqlClient, DatabaseError> => {
  const { auth, database } = config
  if (database._tag === "Embedded") {
    return Layer.effect(
      Demo,
      // Where sessions are off its token would open nothing.
      auth.sessions ? Effect.asSome(BetterAuth.createDemoSession) : Effect.succeedNone
    ).pipe(Layer.provideMerge(embedded(database.dataDir)))
  }
  const prepared = Effect.gen(function* () {
    yield* PgDatabase.requireMigrations(database.schema)
    if (auth.sessions) yield* BetterAuth.requireTables(auth.names)
    return Option.none<BetterAuth.DemoSession>()
  })
  return Layer.effect(Demo, prepared).pipe(
    Layer.provideMerge(PgDatabase.layer(database)),
    Layer.provide(database.migrate ? Layer.effectDiscard(PgDatabase.migrate(database)) : Layer.empty)
  )
}
