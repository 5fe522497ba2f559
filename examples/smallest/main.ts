import { Console, Effect, Layer, Option } from "effect"
import { Chat, Turnkeeper, User } from "turnkeeper"
import { Memory } from "turnkeeper/memory"
import { OfflineModel } from "turnkeeper/offline"

const user = { id: User.UserId.make("ada"), name: "Ada" }
const message = {
  user,
  message: "Add a task to buy milk",
  conversationId: Option.none(),
  idempotencyKey: Option.none()
}
const turn = Effect.flatMap(Chat.Chat, (chat) => chat.send(message))
const app = Turnkeeper.layer.pipe(Layer.provide([Memory.layer, OfflineModel.layer]))

await Effect.runPromise(
  turn.pipe(
    Effect.flatMap((answer) => Console.log(Chat.replyOf(answer).message)),
    Effect.provide(app)
  )
)
