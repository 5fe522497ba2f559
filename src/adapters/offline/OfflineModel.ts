import { Effect, Equal, Layer, Option, Schema } from "effect"
import { toStorable } from "../../domain/model/Text.ts"
import { type Completion, LLM, type Prompt, type PromptMessage, type RequestedCall } from "../../ports/LLM.ts"
import {
  account,
  type Context,
  MOST_CALLS,
  nothingBefore,
  type Outcome,
  type Reply,
  type ToolRequest,
  talk
} from "./Talk.ts"

/**
 * A language model for when there is none: it understands plain English requests about tasks, asks for the same tools,
 * and answers in words. It is stateless and deterministic, needs nothing from outside, and never fails. Its usage is an
 * estimate: a token for every four bytes of UTF-8, rounded up.
 */
export const layer: Layer.Layer<LLM> = Layer.succeed(LLM, {
  complete: (prompt, onText) =>
    Effect.suspend(() => {
      const completion = complete(prompt)
      if (onText === undefined) return Effect.succeed(completion)
      // Word by word, as a model makes it, and so that whoever watches has a chance to see that.
      const said = Effect.forEach(completion.text.match(words) ?? [], (word) =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => onText(word))
        )
      )
      return Effect.as(said, completion)
    })
})

const words = /\s*\S+\s*$|\s*\S+/gu

const complete = (prompt: Prompt): Completion => {
  const turns = turnsOf(prompt.messages)
  const current = turns.at(-1)
  const said = current === undefined ? account([]) : next(current, contextBefore(turns), prompt)
  const text = "text" in said ? toStorable(said.text) : ""
  const toolCalls = "text" in said ? [] : requested(said.calls, prompt.messages)
  return {
    text,
    toolCalls,
    finishReason: toolCalls.length > 0 ? "tool_calls" : "stop",
    usage: { promptTokens: tokensOf(sent(prompt)), completionTokens: tokensOf([text, ...toolCalls.flatMap(callText)]) }
  }
}

/* The prompt, as the talk sees it. */

interface Call {
  readonly id: string
  readonly name: string
  readonly arguments: unknown
  outcome: Outcome
}

/** One message of the user, and what came of it. */
interface Turn {
  readonly message: string
  /** The calls of each answer that had any. */
  readonly steps: Array<ReadonlyArray<Call>>
  reply: string | undefined
}

const turnsOf = (messages: ReadonlyArray<PromptMessage>): ReadonlyArray<Turn> => {
  const turns: Array<Turn> = []
  for (const message of messages) {
    const turn = turns.at(-1)
    if (message.role === "user") turns.push({ message: message.content, steps: [], reply: undefined })
    else if (turn !== undefined) take(turn, message)
  }
  return turns
}

const take = (turn: Turn, message: Exclude<PromptMessage, { role: "user" }>): void => {
  if (message.role === "tool") {
    const call = turn.steps.at(-1)?.find((each) => each.id === message.toolCallId)
    if (call !== undefined) call.outcome = outcomeOf(message.content)
  } else if (message.toolCalls.length > 0) {
    turn.steps.push(message.toolCalls.map(callOf))
  } else {
    turn.reply = message.content
  }
}

const callOf = (call: RequestedCall): Call => ({
  id: call.id,
  name: call.name,
  arguments: Option.getOrUndefined(decodeJson(call.arguments)),
  outcome: { kind: "unclear" }
})

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const TaskResult = Schema.Struct({
  id: Schema.Int,
  title: Schema.String,
  description: Schema.optional(Schema.NullOr(Schema.String)),
  completed: Schema.Boolean
})

const ToolResult = Schema.fromJsonString(
  Schema.Struct({
    success: Schema.Boolean,
    error: Schema.optional(Schema.String),
    task: Schema.optional(TaskResult),
    tasks: Schema.optional(Schema.Array(TaskResult)),
    has_more: Schema.optional(Schema.Boolean)
  })
)

const decodeResult = Schema.decodeUnknownOption(ToolResult)

const outcomeOf = (content: string): Outcome =>
  Option.match(decodeResult(content), {
    onNone: () => ({ kind: "unclear" }),
    onSome: ({ error, has_more, success, task, tasks }) => {
      if (!success) return { kind: "failed", error: error ?? "" }
      if (task !== undefined) return { kind: "task", task }
      return tasks === undefined ? { kind: "done" } : { kind: "tasks", tasks, more: has_more ?? false }
    }
  })

/* The talk, run over what is recorded of it. */

/** More turns than a window of history has: what was asked before them is forgotten. */
const REMEMBERED = 24
/** One answer of a turn's ten is for the last words. */
const MOST_STEPS = 9

type Said = Reply | { readonly calls: ReadonlyArray<ToolRequest> }

/**
 * What earlier turns leave behind. It is in no message: each earlier turn is held again over its recorded steps, and
 * counts only when it ends in the reply that the user in fact got.
 */
const contextBefore = (turns: ReadonlyArray<Turn>): Context =>
  turns.slice(-REMEMBERED - 1, -1).reduce((context, turn): Context => {
    const said = advance(turn, context)
    return "text" in said && turn.reply !== undefined && sameWords(said.text, turn.reply) ? said : nothingBefore
  }, nothingBefore)

const sameWords = (a: string, b: string): boolean => toStorable(a).trim() === b.trim()

const next = (turn: Turn, context: Context, prompt: Prompt): Said => {
  const said = advance(turn, context)
  if ("text" in said) return said
  const offered = new Set(prompt.tools.map((tool) => tool.name))
  const allowed = turn.steps.length < MOST_STEPS && said.calls.every((call) => offered.has(call.name))
  return allowed ? said : accountOf(turn)
}

const advance = (turn: Turn, context: Context): Said => {
  const running = talk(turn.message, context)
  let state = running.next()
  for (const step of turn.steps) {
    if (state.done === true || !isSame(state.value, step)) return accountOf(turn)
    state = running.next(step.map((call) => call.outcome))
  }
  return state.done === true ? state.value : { calls: state.value }
}

/** Whether a recorded step is the one asked for now; another model may have taken it. */
const isSame = (asked: ReadonlyArray<ToolRequest>, step: ReadonlyArray<Call>): boolean =>
  asked.length === step.length &&
  asked.every(
    (request, index) => request.name === step[index]?.name && Equal.equals(request.arguments, step[index]?.arguments)
  )

const accountOf = (turn: Turn): Reply => account(turn.steps.flat())

/* What is answered. */

const OWN_ID = /^offline_(\d{1,9})$/u

const requested = (
  calls: ReadonlyArray<ToolRequest>,
  messages: ReadonlyArray<PromptMessage>
): ReadonlyArray<RequestedCall> => {
  const used = messages.flatMap((message) => (message.role === "assistant" ? message.toolCalls : []))
  const last = used.reduce((highest, call) => Math.max(highest, Number(OWN_ID.exec(call.id)?.[1] ?? 0)), 0)
  return calls.slice(0, MOST_CALLS).map((call, index) => ({
    id: `offline_${last + index + 1}`,
    name: call.name,
    arguments: encodeJson(call.arguments)
  }))
}

const encodeJson = Schema.encodeUnknownSync(Schema.fromJsonString(Schema.Unknown))

const sent = (prompt: Prompt): ReadonlyArray<string> => [
  prompt.system,
  ...prompt.messages.flatMap((message) => [
    message.content,
    ...(message.role === "assistant" ? message.toolCalls.flatMap(callText) : [])
  ]),
  ...prompt.tools.flatMap((tool) => [tool.name, tool.description, encodeJson(tool.parameters)])
]

const callText = (call: RequestedCall): ReadonlyArray<string> => [call.name, call.arguments]

const encoder = new TextEncoder()

const tokensOf = (texts: ReadonlyArray<string>): number =>
  Math.ceil(texts.reduce((bytes, text) => bytes + encoder.encode(text).length, 0) / 4)
