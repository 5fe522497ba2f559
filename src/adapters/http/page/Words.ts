import { Refused } from "./Rest.ts"
import type { Problem, ToolCall } from "./Wire.ts"

const words: { readonly [code: string]: string } = {
  unauthorized: "The token is no longer valid. Sign in again with a new one; what you wrote is kept.",
  forbidden: "This belongs to another user. Sign in as that user to see it.",
  not_found: "This is no longer there; it may have been deleted elsewhere.",
  limit_reached: "There is no room for more. Delete what you no longer need, then try again.",
  rate_limited: "That was quick: there is a limit of messages a minute. This one is sent by itself in a moment.",
  payload_too_large: "The message is too long. Shorten it, then send it again.",
  unavailable: "The service is not available at the moment. It is tried again by itself.",
  internal: "Something went wrong in the service. Try again; if it stays, tell whoever runs it."
}

const failureWords: { readonly [code: string]: string } = {
  step_limit: "The agent did not come to an end. Ask for less at once.",
  abandoned: "The agent gave up after several attempts. Ask again, perhaps in other words."
}

/** What a problem means to whoever sees it, and what they can do. */
export const wordsOf = (problem: Problem): string => words[problem.error.code] ?? problem.detail

/** The same of anything that went wrong. */
export const wordsOfError = (error: unknown): string =>
  error instanceof Refused
    ? wordsOf(error.problem)
    : "The service cannot be reached. Check the connection, then try again."

/** Why a turn failed. The advice for programs that the service appends is no use to people. */
export const wordsOfFailure = (problem: Problem): string => {
  const known = failureWords[problem.error.code] ?? words[problem.error.code]
  if (known !== undefined) return known
  const told = problem.detail.split(advice, 1)[0]?.trim() ?? ""
  return problem.retryable === true
    ? `${told} Try again: it goes on from where it stopped.`
    : `${told} Send it again in other words.`
}

const advice = /Send the request again under|It will not be tried again under/

const titleOf = (call: ToolCall): string => {
  const { task } = call.result ?? {}
  const named = task?.title ?? call.arguments["title"]
  const number = task?.id ?? call.arguments["task_id"]
  const title = typeof named === "string" ? ` “${named}”` : ""
  return typeof number === "number" ? `task ${number}${title}` : `task${title}`
}

const verbs: { readonly [tool: string]: readonly [doing: string, done: string, failed: string] } = {
  add_task: ["Adding", "Added", "Could not add"],
  complete_task: ["Completing", "Completed", "Could not complete"],
  update_task: ["Changing", "Changed", "Could not change"],
  delete_task: ["Deleting", "Deleted", "Could not delete"]
}

/** A tool call in a few words. */
export const wordsOfCall = (call: ToolCall): string => {
  const index = call.status === undefined ? 0 : call.status === "success" ? 1 : 2
  if (call.tool_name === "list_tasks") {
    const { count } = call.result ?? {}
    const found =
      count === undefined ? "Looked at the list" : `Looked at the list: ${count} ${count === 1 ? "task" : "tasks"}`
    return ["Looking at the list", found, "Could not look at the list"][index] ?? found
  }
  const verb = verbs[call.tool_name]?.[index]
  return verb === undefined ? call.tool_name : `${verb} ${titleOf(call)}`
}
