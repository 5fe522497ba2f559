import type { History, HistoryMessage, HistoryStep, StoredCall } from "../ports/ConversationRepo.ts"
import type { PromptMessage } from "../ports/LLM.ts"
import { utf8Length } from "./model/Text.ts"

/** How much of the talk the model is shown. */
export interface HistoryBudget {
  /** The greatest number of tokens, estimated from above. */
  readonly tokens: number
  /** Whether only the newer half of the earlier turns that fit is shown, since the model found the whole too long. */
  readonly halved: boolean
}

/**
 * What stands in a prompt behind a request that failed, so that a later turn does not carry it out after all. It is
 * never stored.
 */
export const failedNote =
  "(This request failed before I could answer it, and it is closed. I will not carry it out unless I am asked again.)"

/** What stands in a prompt where the user has stopped a reply before it had a word: no API takes an empty one for sure. */
const stoppedNote = "(I was stopped before I said anything.)"

/**
 * Makes the stored part of a conversation into what a model is shown. It is cut between whole turns only, oldest first;
 * the turn at hand, whose user message has the given `seq`, is never cut. Whatever was stored, each call is followed by
 * its one result, and names and ids are such as the OpenAI API takes.
 */
export const toPromptMessages = (
  history: History,
  seq: number,
  budget: HistoryBudget
): ReadonlyArray<PromptMessage> => {
  const steps = Map.groupBy(history.steps, (step) => step.seq)
  const calls = Map.groupBy(history.calls, (call) => call.seq)
  const ids = new Set<string>()
  const turns = history.messages.flatMap((message, i) => {
    if (message.role !== "user") return []
    const next = history.messages[i + 1]
    return [
      turnMessages(
        message,
        steps.get(message.seq) ?? [],
        calls.get(message.seq) ?? [],
        message.seq === seq ? "running" : next?.role === "assistant" ? next : "failed",
        ids
      )
    ]
  })
  const current = turns.at(-1) ?? []
  const earlier = turns.slice(0, -1)
  let left = budget.tokens - estimateTokens(current)
  let from = earlier.length
  for (const turn of earlier.toReversed()) {
    left -= estimateTokens(turn)
    if (left < 0) break
    from--
  }
  if (budget.halved) from = Math.ceil((from + earlier.length) / 2)
  return [...earlier.slice(from).flat(), ...current]
}

const turnMessages = (
  user: HistoryMessage,
  steps: ReadonlyArray<HistoryStep>,
  calls: ReadonlyArray<StoredCall>,
  end: HistoryMessage | "running" | "failed",
  ids: Set<string>
): ReadonlyArray<PromptMessage> => {
  const said = (content: string): PromptMessage => ({ role: "assistant", content, toolCalls: [] })
  return [
    { role: "user", content: user.content },
    ...steps
      .toSorted((a, b) => a.step - b.step)
      .flatMap((step): ReadonlyArray<PromptMessage> => {
        const own = calls
          .filter((call) => call.step === step.step)
          .toSorted((a, b) => a.position - b.position)
          .slice(0, 128) // the API takes no more in one message
        if (own.length === 0) return []
        const named = own.map((call) => ({ call, id: promptCallId(call, ids) }))
        return [
          {
            role: "assistant",
            content: step.content,
            toolCalls: named.map(({ call, id }) => ({
              id,
              name: promptToolName(call.toolName),
              arguments: call.arguments
            }))
          },
          ...named.map(({ call, id }): PromptMessage => ({ role: "tool", toolCallId: id, content: call.result }))
        ]
      }),
    ...(end === "running" ? [] : [said(end === "failed" ? failedNote : end.content === "" ? stoppedNote : end.content)])
  ]
}

const callIdPattern = /^[A-Za-z0-9_-]{1,40}$/

/**
 * The model's own name for the call, which some servers insist on, if it can stand in a prompt and no other call has it;
 * else one of ours.
 */
const promptCallId = (call: StoredCall, taken: Set<string>): string => {
  let id = call.providerCallId
  for (let i = 0; !callIdPattern.test(id) || taken.has(id); i++) {
    id = `call_${call.seq}_${call.step}_${call.position}${i === 0 ? "" : `_${i}`}`.slice(0, 40)
  }
  taken.add(id)
  return id
}

/** A name as the OpenAI API takes it: a tool that the model made up may have been called anything. */
const promptToolName = (name: string): string => name.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "unknown"

/** An estimate from above, at a third of the bytes, so that no tokenizer is needed; and some for the frame of each entry. */
const estimateTokens = (messages: ReadonlyArray<PromptMessage>): number => {
  const tokens = (text: string) => utf8Length(text) / 3
  return messages.reduce(
    (sum, message) =>
      sum +
      8 +
      tokens(message.content) +
      (message.role === "assistant"
        ? message.toolCalls.reduce((calls, call) => calls + 8 + tokens(call.name) + tokens(call.arguments), 0)
        : 0),
    0
  )
}
