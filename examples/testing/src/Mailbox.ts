import { Context, Effect, Layer, Option, Schema } from "effect"
import { Chat, type Errors, Turn, type User } from "turnkeeper"

/** A letter to the agent, as a mail server delivers it: until it is taken, and so perhaps more than once. */
export interface Mail {
  readonly id: Turn.IdempotencyKey
  readonly from: User.User
  readonly text: string
}

/** The mail could not be answered yet, and is to be delivered again. */
export class NotYet extends Schema.TaggedError<NotYet>()("NotYet", {}) {}

/** The agent by mail. */
export class Mailbox extends Context.Service<
  Mailbox,
  {
    /** Answers a mail, always with the same letter. */
    readonly receive: (mail: Mail) => Effect.Effect<string, NotYet>
  }
>()("mailbox/Mailbox") {}

const decodeReply = Schema.decodeEffect(Schema.fromJsonString(Turn.TurnReply))

const notYet = () => Effect.fail(new NotYet())

/** What did happen is told, above all when the rest did not. */
const apologize = ({ retryable, toolCalls }: Errors.TurnFailed) => {
  const done = toolCalls.filter((call) => call.status === "success").map((call) => call.toolName)
  return retryable
    ? notYet()
    : Effect.succeed(`I could not finish this. What I did: ${done.length === 0 ? "nothing" : done.join(", ")}.`)
}

export const layer = Layer.effect(
  Mailbox,
  Effect.gen(function* () {
    const chat = yield* Chat.Chat

    const receive = Effect.fn("Mailbox.receive")(
      function* ({ from, id, text }: Mail) {
        const { body } = yield* chat.send({
          user: from,
          message: text,
          conversationId: Option.none(),
          idempotencyKey: Option.some(id)
        })
        const { message } = yield* decodeReply(body)
        return message
      },
      Effect.catchTags({
        TurnFailed: apologize,
        TooManyConversations: () => Effect.succeed("You have written me more than I can keep."),
        ConversationNotFound: () => Effect.succeed("You have deleted what we said of this."),
        ConversationBusy: notYet,
        RateLimited: notYet,
        ShuttingDown: notYet,
        StorageUnavailable: notYet,
        TooManyTurns: notYet,
        TurnInProgress: notYet,
        // Two letters of one id, and an answer that is none.
        IdempotencyKeyReused: Effect.die,
        SchemaError: Effect.die
      })
    )

    return Mailbox.of({ receive })
  })
)
