import type { PlacedEvent, Problem, ToolCall } from "./Wire.ts"

/** What a turn shows while it runs: text and tool calls in their order. */
export type Part = { readonly kind: "text"; readonly text: string } | { readonly kind: "call"; readonly call: ToolCall }

/** A message of this browser's user, from before it is sent until its turn is over. */
export interface Outgoing {
  /** The Idempotency-Key, under which it happens once however often it is sent. */
  readonly key: string
  readonly text: string
  /** When it was written, in milliseconds since 1970. */
  readonly at: number
  /** The conversation it was written in; absent while it is to begin one. */
  readonly askedIn: string | undefined
  readonly conversationId: string | undefined
  readonly turnId: string | undefined
  /** Why its turn failed, if it may be tried again. */
  readonly problem: Problem | undefined
}

/** A turn that this page sends or follows. */
export interface Run {
  readonly id: string
  /** Absent where somebody else has begun the turn: in another tab, or on another device. */
  readonly outgoing: Outgoing | undefined
  readonly conversationId: string | undefined
  readonly turnId: string | undefined
  /**
   * `sending` until the service tells of it, `waiting` for another turn of the conversation or for a place, `over` until the
   * stored messages are here to take its place.
   */
  readonly phase: "sending" | "waiting" | "running" | "stopping" | "failed" | "over"
  /** Whether the service has told of the turn: then it is followed, and before that the message is sent. */
  readonly begun: boolean
  readonly parts: ReadonlyArray<Part>
  /** How many of the parts are committed: the rest may be taken back. */
  readonly committed: number
  readonly lastEventId: string
  readonly problem: Problem | undefined
  /** Whether somebody has stopped it. */
  readonly stopped: boolean
}

export const runOf = (outgoing: Outgoing): Run => ({
  ...nothingShown,
  id: outgoing.key,
  outgoing,
  conversationId: outgoing.conversationId,
  turnId: outgoing.turnId,
  phase: outgoing.problem !== undefined ? "failed" : outgoing.turnId === undefined ? "sending" : "running",
  begun: outgoing.turnId !== undefined,
  problem: outgoing.problem
})

export const followed = (turnId: string, conversationId: string): Run => ({
  ...nothingShown,
  id: turnId,
  outgoing: undefined,
  conversationId,
  turnId,
  phase: "running",
  begun: true,
  problem: undefined
})

/** What a run shows before anything was told of it. */
export const nothingShown = { parts: [], committed: 0, lastEventId: "", stopped: false } as const

const withText = (parts: ReadonlyArray<Part>, committed: number, text: string): ReadonlyArray<Part> => {
  const last = parts.at(-1)
  return last?.kind === "text" && parts.length > committed
    ? [...parts.slice(0, -1), { kind: "text", text: last.text + text }]
    : [...parts, { kind: "text", text }]
}

const withCall = (parts: ReadonlyArray<Part>, call: ToolCall): ReadonlyArray<Part> => {
  const known = parts.some((part) => part.kind === "call" && part.call.id === call.id)
  return known
    ? parts.map((part) => (part.kind === "call" && part.call.id === call.id ? { kind: "call", call } : part))
    : [...parts, { kind: "call", call }]
}

const callParts = (calls: ReadonlyArray<ToolCall> = []): ReadonlyArray<Part> =>
  calls.map((call) => ({ kind: "call", call }))

/** What a run has become by an event. */
export const afterEvent = (before: Run, event: PlacedEvent): Run => {
  const run = event.id === "" ? before : { ...before, lastEventId: event.id }
  switch (event.name) {
    case "begun":
      return {
        ...run,
        // It is told from its beginning, or once more after an instance has died.
        ...nothingShown,
        lastEventId: event.id,
        phase: run.phase === "stopping" ? "stopping" : "running",
        begun: true,
        conversationId: event.data.conversation_id,
        turnId: event.data.turn_id,
        problem: undefined
      }
    case "text":
      return { ...run, parts: withText(run.parts, run.committed, event.data.text) }
    case "restarted":
      return { ...run, parts: run.parts.slice(0, run.committed) }
    case "tool_call_begun":
    case "tool_call_done":
      return { ...run, parts: withCall(run.parts, event.data) }
    case "step_done":
      return { ...run, committed: run.parts.length }
    case "completed":
    case "stopped":
      return {
        ...run,
        phase: "over",
        stopped: event.name === "stopped",
        conversationId: event.data.conversation_id,
        turnId: event.data.turn_id,
        parts: [
          ...callParts(event.data.tool_calls),
          ...(event.data.message === "" ? [] : [{ kind: "text", text: event.data.message } as const])
        ]
      }
    case "failed":
      return failedRun(run, event.data)
    case "interrupted":
      return run
  }
}

/** A run whose turn has failed, or was never begun. */
export const failedRun = (run: Run, problem: Problem): Run => ({
  ...run,
  phase: "failed",
  problem,
  conversationId: problem.conversation_id ?? run.conversationId,
  turnId: problem.turn_id ?? run.turnId,
  parts: problem.tool_calls === undefined ? run.parts.slice(0, run.committed) : callParts(problem.tool_calls)
})
