import { createServer } from "node:http"
import { Effect, type Scope } from "effect"
import { ModelServer, type Reply, replies } from "../../support/model-server.ts"

/** What the model of these tests is asked, and what it asks for. */
export const turn = {
  message: "Grace is coming on the 31st of January 2027. Order soup for her.",
  visitor: { name: "Grace", day: "2027-01-31" },
  lunch: { dish: "Soup", day: "2027-01-31" },
  reply: "Grace is expected, and has her soup."
}

const steps: ReadonlyArray<Reply> = [
  replies.calls([{ name: "announce_visitor", arguments: turn.visitor }]),
  replies.calls([{ name: "order_lunch", arguments: turn.lunch }]),
  replies.text(turn.reply)
]

/** How many steps the turn at hand has had: what the model is shown behind the last message of the user. */
const stepsOf = (body: unknown): number => {
  const messages: ReadonlyArray<{ readonly role: string }> = JSON.parse(JSON.stringify(body)).messages
  const asked = messages.findLastIndex(({ role }) => role === "user")
  return messages.slice(asked).filter(({ role }) => role === "tool").length
}

/** A model that goes by what it is shown alone, so that it may be asked the same again: a visitor, then lunch, then a reply. */
export const makeModel: Effect.Effect<ModelServer["Service"], never, Scope.Scope> = Effect.tap(
  ModelServer.make,
  (model) => model.otherwise(({ body }) => Effect.succeed(steps[stepsOf(body)] ?? replies.text(turn.reply)))
)

/** A caterer that takes the orders of one key for one. */
export interface Caterer {
  readonly url: string
  /** The keys of the requests that came, in that order. */
  readonly requests: ReadonlyArray<string>
  /** The orders that were taken: each once, by its key. */
  readonly orders: ReadonlyMap<string, string>
  /** Called when a request has come, and when its order is taken and not yet answered; if it says so, there is no answer. */
  onRequest: (at: "arrived" | "taken") => "answer" | "hang"
  /** Forgets what was. */
  readonly clear: () => void
}

export const makeCaterer: Effect.Effect<Caterer, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly caterer: Caterer; readonly close: () => void }>((resume) => {
      const requests: Array<string> = []
      const orders = new Map<string, string>()
      const server = createServer((request, response) => {
        const key = String(request.headers["idempotency-key"])
        requests.push(key)
        request.resume().on("end", () => {
          if (caterer.onRequest("arrived") === "hang") return
          if (!orders.has(key)) orders.set(key, `order-${orders.size + 1}`)
          if (caterer.onRequest("taken") === "hang") return
          response.writeHead(201, { "content-type": "application/json" })
          response.end(JSON.stringify({ id: orders.get(key) }))
        })
      })
      const caterer: Caterer = {
        get url() {
          const address = server.address()
          return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
        },
        requests,
        orders,
        onRequest: () => "answer",
        clear: () => {
          requests.length = 0
          orders.clear()
        }
      }
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ caterer, close })))
    }),
    ({ close }) => Effect.sync(close)
  ),
  ({ caterer }) => caterer
)
