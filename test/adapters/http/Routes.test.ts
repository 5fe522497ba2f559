import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Api } from "../../../src/adapters/http/Api.ts"
import * as Routes from "../../../src/adapters/http/Routes.ts"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import * as MemoryAuth from "../../../src/adapters/memory/MemoryAuth.ts"
import * as OfflineModel from "../../../src/adapters/offline/OfflineModel.ts"
import * as Turnkeeper from "../../../src/domain/Turnkeeper.ts"
import { ada } from "../../support/instance.ts"

/** An API that an application has beside ours. */
const HostApi = HttpApi.make("host").add(
  HttpApiGroup.make("orders").add(HttpApiEndpoint.get("count", "/orders/count", { success: Schema.Finite }))
)

const host = HttpApiBuilder.layer(HostApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(HostApi, "orders", (handlers) => handlers.handleAll({ count: () => Effect.succeed(7) }))
  )
)

const routes = Routes.layer.pipe(
  Layer.provide(Turnkeeper.layer),
  Layer.provide([Memory.layer, OfflineModel.layer, MemoryAuth.layer(new Map([["ada's", ada]]))])
)

describe("the routes of the API", () => {
  it.live("lie beside those of the application, which stay as they are", () =>
    Effect.gen(function* () {
      const { handler } = yield* Effect.acquireRelease(
        Effect.sync(() =>
          HttpRouter.toWebHandler(Layer.merge(host, routes).pipe(Layer.provide(HttpServer.layerServices)), {
            routerConfig: Routes.routerConfig,
            disableLogger: true
          })
        ),
        ({ dispose }) => Effect.promise(dispose)
      )
      const fetch = (path: string, init?: RequestInit) =>
        Effect.promise(() => handler(new Request(`http://host${path}`, init)))

      const turn = yield* fetch("/api/v1/users/ada/chat", {
        method: "POST",
        headers: { authorization: "Bearer ada's", "content-type": "application/json" },
        body: JSON.stringify({ message: "Add a task to buy milk" })
      })
      assert.strictEqual(turn.status, 200)
      assert.include(yield* Effect.promise(() => turn.text()), '"tool_name":"add_task"')
      assert.strictEqual((yield* fetch("/api/v1/me")).status, 401)

      const own = yield* fetch("/orders/count")
      assert.strictEqual(yield* Effect.promise(() => own.text()), "7")
      assert.isNull(own.headers.get("x-request-id"))
      // Neither the page nor the document comes along.
      assert.strictEqual((yield* fetch("/")).status, 404)
      assert.strictEqual((yield* fetch("/openapi.json")).status, 404)
    }).pipe(Effect.scoped)
  )

  it("are described in the application's document, when it adds the API to its own", () => {
    const { paths } = OpenApi.fromApi(HostApi.addHttpApi(Api))
    assert.hasAllKeys(paths, [...Object.keys(OpenApi.fromApi(Api).paths), "/orders/count"])
  })
})
