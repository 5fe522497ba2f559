import { assert, describe, it } from "@effect/vitest"
import { safeValidateUIMessages } from "ai"
import { Option } from "effect"
import { conversationOfChat, keyOfMessage, uiMessagesOf } from "../../../src/adapters/http/UiMessages.ts"
import { IdempotencyKey } from "../../../src/domain/model/Turn.ts"
import type { StoredCall, StoredMessage } from "../../../src/ports/ConversationRepo.ts"
import { ada, bob, conversation, message, toolCallJson, turnId } from "../../support/http.ts"

const uuidV8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe("the conversation of a chat", () => {
  it("has the chat's id, if that is a UUID", () => {
    assert.strictEqual(conversationOfChat(ada.id, conversation.id.toUpperCase()), conversation.id)
  })

  it("else has one of its own, always the same, for each user and chat", () => {
    const chats = ["", "chat", "chat ", "Chat", "../x", "\u{1f600}", "a".repeat(1000), `${conversation.id} `]
    const ids = [ada.id, bob.id].flatMap((user) => chats.map((chat) => conversationOfChat(user, chat)))
    for (const id of ids) assert.match(id, uuidV8)
    assert.strictEqual(new Set(ids).size, ids.length)
    // Stored conversations are found by it: it must never change.
    assert.strictEqual(conversationOfChat(ada.id, "chat"), "f61c9202-4d7b-860c-9af8-0e5dbd5307cf")
  })

  it("has every variant that a UUID may have, and no other", () => {
    const variants = new Set(Array.from({ length: 200 }, (_, i) => conversationOfChat(ada.id, `chat ${i}`)[19]))
    assert.deepStrictEqual([...variants].sort(), ["8", "9", "a", "b"])
  })
})

describe("the key of a message", () => {
  it("is its id, or stands for it", () => {
    const key = (id: string | undefined) => Option.getOrNull(keyOfMessage(conversation.id, id))
    assert.isNull(key(undefined))
    assert.isNull(key(""))
    assert.strictEqual(key("gZ3-x_!"), `ui:${conversation.id}:gZ3-x_!`)
    assert.strictEqual(key("x".repeat(200)), `ui:${conversation.id}:${"x".repeat(200)}`)
    const odd = ["x".repeat(201), "two words", "caf\u00e9", "a\nb", "\u{1f600}", " x"].map(key)
    for (const made of odd) assert.match(made ?? "", /^ui-sha256:7c9e6679-7425-40de-944b-e07fc1f90ae7:[0-9a-f]{64}$/)
    assert.strictEqual(new Set(odd).size, odd.length)
  })
})

const toMessages = uiMessagesOf(ada.id, conversation.id)
const [call] = message.calls
const asked: StoredMessage = { ...message, seq: 1, role: "user", content: "Done?", calls: [] }
const metadata = {
  conversation_id: conversation.id,
  turn_id: turnId,
  turn_status: "completed",
  created_at: "2026-01-19T10:02:15.250Z"
} as const
const done = {
  type: "tool-complete_task",
  toolCallId: toolCallJson.id,
  state: "output-available",
  input: toolCallJson.arguments,
  output: toolCallJson.result
} as const
const stepStart = { type: "step-start" } as const

describe("stored messages", () => {
  it("are messages of the AI SDK", async () => {
    const text = { type: "text", text: "Done.", state: "done" } as const
    assert.deepStrictEqual(toMessages(message), [
      { id: turnId, role: "assistant", metadata, parts: [stepStart, done, stepStart, text] }
    ])
    assert.deepStrictEqual(toMessages(asked), [
      { id: message.id, role: "user", metadata, parts: [{ type: "text", text: "Done?", state: "done" }] }
    ])
    const validated = await safeValidateUIMessages({ messages: [asked, message].flatMap(toMessages) })
    assert.isTrue(validated.success)
  })

  it("have the ids that the front end gave them", () => {
    const idUnder = (key: string) => toMessages({ ...asked, idempotencyKey: IdempotencyKey.make(key) })[0]?.id
    assert.strictEqual(idUnder(`ui:${conversation.id}:gZ3`), "gZ3")
    assert.strictEqual(idUnder("buy-groceries-1"), message.id)
    assert.strictEqual(
      toMessages({ ...message, idempotencyKey: IdempotencyKey.make(`ui:${conversation.id}:gZ3`) })[0]?.id,
      turnId
    )
    assert.strictEqual(idUnder(`ui-sha256:${conversation.id}:00`), message.id)
    assert.strictEqual(idUnder(`ui:${turnId}:gZ3`), message.id)
  })

  it("show the calls step by step, and those of a turn that has no reply", async () => {
    assert(call !== undefined)
    const failing: StoredCall = { ...call, step: 2, status: "error", result: '{"success":false,"error":"No."}' }
    const turn: StoredMessage = { ...asked, turnStatus: "failed", calls: [call, { ...call, position: 1 }, failing] }
    const { output: _, ...without } = done
    const failed = { ...without, state: "output-error", errorText: "No." } as const
    const messages = toMessages(turn)
    assert.deepStrictEqual(messages[1], {
      id: turnId,
      role: "assistant",
      metadata: { ...metadata, turn_status: "failed" },
      parts: [stepStart, done, done, stepStart, failed]
    })
    assert.deepStrictEqual(
      [messages.length, messages[0]?.role, messages[0]?.metadata.turn_status],
      [2, "user", "failed"]
    )
    assert.isTrue((await safeValidateUIMessages({ messages: [...messages] })).success)
  })

  it("of a reply without words are its calls", () => {
    assert.deepStrictEqual(toMessages({ ...message, content: "" })[0]?.parts, [stepStart, done])
  })
})
