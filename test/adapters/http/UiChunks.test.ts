import { assert, describe, it } from "@effect/vitest"
import { DefaultChatTransport, type UIMessage, type UIMessageChunk } from "ai"
import { Array } from "effect"
import { makeUiChunks, type UiChunk } from "../../../src/adapters/http/UiChunks.ts"
import { ToolCallId } from "../../../src/domain/model/Conversation.ts"
import type { TurnReply } from "../../../src/domain/model/Turn.ts"
import type { TurnEvent } from "../../../src/domain/TurnEvents.ts"
import type { StoredCall } from "../../../src/ports/ConversationRepo.ts"
import { ada, conversation, message, toolCallJson, turnId } from "../../support/http.ts"
import { UiChat } from "../../support/ui.ts"

type Untold = TurnEvent extends infer E ? (E extends unknown ? Omit<E, "attempt" | "step" | "position"> : never) : never

/** Events with places: each list is that of one attempt. */
const placed = (...attempts: ReadonlyArray<ReadonlyArray<Untold>>): ReadonlyArray<TurnEvent> =>
  attempts.flatMap((events, i) => {
    let step = 0
    let position = 0
    return events.map((event) => {
      if (event._tag === "StepDone") {
        step++
        position = 0
      }
      return { attempt: i + 1, step, position: position++, ...event }
    })
  })

const begun: Untold = { _tag: "Begun", conversationId: conversation.id, turnId }
const text = (text: string): Untold => ({ _tag: "Text", text })
const restarted: Untold = { _tag: "Restarted" }
const stepDone: Untold = { _tag: "StepDone" }
const call: StoredCall = Array.getUnsafe(message.calls, 0)
const other: StoredCall = {
  ...call,
  id: ToolCallId.make("01935d3b-0000-7000-8000-000000000004"),
  status: "error",
  result: '{"success":false,"error":"There is no task 7."}'
}
const asked = (call: StoredCall): Untold => ({ _tag: "ToolCallBegun", call })
const answered = (call: StoredCall): Untold => ({ _tag: "ToolCallDone", call })

const otherJson = { ...toolCallJson, id: other.id, status: "error", result: JSON.parse(other.result) }
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const bodyOf = (message: string, calls: ReadonlyArray<object> = []): string =>
  JSON.stringify({
    conversation_id: conversation.id,
    turn_id: turnId,
    message_id: "01935d3b-0000-7000-8000-000000000002",
    message,
    tool_calls: calls,
    usage
  } satisfies Omit<typeof TurnReply.Encoded, "tool_calls"> & { tool_calls: unknown })
const completed = (message: string, calls: ReadonlyArray<object> = []): Untold => ({
  _tag: "Completed",
  body: bodyOf(message, calls)
})
const failed = (calls: ReadonlyArray<StoredCall>, retryable: boolean): Untold => ({
  _tag: "Failed",
  turn: {
    userId: ada.id,
    conversationId: conversation.id,
    turnId,
    failure: { code: "model_failed", reason: "overloaded" },
    retryable,
    usage: { promptTokens: 3, completionTokens: 2 },
    calls
  }
})

const chunksOf = (events: ReadonlyArray<TurnEvent>): ReadonlyArray<UiChunk> => {
  const chunks = makeUiChunks(ada.id)
  return events.flatMap((event) => chunks(event))
}

/** What a front end that was made with the AI SDK shows at the end of these events. */
const shown = async (events: ReadonlyArray<TurnEvent>) => {
  // The chunks are the SDK's own.
  const chunks: ReadonlyArray<UIMessageChunk> = chunksOf(events)
  const body = [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"].map((data) => `data: ${data}\n\n`).join("")
  let finished: { readonly isError: boolean; readonly finishReason?: string } | undefined
  const chat = new UiChat({
    transport: new DefaultChatTransport({ fetch: async () => new Response(body) }),
    onFinish: ({ finishReason, isError }) => {
      finished = { isError, ...(finishReason !== undefined && { finishReason }) }
    }
  })
  await chat.sendMessage({ text: "Hello" })
  const reply = chat.messages[1]
  return {
    status: chat.status,
    error: chat.error?.message,
    finished,
    id: reply?.id,
    metadata: reply?.metadata,
    parts: reply?.parts.map(partOf)
  }
}

/** A part without what says nothing. */
const partOf = (part: UIMessage["parts"][number]) => JSON.parse(JSON.stringify(part))

const stepStart = { type: "step-start" }
const said = (text: string) => ({ type: "text", text, state: "done" })
const toolPart = {
  type: "tool-complete_task",
  toolCallId: call.id,
  state: "output-available",
  input: toolCallJson.arguments,
  output: toolCallJson.result
}
const otherPart = {
  type: "tool-complete_task",
  toolCallId: other.id,
  state: "output-error",
  input: toolCallJson.arguments,
  errorText: "There is no task 7."
}
const metadata = { conversation_id: conversation.id, turn_id: turnId }
const ended = { ...metadata, turn_status: "completed", message_id: "01935d3b-0000-7000-8000-000000000002", usage }

describe("the chunks of a turn", () => {
  it("are those of its text and its tools, step by step", () => {
    const events = placed([
      begun,
      text("Let me see."),
      asked(call),
      asked(other),
      answered(call),
      answered(other),
      stepDone,
      text("Do"),
      text("ne."),
      completed("Done.", [toolCallJson, otherJson])
    ])
    assert.deepStrictEqual(chunksOf(events), [
      { type: "start", messageId: turnId, messageMetadata: { ...metadata, turn_status: "running" } },
      { type: "start-step" },
      { type: "text-start", id: "text-1" },
      { type: "text-delta", id: "text-1", delta: "Let me see." },
      { type: "text-end", id: "text-1" },
      { type: "tool-input-available", toolCallId: call.id, toolName: "complete_task", input: toolCallJson.arguments },
      { type: "tool-input-available", toolCallId: other.id, toolName: "complete_task", input: toolCallJson.arguments },
      { type: "tool-output-available", toolCallId: call.id, output: { success: true } },
      { type: "tool-output-error", toolCallId: other.id, errorText: "There is no task 7." },
      { type: "finish-step" },
      { type: "start-step" },
      { type: "text-start", id: "text-2" },
      { type: "text-delta", id: "text-2", delta: "Do" },
      { type: "text-delta", id: "text-2", delta: "ne." },
      { type: "text-end", id: "text-2" },
      { type: "finish-step" },
      {
        type: "finish",
        finishReason: "stop",
        messageMetadata: {
          turn_status: "completed",
          message_id: "01935d3b-0000-7000-8000-000000000002",
          usage
        }
      }
    ])
  })

  it("make the reply in a front end", async () => {
    const events = placed([
      begun,
      text("Let me see."),
      asked(call),
      asked(other),
      answered(call),
      answered(other),
      stepDone,
      text("Do"),
      text("ne."),
      completed("Done.", [toolCallJson, otherJson])
    ])
    assert.deepStrictEqual(await shown(events), {
      status: "ready",
      error: undefined,
      finished: { isError: false, finishReason: "stop" },
      id: turnId,
      metadata: ended,
      parts: [stepStart, said("Let me see."), toolPart, otherPart, stepStart, said("Done.")]
    })
  })

  it("take back what holds no longer, and nothing else", async () => {
    const { parts, status } = await shown(
      placed([
        begun,
        text("I will"),
        restarted,
        text("Let me see."),
        asked(call),
        answered(call),
        stepDone,
        restarted,
        text("It is"),
        restarted,
        text("Done."),
        completed("Done.", [toolCallJson])
      ])
    )
    assert.strictEqual(status, "ready")
    assert.deepStrictEqual(parts, [stepStart, said("Let me see."), toolPart, stepStart, said("Done.")])
  })

  it("go on where a turn is told from its beginning once more", async () => {
    const { parts, status } = await shown(
      placed(
        [begun, text("See."), asked(call), answered(call), stepDone, text("It"), asked(other)],
        [begun, text("See."), asked(call), answered(call), stepDone, text("Done")],
        [
          begun,
          text("See."),
          asked(call),
          answered(call),
          stepDone,
          text("One more."),
          asked(other),
          answered(other),
          stepDone,
          text("Done."),
          completed("Done.", [toolCallJson, otherJson])
        ]
      )
    )
    assert.strictEqual(status, "ready")
    assert.deepStrictEqual(parts, [
      stepStart,
      said("See."),
      toolPart,
      stepStart,
      said("One more."),
      otherPart,
      stepStart,
      said("Done.")
    ])
  })

  it("have at the end what the answer has, though nothing of it was told", async () => {
    const { metadata, parts } = await shown(placed([begun, completed("Done.", [toolCallJson, otherJson])]))
    assert.deepStrictEqual(metadata, ended)
    assert.deepStrictEqual(parts, [stepStart, toolPart, otherPart, stepStart, said("Done.")])
    const late = await shown(
      placed([begun, asked(call), answered(call), text("It"), completed("Done.", [toolCallJson, otherJson])])
    )
    assert.deepStrictEqual(late.parts, [stepStart, toolPart, otherPart, stepStart, said("Done.")])
    const rest = await shown(placed([begun, text("Do"), completed("Done.")]))
    assert.deepStrictEqual(rest.parts, [stepStart, said("Done.")])
    const otherwise = await shown(placed([begun, text("I"), completed("Done.")]))
    assert.deepStrictEqual(otherwise.parts, [stepStart, said("Done.")])
    assert.deepStrictEqual((await shown(placed([begun, completed("")]))).parts, [])
  })

  it("tell of a stop with what was said until then", async () => {
    const stopped: Untold = { _tag: "Stopped", body: bodyOf("It is") }
    assert.deepStrictEqual(await shown(placed([begun, text("It is"), stopped])), {
      status: "ready",
      error: undefined,
      finished: { isError: false, finishReason: "interrupted" },
      id: turnId,
      metadata: { ...ended, turn_status: "stopped" },
      parts: [stepStart, said("It is")]
    })
    const inCall = await shown(placed([begun, text("It is"), asked(call), stopped]))
    assert.deepStrictEqual(inCall.parts, [stepStart, said("It is")])
    assert.deepInclude([...chunksOf(placed([begun, stopped]))], { type: "abort", reason: "The turn was stopped." })
  })

  it("tell of a failure in our words, with the calls that took effect", async () => {
    const failure = { code: "model_failed", reason: "overloaded" }
    assert.deepStrictEqual(
      await shown(placed([begun, asked(call), answered(call), stepDone, text("It"), failed([call], true)])),
      {
        status: "error",
        error: "The language model is overloaded. Try again to go on from here.",
        finished: { isError: true },
        id: turnId,
        metadata: { ...metadata, turn_status: "failed", usage, failure: { ...failure, retryable: true } },
        parts: [stepStart, toolPart, stepStart]
      }
    )
    const untold = await shown(placed([begun, asked(other), failed([call], false)]))
    assert.strictEqual(untold.error, "The language model is overloaded. It will not be tried again.")
    assert.deepStrictEqual(untold.parts, [stepStart, toolPart])
    const unended = await shown(placed([begun, asked(call), answered(call), failed([call], false)]))
    assert.deepStrictEqual(unended.parts, [stepStart, toolPart])
  })

  it("say what a tool answered that could do nothing, whatever form that has", async () => {
    const odd = { ...other, result: '{"success":false}' }
    const { parts } = await shown(placed([begun, asked(odd), answered(odd), completed("", [])]))
    assert.deepInclude(parts ?? [], { ...otherPart, errorText: '{"success":false}' })
  })
})
