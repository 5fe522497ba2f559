import { Config, Context, Effect, flow, Layer, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import type { Day } from "./Visitors.ts"

/** The caterer could not be reached, or did not take the order. */
export class OrderFailed extends Schema.TaggedError<OrderFailed>()("OrderFailed", { cause: Schema.Defect() }) {}

/** Lunch, from a service of somebody else's. */
export class Caterer extends Context.Service<
  Caterer,
  {
    /** Orders lunch, and answers with the order's number. The same `key` is the same order, however often it is sent. */
    readonly order: (
      order: { readonly dish: string; readonly day: typeof Day.Type },
      key: string
    ) => Effect.Effect<string, OrderFailed>
  }
>()("front-desk/Caterer") {}

const Order = Schema.Struct({ id: Schema.String })

export const layer = Layer.effect(
  Caterer,
  Effect.gen(function* () {
    const url = yield* Config.URL("CATERER_URL")
    const client = (yield* HttpClient.HttpClient).pipe(
      HttpClient.mapRequest(flow(HttpClientRequest.prependUrl(url.href), HttpClientRequest.acceptJson)),
      HttpClient.filterStatusOk
    )

    const order = Effect.fn("Caterer.order")(
      function* (order: { readonly dish: string; readonly day: string }, key: string) {
        const request = HttpClientRequest.post("/orders").pipe(
          HttpClientRequest.setHeader("idempotency-key", key),
          HttpClientRequest.bodyJsonUnsafe(order)
        )
        const { id } = yield* Effect.flatMap(client.execute(request), HttpClientResponse.schemaBodyJson(Order))
        return id
      },
      Effect.mapError((cause) => new OrderFailed({ cause }))
    )

    return Caterer.of({ order })
  })
)
