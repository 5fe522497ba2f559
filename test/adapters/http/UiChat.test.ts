import { assert, describe, it } from "@effect/vitest"
import { DefaultChatTransport, type UIMessage, validateUIMessages } from "ai"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Schema } from "effect"
import { HttpServer } from "effect/http"
import { serve } from "../../../src/adapters/http/Server.ts"
import * as MemoryAuth from "../../../src/adapters/memory/MemoryAuth.ts"
import { defaultSettings, Settings } from "../../../src/domain/Settings.ts"
import * as Turnkeeper from "../../../src/domain/Turnkeeper.ts"
import { ModelFailed } from "../../../src/ports/LLM.ts"
import * as Model from "../../../src/testing/ScriptedModel.ts"
import { asks, type Line, ScriptedModel, says } from "../../../src/testing/ScriptedModel.ts"
import { conversation, ada as user } from "../../support/http.ts"
import { repositories } from "../../support/instance.ts"
import { UiChat } from "../../support/ui.ts"

const authorization = { authorization: "Bearer ada-token" }

/** The whole service over a socket, on a store in memory, with a model that plays this script. */
const serveScript = Effect.fnUntraced(function* (...script: ReadonlyArray<Line>) {
  const domain = Turnkeeper.layer.pipe(Layer.provideMerge(Model.layer(...script)))
  const context = yield* Layer.build(
    serve({ port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }).pipe(
      Layer.provideMerge(domain),
      Layer.provide([
        repositories,
        MemoryAuth.layer(new Map([["ada-token", user]])),
        Logger.layer([]),
        Layer.succeed(Settings, { ...defaultSettings, turnsPerMinute: null })
      ])
    )
  )
  const url = `${HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)}/api/v1/users/${user.id}`
  const ask = async (method: string, path: string) => {
    const response = await fetch(`${url}/${path}`, { method, headers: authorization })
    assert.strictEqual(response.status, 200)
    return response.json()
  }
  return {
    model: Context.get(context, ScriptedModel),
    url,
    ask,
    /** A chat as a page that was just loaded has it. */
    chat: (id: string, messages: Array<UIMessage> = []) => {
      let ids = 0
      return new UiChat({
        id,
        messages,
        // Front ends may count.
        generateId: () => `${messages.length}.${ids++}`,
        transport: new DefaultChatTransport({ api: `${url}/chat/ui`, headers: authorization })
      })
    },
    /** What is stored of it, as a page loads it. */
    stored: async (id: string): Promise<Array<UIMessage>> => {
      const page = decodePage(await ask("GET", `chat/ui/${encodeURIComponent(id)}/messages`))
      return page.data.length === 0 ? [] : validateUIMessages({ messages: page.data })
    }
  }
})

const decodePage = Schema.decodeUnknownSync(
  Schema.Struct({
    data: Schema.Array(Schema.Unknown),
    has_more: Schema.Boolean,
    next_cursor: Schema.NullOr(Schema.String)
  })
)

/** A model that says so much, and then the rest when it is let go on. */
const halting = Effect.fnUntraced(function* (text: string, rest = "") {
  const goOn = yield* Deferred.make<void>()
  const line: Line = (_, onText) =>
    Effect.sync(() => onText?.(text)).pipe(Effect.andThen(Deferred.await(goOn)), Effect.as(says(text + rest)))
  return { line, goOn: Deferred.succeed(goOn, undefined) }
})

/** Comes back when a chat shows this text. */
const shows = (chat: UiChat, text: string) =>
  Effect.gen(function* () {
    for (let i = 0; i < 2000; i++) {
      if (texts(chat).includes(text)) return
      yield* Effect.sleep("5 millis")
    }
    assert.fail(`it shows ${JSON.stringify(texts(chat))}`)
  })

const textOf = (message: UIMessage) =>
  message.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("|")
const texts = (chat: { readonly messages: ReadonlyArray<UIMessage> }) => chat.messages.map(textOf)

const Metadata = Schema.Struct({ turn_id: Schema.String, turn_status: Schema.String, conversation_id: Schema.String })
const metadataOf = (message: UIMessage | undefined) => Schema.decodeUnknownSync(Metadata)(message?.metadata)

/** Messages without the times and usages that only one side knows of. */
const known = (messages: ReadonlyArray<UIMessage>): unknown =>
  JSON.parse(JSON.stringify(messages.map(({ id, parts, role }) => ({ id, role, parts: parts.map(withoutState) }))))
const withoutState = (part: UIMessage["parts"][number]) =>
  part.type === "text" ? { type: part.type, text: part.text } : part

describe("a front end made with the AI SDK", () => {
  it.live("shows what is said and done, and the same when it is loaded again", () =>
    Effect.gen(function* () {
      const service = yield* serveScript(
        asks(["add_task", { title: "Milk" }], ["complete_task", { task_id: 7 }]),
        says("Milk is on your list."),
        says("You are welcome.")
      )
      const id = "a chat of mine/\u{1f600}?"
      const chat = service.chat(id)
      yield* Effect.promise(() => chat.sendMessage({ text: "  Add milk\n" }))
      assert.deepStrictEqual([chat.status, chat.error], ["ready", undefined])
      assert.deepStrictEqual(
        chat.messages[1]?.parts.map((part) => ("state" in part ? [part.type, part.state] : [part.type])),
        [
          ["step-start"],
          ["tool-add_task", "output-available"],
          ["tool-complete_task", "output-error"],
          ["step-start"],
          ["text", "done"]
        ]
      )
      assert.deepStrictEqual(texts(chat).slice(1), ["Milk is on your list."])
      assert.strictEqual(metadataOf(chat.messages[1]).turn_status, "completed")

      const stored = yield* Effect.promise(() => service.stored(id))
      assert.strictEqual(textOf(stored[0] ?? assert.fail()), "Add milk")
      assert.deepStrictEqual(known(stored.slice(1)), known(chat.messages.slice(1)))
      assert.strictEqual(stored[0]?.id, chat.messages[0]?.id)
      const reloaded = service.chat(id, stored)
      yield* Effect.promise(() => reloaded.sendMessage({ text: "Thanks" }))
      assert.deepStrictEqual(texts(reloaded), ["Add milk", "Milk is on your list.", "Thanks", "You are welcome."])
      assert.strictEqual(metadataOf(reloaded.messages[3]).conversation_id, metadataOf(stored[0]).conversation_id)
      // What it sends of what was said before is not believed: the store knows.
      assert.deepStrictEqual(
        service.model.prompts.at(-1)?.messages.map(({ role }) => role),
        ["user", "assistant", "tool", "tool", "assistant", "user"]
      )
    })
  )

  it.live("tries a turn again that failed, and goes on with that very turn", () =>
    Effect.gen(function* () {
      const overloaded = new ModelFailed({ reason: "overloaded" })
      // The model is asked three times.
      const fails = [overloaded, overloaded, overloaded]
      const service = yield* serveScript(asks(["add_task", { title: "Milk" }]), ...fails, ...fails, says("Done."))
      const chat = service.chat(conversation.id)
      yield* Effect.promise(() => chat.sendMessage({ text: "Add milk" }))
      assert.strictEqual(chat.status, "error")
      assert.strictEqual(chat.error?.message, "The language model is overloaded. Try again to go on from here.")
      const failed = metadataOf(chat.messages[1])
      assert.deepStrictEqual([failed.turn_status, failed.conversation_id], ["failed", conversation.id])
      yield* Effect.promise(() => chat.regenerate())
      assert.strictEqual(chat.status, "error")
      // The same from a page that was loaded meanwhile.
      const stored = yield* Effect.promise(() => service.stored(conversation.id))
      assert.deepStrictEqual(
        stored.map(({ role, parts }) => [role, parts.length]),
        [
          ["user", 1],
          ["assistant", 2]
        ]
      )
      const reloaded = service.chat(conversation.id, stored)
      yield* Effect.promise(() => reloaded.regenerate())
      assert.strictEqual(reloaded.status, "ready")
      assert.deepStrictEqual(texts(reloaded), ["Add milk", "Done."])
      assert.deepStrictEqual(metadataOf(reloaded.messages[1]), { ...failed, turn_status: "completed" })
      assert.deepStrictEqual(
        known(yield* Effect.promise(() => service.stored(conversation.id))),
        known(reloaded.messages)
      )
    })
  )

  it.live("stops a turn", () =>
    Effect.gen(function* () {
      const { line } = yield* halting("One, two, ")
      const service = yield* serveScript(line, says("Three."))
      const chat = service.chat("counting")
      const sent = yield* Effect.forkChild(Effect.promise(() => chat.sendMessage({ text: "Count" })))
      yield* shows(chat, "One, two, ")
      const { turn_id } = metadataOf(chat.messages[1])
      yield* Effect.promise(() => service.ask("POST", `turns/${turn_id}/stop`))
      yield* Fiber.join(sent)
      assert.deepStrictEqual([chat.status, chat.error], ["ready", undefined])
      assert.deepStrictEqual(texts(chat), ["Count", "One, two, "])
      assert.strictEqual(metadataOf(chat.messages[1]).turn_status, "stopped")
      assert.deepStrictEqual(known(yield* Effect.promise(() => service.stored("counting"))), known(chat.messages))
      yield* Effect.promise(() => chat.sendMessage({ text: "Go on" }))
      assert.deepStrictEqual(texts(chat), ["Count", "One, two, ", "Go on", "Three."])
    })
  )

  it.live("finds a turn again that went on without it, from its beginning", () =>
    Effect.gen(function* () {
      const { goOn, line } = yield* halting("One, two, ", "three.")
      const service = yield* serveScript(asks(["list_tasks", {}]), line)
      const left = service.chat("counting")
      const sent = yield* Effect.forkChild(Effect.promise(() => left.sendMessage({ text: "Count" })))
      yield* shows(left, "One, two, ")
      yield* Effect.promise(() => left.stop())
      yield* Fiber.join(sent)

      // What is stored of it is replaced by what comes.
      const stored = yield* Effect.promise(() => service.stored("counting"))
      assert.deepStrictEqual(
        stored.map(({ role }) => role),
        ["user", "assistant"]
      )
      const chat = service.chat("counting", stored)
      const resumed = yield* Effect.forkChild(Effect.promise(() => chat.resumeStream()))
      yield* shows(chat, "One, two, ")
      yield* goOn
      yield* Fiber.join(resumed)
      assert.strictEqual(chat.status, "ready")
      assert.deepStrictEqual(texts(chat), ["Count", "One, two, three."])
      assert.deepStrictEqual(known(yield* Effect.promise(() => service.stored("counting"))), known(chat.messages))

      yield* Effect.promise(() => chat.resumeStream())
      assert.deepStrictEqual([chat.status, chat.messages.length], ["ready", 2])
      const unknown = service.chat("another")
      yield* Effect.promise(() => unknown.resumeStream())
      assert.deepStrictEqual([unknown.status, unknown.messages.length], ["ready", 0])
      assert.deepStrictEqual(yield* Effect.promise(() => service.stored("another")), [])
    })
  )

  it.live("sends a message twice, and it happens once", () =>
    Effect.gen(function* () {
      const { goOn, line } = yield* halting("Hello, ", "Ada!")
      const service = yield* serveScript(line)
      const tabs = [service.chat("twice"), service.chat("twice")]
      const sent = yield* Effect.forkChild(
        Effect.promise(() => Promise.all(tabs.map((tab) => tab.sendMessage({ text: "Hello" }))))
      )
      for (const tab of tabs) yield* shows(tab, "Hello, ")
      yield* goOn
      yield* Fiber.join(sent)
      for (const tab of tabs) assert.deepStrictEqual(texts(tab), ["Hello", "Hello, Ada!"])
      assert.strictEqual(metadataOf(tabs[0]?.messages[1]).turn_id, metadataOf(tabs[1]?.messages[1]).turn_id)
      assert.strictEqual((yield* Effect.promise(() => service.stored("twice"))).length, 2)
      const late = service.chat("twice")
      yield* Effect.promise(() => late.sendMessage({ text: "Hello" }))
      assert.deepStrictEqual(known(late.messages), known(tabs[0]?.messages ?? []))
    })
  )

  it.live("sends all that was said before, if it wants to", () =>
    Effect.gen(function* () {
      const service = yield* serveScript(says("Much."))
      const saidBefore = (length: number): Array<UIMessage> => [
        { id: "1", role: "user", parts: [{ type: "text", text: "x".repeat(length) }] },
        { id: "2", role: "assistant", parts: [{ type: "step-start" }, { type: "text", text: "y" }] }
      ]
      const chat = service.chat("long", saidBefore(1_000_000))
      yield* Effect.promise(() => chat.sendMessage({ text: "How much was it?" }))
      assert.deepStrictEqual(texts(chat).slice(2), ["How much was it?", "Much."])
      const longer = service.chat("longer", saidBefore(1_100_000))
      yield* Effect.promise(() => longer.sendMessage({ text: "How much was it?" }))
      assert.strictEqual(longer.status, "error")
      assert.include(longer.error?.message, "The body is larger than 1 MiB.")
    })
  )
})
