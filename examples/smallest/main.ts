import { Console, Effect, Layer, Option, Schema } from "effect"
import { Chat, Turn, Turnkeeper, User } from "turnkeeper"
import { Memory } from "turnkeeper/memory"
import { OfflineModel } from "turnkeeper/offline"

const ada = { id: User.UserId.make("ada"), name: "Ada" }
const decodeReply = Schema.decodeEffect(Schema.fromJsonString(Turn.TurnReply))

const turn = Effect.gen(function* () {
  const chat = yield* Chat.Chat
  const { body } = yield* chat.send({
    user: ada,
    message: "Add a task to buy milk",
    conversationId: Option.none(),
    idempotencyKey: Option.none()
  })
  const reply = yield* decodeReply(body)
  yield* Console.log(reply.message)
})

const app = Turnkeeper.layer.pipe(Layer.provide([Memory.layer, OfflineModel.layer]))

await Effect.runPromise(Effect.provide(turn, app))
