import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Option, Schema, type Scope } from "effect"
import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as Chat from "../../src/domain/Chat.ts"
import type { ConversationId } from "../../src/domain/model/Conversation.ts"
import { IdempotencyKey, TurnReply } from "../../src/domain/model/Turn.ts"
import { type User, UserId } from "../../src/domain/model/User.ts"
import { defaultSettings, Settings } from "../../src/domain/Settings.ts"
import * as Tools from "../../src/domain/Tools.ts"
import * as TurnFeed from "../../src/domain/TurnFeed.ts"
import * as Turnkeeper from "../../src/domain/Turnkeeper.ts"
import * as Turns from "../../src/domain/Turns.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import * as Model from "../../src/testing/ScriptedModel.ts"
import { type Line, ScriptedModel } from "../../src/testing/ScriptedModel.ts"

export const ada: User = { id: UserId.make("ada"), name: "Ada" }

/** A store that several instances may share. */
export const repositories = Memory.layer

/** An instance of the service without HTTP, whose model plays the script; it ends with the scope. */
export const instance = Effect.fnUntraced(function* (
  script: ReadonlyArray<Line>,
  settings: Partial<Settings> = {},
  tools: Layer.Layer<Tools.Tools, never, ConversationRepo | TaskTools> = Tools.layer
): Effect.fn.Return<
  {
    readonly chat: Chat.Chat["Service"]
    readonly feed: TurnFeed.TurnFeed["Service"]
    readonly turns: Turns.Turns["Service"]
    readonly model: ScriptedModel["Service"]
  },
  never,
  ConversationRepo | TaskTools | Scope.Scope
> {
  const context = yield* Turnkeeper.layerWithoutTools.pipe(
    Layer.provide(tools),
    Layer.provideMerge(Model.layer(...script)),
    Layer.provide(Layer.succeed(Settings, { ...defaultSettings, turnsAtOnce: null, ...settings })),
    Layer.build
  )
  return {
    chat: Context.get(context, Chat.Chat),
    feed: Context.get(context, TurnFeed.TurnFeed),
    turns: Context.get(context, Turns.Turns),
    model: Context.get(context, ScriptedModel)
  }
})

/** Lets the other fibers run until something holds: without time going on, they come to that or never. */
export const until = <E, R>(holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let i = 0; i < 10_000; i++) {
      if (yield* holds) return
      yield* Effect.yieldNow
    }
    assert.fail("what was awaited has not come")
  })

/** A request of Ada's. */
export const message = (
  text: string,
  more: { readonly key?: string; readonly conversationId?: ConversationId } = {}
): Chat.ChatRequest => ({
  user: ada,
  message: text,
  conversationId: Option.fromUndefinedOr(more.conversationId),
  idempotencyKey: Option.map(Option.fromUndefinedOr(more.key), (key) => IdempotencyKey.make(key))
})

const decodeReply = Schema.decodeUnknownSync(Schema.fromJsonString(TurnReply))

/** What stands in an answer. */
export const replyOf = (answer: Chat.ChatAnswer): TurnReply => decodeReply(answer.body)

/** Ada's tasks, as title and whether it is completed. */
export const tasksOfAda = Effect.gen(function* () {
  const tasks = yield* TaskTools
  const page = yield* tasks.list(ada.id, { status: "all", limit: 200, after: Option.none() })
  return page.items.map((task) => [task.title, task.completed] as const)
})

/** The messages of a conversation of Ada's, as role and content. */
export const talk = Effect.fnUntraced(function* (conversationId: ConversationId) {
  const repo = yield* ConversationRepo
  const page = yield* repo.messages(ada.id, conversationId, { limit: 200, order: "asc", after: Option.none() })
  return page.items.map((row) => [row.role, row.content] as const)
})
