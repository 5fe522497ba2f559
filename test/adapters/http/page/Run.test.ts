import { assert, describe, it } from "@effect/vitest"
import { afterEvent, followed, type Run } from "../../../../src/adapters/http/page/Run.ts"
import type { PlacedEvent, ToolCall, TurnEvent } from "../../../../src/adapters/http/page/Wire.ts"

const begun: TurnEvent = { name: "begun", data: { conversation_id: "c", turn_id: "t" } }
const text = (words: string): TurnEvent => ({ name: "text", data: { text: words } })
const call: ToolCall = { id: "1", tool_name: "add_task", arguments: { title: "Milk" } }
const done: ToolCall = { ...call, status: "success", result: { success: true } }
const reply = { conversation_id: "c", turn_id: "t", message: "All done.", tool_calls: [done] }

const shown = (run: Run) => run.parts.map((part) => (part.kind === "text" ? part.text : part.call.status))

const told = (...events: ReadonlyArray<TurnEvent>): Run =>
  events.reduce(
    (run, event, index) => {
      const placed: PlacedEvent = { ...event, id: event.name === "completed" ? "" : `1.0.${index}` }
      return afterEvent(run, placed)
    },
    followed("t", "c")
  )

describe("a turn that is followed", () => {
  it("shows text and tool calls in their order", () => {
    const run = told(
      begun,
      text("Let me "),
      text("see."),
      { name: "tool_call_begun", data: call },
      { name: "tool_call_done", data: done },
      { name: "step_done", data: { step: 1 } },
      text("Done.")
    )
    assert.deepStrictEqual(shown(run), ["Let me see.", "success", "Done."])
    assert.strictEqual(run.lastEventId, "1.0.6")
    assert.strictEqual(run.phase, "running")
  })

  it("takes back what was not committed, and no more", () => {
    const committed = [
      begun,
      text("One."),
      { name: "tool_call_done", data: done },
      { name: "step_done", data: { step: 1 } }
    ] as const
    const again = told(...committed, text("Two"), { name: "restarted", data: { step: 1 } })
    assert.deepStrictEqual(shown(again), ["One.", "success"])
    assert.deepStrictEqual(
      shown(told(...committed, text("Two"), { name: "restarted", data: { step: 1 } }, text("3"))),
      ["One.", "success", "3"]
    )
  })

  it("begins anew when it is told from its beginning", () => {
    assert.deepStrictEqual(shown(told(begun, text("One"), begun, text("Uno"))), ["Uno"])
  })

  it("ends with what the answer says", () => {
    const run = told(begun, text("All d"), { name: "completed", data: reply })
    assert.deepStrictEqual([run.phase, run.stopped, shown(run)], ["over", false, ["success", "All done."]])
    const stopped = told(begun, text("All d"), { name: "stopped", data: { ...reply, message: "", tool_calls: [] } })
    assert.deepStrictEqual([stopped.phase, stopped.stopped, shown(stopped)], ["over", true, []])
  })

  it("ends with what took effect when it fails", () => {
    const problem = { status: 502, detail: "", error: { code: "model_failed" }, turn_id: "t", tool_calls: [done] }
    const run = told(begun, text("All d"), { name: "failed", data: problem })
    assert.deepStrictEqual([run.phase, run.problem, shown(run)], ["failed", problem, ["success"]])
  })
})
