/* What the service sends and takes, as its OpenAPI document has it. */

export interface Session {
  readonly id: string
  readonly name: string
  readonly token: string
}

export interface Conversation {
  readonly id: string
  readonly title: string
  readonly updated_at: string
}

export interface Task {
  readonly id: number
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
  readonly updated_at: string
}

export interface ToolCall {
  readonly id: string
  readonly tool_name: string
  readonly arguments: { readonly [name: string]: unknown }
  /** Absent while the tool runs. */
  readonly status?: "success" | "error"
  readonly result?: {
    readonly success?: boolean
    readonly error?: string
    readonly task?: Task
    readonly count?: number
  }
}

export type TurnStatus = "running" | "completed" | "failed" | "stopped"

export interface Message {
  readonly id: string
  readonly seq: number
  readonly turn_id: string
  readonly turn_status: TurnStatus
  readonly role: "user" | "assistant"
  readonly content: string
  readonly tool_calls: ReadonlyArray<ToolCall>
}

export interface Page<Entry> {
  readonly data: ReadonlyArray<Entry>
  readonly next_cursor: string | null
}

/** A problem of RFC 9457, as far as the page looks into it. */
export interface Problem {
  readonly status: number
  readonly detail: string
  readonly error: { readonly code: string }
  readonly turn_id?: string
  readonly conversation_id?: string
  readonly tool_calls?: ReadonlyArray<ToolCall>
  readonly retryable?: boolean
}

export interface TurnReply {
  readonly conversation_id: string
  readonly turn_id: string
  readonly message: string
  readonly tool_calls: ReadonlyArray<ToolCall>
  readonly stopped?: boolean
}

/** What is told of a turn while it runs, and how it ended. */
export type TurnEvent =
  | { readonly name: "begun"; readonly data: { readonly conversation_id: string; readonly turn_id: string } }
  | { readonly name: "text"; readonly data: { readonly text: string } }
  | { readonly name: "restarted" | "step_done"; readonly data: { readonly step: number } }
  | { readonly name: "tool_call_begun" | "tool_call_done"; readonly data: ToolCall }
  | { readonly name: "completed" | "stopped"; readonly data: TurnReply }
  | { readonly name: "failed" | "interrupted"; readonly data: Problem }

/** An event of a turn, and its place, from which the stream goes on after a break; empty where it has none. */
export type PlacedEvent = TurnEvent & { readonly id: string }
