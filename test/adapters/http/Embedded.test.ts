import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Redacted, References, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { AgentApi, Api, CurrentUser } from "../../../src/adapters/http/Api.ts"
import * as Routes from "../../../src/adapters/http/Routes.ts"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import * as MemoryAuth from "../../../src/adapters/memory/MemoryAuth.ts"
import * as OfflineModel from "../../../src/adapters/offline/OfflineModel.ts"
import { StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import * as Turnkeeper from "../../../src/domain/Turnkeeper.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"
import { ada } from "../../support/instance.ts"
import { lint } from "../../support/lint.ts"
import { temporaryFolder } from "../../support/service.ts"
import { misfitIn, pointer } from "./contract/document.ts"

const decodePaths = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({
      paths: Schema.Record(
        Schema.String,
        Schema.Record(
          Schema.String,
          Schema.Struct({
            operationId: Schema.String,
            security: Schema.Array(Schema.Record(Schema.String, Schema.Array(Schema.String)))
          })
        )
      )
    })
  )
)

const Media = Schema.Record(
  Schema.String,
  Schema.Struct({
    examples: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ value: Schema.Json })))
  })
)
const decodeShown = Schema.decodeUnknownSync(
  Schema.Struct({
    paths: Schema.Record(
      Schema.String,
      Schema.Record(
        Schema.String,
        Schema.Struct({
          parameters: Schema.Array(
            Schema.Struct({
              name: Schema.String,
              example: Schema.optionalKey(Schema.Json),
              schema: Schema.Struct({
                type: Schema.optionalKey(Schema.String),
                format: Schema.optionalKey(Schema.String),
                minimum: Schema.optionalKey(Schema.Finite)
              })
            })
          ),
          requestBody: Schema.optionalKey(Schema.Struct({ content: Media })),
          responses: Schema.Record(Schema.String, Schema.Struct({ content: Schema.optionalKey(Media) }))
        })
      )
    )
  })
)

/** What an application answers those whom it does not know: nothing of ours. */
class NotSignedIn extends Schema.TaggedError<NotSignedIn>()(
  "NotSignedIn",
  { login: Schema.String },
  { httpApiStatus: 401 }
) {}

/** And whom it lets in no longer. */
class Suspended extends Schema.TaggedError<Suspended>()("Suspended", {}, { httpApiStatus: 403 }) {}

/** How an application signs its users in: by a cookie. */
class SignIn extends HttpApiMiddleware.Service<SignIn, { provides: CurrentUser }>()("app/SignIn", {
  security: { session: HttpApiSecurity.apiKey({ in: "cookie", key: "session" }) },
  error: [NotSignedIn, Suspended]
}) {}

const signIn = Layer.succeed(SignIn, {
  session: (handle, { credential }) => {
    const name = Redacted.value(credential)
    return name === ""
      ? Effect.fail(new NotSignedIn({ login: "/login" }))
      : Effect.provideService(handle, CurrentUser, { id: UserId.make(name), name })
  }
})

/** Groups, operations, schemas and paths that are called as ours are. */
const Task = Schema.Struct({ room: Schema.String }).annotate({ identifier: "HostTask" })
const Tasks = HttpApiGroup.make("tasks")
  .add(
    HttpApiEndpoint.get("list", "/api/v1/users/:user_id/tasks", { params: { user_id: Schema.String }, success: Task })
  )
  .annotateMerge(OpenApi.annotations({ title: "Tasks" }))
const Users = HttpApiGroup.make("users").add(HttpApiEndpoint.get("me", "/me", { success: Task }).middleware(SignIn))

class AppApi extends HttpApi.make("app")
  .add(Tasks, Users)
  .addHttpApi(AgentApi.prefix("/agent").middleware(SignIn))
  .annotateMerge(OpenApi.annotations({ title: "An application", version: "7" })) {}

const own = Layer.merge(
  HttpApiBuilder.group(AppApi, "tasks", (handlers) =>
    handlers.handle("list", () => Effect.succeed({ room: "of the application" }))
  ),
  HttpApiBuilder.group(AppApi, "users", (handlers) =>
    handlers.handle("me", () => Effect.map(CurrentUser, ({ name }) => ({ room: name })))
  )
)

/** Another one that has the agent, for the same people. */
class OtherApi extends HttpApi.make("other").addHttpApi(AgentApi.prefix("/other").middleware(SignIn)) {}

const app = HttpApiBuilder.layer(AppApi).pipe(Layer.provide([own, Routes.agent(AppApi)]), Layer.provide(signIn))
const other = HttpApiBuilder.layer(OtherApi).pipe(Layer.provide(Routes.agent(OtherApi)), Layer.provide(signIn))
const service = Routes.layer.pipe(Layer.provide(MemoryAuth.layer(new Map([["ada's", ada]]))))

const domain = Turnkeeper.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(Memory.layer, OfflineModel.layer, HttpServer.layerServices))
)
const routes = Layer.provide(app, domain)

interface Init {
  /** Whose session it is. */
  readonly as?: string
  readonly headers?: { readonly [name: string]: string }
  readonly body?: object
}

/** Routes, as a function of a request. */
const serve = <E>(app: Layer.Layer<never, E, HttpRouter.HttpRouter>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => HttpRouter.toWebHandler(app, { disableLogger: true, routerConfig: Routes.routerConfig })),
      ({ dispose }) => Effect.promise(dispose)
    ),
    ({ handler }) =>
      (method: string, path: string, init: Init = {}) =>
        Effect.promise(() =>
          handler(
            new Request(`http://app.example${path}`, {
              method,
              headers: {
                ...(init.as !== undefined && { cookie: `session=${init.as}` }),
                ...(init.body !== undefined && { "content-type": "application/json" }),
                ...init.headers
              },
              ...(init.body !== undefined && { body: JSON.stringify(init.body) })
            })
          )
        )
  )

/** The application. */
const served = serve(routes)

const decodeRequestId = Schema.decodeUnknownSync(Schema.Struct({ request_id: Schema.String }))

const bodyOf = (response: Response) => Effect.promise((): Promise<unknown> => response.json())

describe("the agent in an application's own API", () => {
  it.live("answers below a prefix whoever the application has signed in", () =>
    Effect.gen(function* () {
      const request = yield* served
      const turn = yield* request("POST", "/agent/api/v1/users/ada/chat", {
        as: "ada",
        body: { message: "Add a task to buy milk" }
      })
      assert.strictEqual(turn.status, 200)
      assert.deepInclude(yield* bodyOf(turn), { message: "I've added 'Buy milk' to your list as task 1." })
      const created = yield* request("POST", "/agent/api/v1/users/ada/tasks", { as: "ada", body: { title: "Rest" } })
      assert.strictEqual(created.headers.get("location"), "/agent/api/v1/users/ada/tasks/2")
      const found = yield* request("GET", created.headers.get("location") ?? "", { as: "ada" })
      assert.deepInclude(yield* bodyOf(found), { id: 2, title: "Rest" })
      assert.deepStrictEqual(yield* bodyOf(yield* request("GET", "/agent/api/v1/me", { as: "ada" })), {
        id: "ada",
        name: "ada"
      })
    }).pipe(Effect.scoped)
  )

  it.live("is one in each API of a router, with a store of its own", () =>
    Effect.gen(function* () {
      const request = yield* serve(
        Layer.merge(Layer.provide(app, Layer.fresh(domain)), Layer.provide(other, Layer.fresh(domain)))
      )
      const created = yield* request("POST", "/agent/api/v1/users/ada/tasks", { as: "ada", body: { title: "Rest" } })
      assert.strictEqual(created.status, 201)
      const others = yield* request("GET", "/other/api/v1/users/ada/tasks", { as: "ada" })
      assert.deepStrictEqual(yield* bodyOf(others), { data: [], has_more: false, next_cursor: null })
    }).pipe(Effect.scoped)
  )

  for (const [order, both] of [
    ["before", Layer.merge(other, service)],
    ["behind", Layer.merge(service, other)]
  ] as const) {
    it.live(`stands beside the service's own routes, ${order} them`, () =>
      Effect.gen(function* () {
        const request = yield* serve(Layer.provide(both, domain))
        const created = yield* request("POST", "/other/api/v1/users/ada/tasks", { as: "ada", body: { title: "Rest" } })
        assert.strictEqual(created.status, 201)
        const headers = { authorization: "Bearer ada's" }
        const listed = yield* request("GET", "/api/v1/users/ada/tasks", { headers })
        assert.strictEqual(listed.status, 200)
        assert.include(yield* Effect.promise(() => listed.text()), '"title":"Rest"')
        assert.strictEqual((yield* request("GET", "/api/v1/users/ada/tasks", { as: "ada" })).status, 401)
      }).pipe(Effect.scoped)
    )
  }

  it.live("has an id for each request, which its problem and its logs have: the one that came, if it is one", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        logged.push(fiber.getRef(References.CurrentLogAnnotations)["requestId"])
      })
      const broken = Layer.effect(
        TaskTools,
        Effect.map(TaskTools, (tools) =>
          TaskTools.of({
            ...tools,
            list: () => Effect.fail(new StorageUnavailable({ operation: "list", cause: "down" }))
          })
        )
      ).pipe(Layer.provide(domain))
      const request = yield* serve(
        Layer.merge(other, service).pipe(
          Layer.provide(broken),
          Layer.provide(domain),
          Layer.provide(Logger.layer([logger]))
        )
      )
      const idOf = (path: string, init?: Init) =>
        Effect.map(Effect.flatMap(request("GET", path, init), bodyOf), (body) => decodeRequestId(body).request_id)
      for (const [path, init] of [
        ["/other/api/v1/users/bob/tasks", { as: "ada" }],
        ["/other/api/v1/users/ada/tasks?limit=no", { as: "ada" }],
        ["/other/api/v1/users/ada/tasks", { as: "ada" }],
        ["/api/v1/users/ada/tasks", {}],
        ["/api/v1/me", {}]
      ] as const) {
        const [first, second] = [yield* idOf(path, init), yield* idOf(path, init)]
        assert.notStrictEqual(first, second, path)
        assert.strictEqual(
          yield* idOf(path, { ...init, headers: { "x-request-id": "the-one-that-came" } }),
          "the-one-that-came"
        )
        assert.notStrictEqual(yield* idOf(path, { ...init, headers: { "x-request-id": "no id" } }), "no id", path)
        if (path === "/other/api/v1/users/ada/tasks") {
          assert.deepStrictEqual(logged.slice(0, 3), [first, second, "the-one-that-came"])
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("tells where a task is, whichever way its path was written", () =>
    Effect.gen(function* () {
      const request = yield* served
      const created = yield* request("POST", "/agent/api/v1/users/ada/tasks/", { as: "ada", body: { title: "Rest" } })
      assert.strictEqual(created.headers.get("location"), "/agent/api/v1/users/ada/tasks/1")
    }).pipe(Effect.scoped)
  )

  it.live("lets nobody to the paths of others, and refuses strangers as the application does", () =>
    Effect.gen(function* () {
      const request = yield* served
      const operations: Array<[method: string, path: string]> = []
      HttpApi.reflect(AgentApi.prefix("/agent"), {
        onGroup: () => undefined,
        onEndpoint: ({ endpoint }) =>
          operations.push([endpoint.method, endpoint.path.replace(":user_id", "ada").replaceAll(/:\w+/g, "1")])
      })
      assert.isAbove(operations.length, 15)
      for (const [method, path] of operations) {
        const stranger = yield* request(method, path, method === "GET" ? {} : { body: {} })
        assert.deepStrictEqual(
          [stranger.status, yield* bodyOf(stranger)],
          [401, { _tag: "NotSignedIn", login: "/login" }]
        )
        if (path.endsWith("/me")) continue
        const other = yield* request(method, path, { as: "bob", ...(method !== "GET" && { body: {} }) })
        assert.strictEqual(other.status, 403, path)
      }
    }).pipe(Effect.scoped)
  )

  it.live("leaves the application's own endpoints as they are, whatever they are called", () =>
    Effect.gen(function* () {
      const request = yield* served
      const tasks = yield* request("GET", "/api/v1/users/ada/tasks")
      assert.deepStrictEqual(yield* bodyOf(tasks), { room: "of the application" })
      assert.deepStrictEqual(yield* bodyOf(yield* request("GET", "/me", { as: "bob" })), { room: "bob" })
    }).pipe(Effect.scoped)
  )

  it.live("is in its document: below the prefix, with its way to sign in, and nothing that is nowhere", () =>
    Effect.gen(function* () {
      const document = OpenApi.fromApi(AppApi)
      const text = JSON.stringify(document)
      const folder = yield* temporaryFolder
      const file = join(folder, "openapi.json")
      writeFileSync(file, text)
      writeFileSync(join(folder, "redocly.yaml"), "extends: [spec]")
      const { code, output } = yield* lint(file, "--config", join(folder, "redocly.yaml"))
      assert.strictEqual(code, 0, output)
      assert.deepInclude(document.info, { title: "An application", version: "7" })
      assert.hasAllKeys(document.components.securitySchemes, ["session"])
      const paths = Object.keys(document.paths)
      assert.includeMembers(paths, ["/me", "/api/v1/users/{user_id}/tasks", "/agent/api/v1/users/{user_id}/tasks"])
      const expected = Object.keys(OpenApi.fromApi(Api).paths).filter((path) => !path.startsWith("/health"))
      assert.deepStrictEqual(
        paths.filter((path) => path.startsWith("/agent")),
        expected.map((path) => `/agent${path}`)
      )
      const tags = document.tags.map(({ name }) => name)
      assert.strictEqual(new Set(tags).size, tags.length)
      const operations = Object.values(decodePaths(text).paths).flatMap((path) => Object.values(path))
      const ids = operations.map(({ operationId }) => operationId)
      assert.strictEqual(new Set(ids).size, ids.length)
      for (const { operationId, security } of operations) {
        assert.deepStrictEqual(security, operationId === "tasks.list" ? [] : [{ session: [] }], operationId)
      }
    }).pipe(Effect.scoped)
  )

  it("is shown there by examples that fit, with parameters that are what they are sent as", () => {
    const document = OpenApi.fromApi(AppApi)
    const misfit = misfitIn(document)
    const wrong: Array<string> = []
    const shown = new Set<string>()
    const formats = new Map<string, string | undefined>()
    const look = (value: unknown, name: string, ...at: ReadonlyArray<string>) => {
      const why = misfit(pointer(...at, "schema"), value)
      if (why !== undefined) wrong.push(`${at.join(" ")} ${name}: ${why}`)
    }
    const lookAll = (content: typeof Media.Type | undefined, ...at: ReadonlyArray<string>) => {
      for (const [type, { examples }] of Object.entries(content ?? {})) {
        for (const [name, { value }] of Object.entries(examples ?? {})) {
          shown.add(name)
          look(value, name, ...at, "content", type)
        }
      }
    }
    const { paths } = decodeShown(JSON.parse(JSON.stringify(document)))
    for (const [path, item] of Object.entries(paths)) {
      for (const [method, { parameters, requestBody, responses }] of Object.entries(item)) {
        parameters.forEach(({ example, name, schema }, index) => {
          if (path.startsWith("/agent")) look(example, name, "paths", path, method, "parameters", String(index))
          if (schema.type === "string" && schema.minimum !== undefined) wrong.push(`${name} is a text with a minimum`)
          formats.set(name, schema.format)
        })
        lookAll(requestBody?.content, "paths", path, method, "requestBody")
        for (const [status, { content }] of Object.entries(responses)) {
          lookAll(content, "paths", path, method, "responses", status)
        }
      }
    }
    assert.deepStrictEqual(wrong, [])
    assert.includeMembers([...shown], ["NewConversation", "Forbidden", "NoSuchTask", "InvalidLimit"])
    assert.notInclude([...shown], "NoToken")
    assert.deepInclude(Object.fromEntries(formats), { task_id: "int32", limit: "int32", turn_id: "uuid" })
  })

  it.live("says which API lacks it", () =>
    Effect.gen(function* () {
      const bare = HttpApi.make("bare").add(Tasks)
      const exit = yield* Effect.exit(
        Layer.build(
          Routes.agent(bare).pipe(Layer.provide(Turnkeeper.layer), Layer.provide([Memory.layer, OfflineModel.layer]))
        )
      )
      assert(Exit.isFailure(exit))
      assert.match(String(Cause.squash(exit.cause)), /The API "bare" lacks groups of the AgentApi/)
    }).pipe(Effect.scoped)
  )

  it("does not compile where nobody signs users in", () => {
    const open = HttpApi.make("open").addHttpApi(AgentApi)
    const unsafe = HttpApiBuilder.layer(open).pipe(
      Layer.provide(Routes.agent(open)),
      Layer.provide(Turnkeeper.layer),
      Layer.provide([Memory.layer, OfflineModel.layer, HttpServer.layerServices])
    )
    // @ts-expect-error -- CurrentUser is nowhere
    // @effect-diagnostics-next-line missingLayerContext:off
    const handler = () => HttpRouter.toWebHandler(unsafe)
    assert.isFunction(handler)
  })
})
