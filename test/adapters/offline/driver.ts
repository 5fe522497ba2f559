import { Effect, Schema } from "effect"
import { LLM, type PromptMessage, type RequestedCall, type ToolDefinition } from "../../../src/ports/LLM.ts"

interface TestTask {
  readonly id: number
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
}

/** What one message came to. */
interface Said {
  readonly reply: string
  /** The calls in order, as `name {"json":1}`; a list is there as `list_tasks all`. */
  readonly calls: ReadonlyArray<string>
  readonly completions: number
}

/** What the service's tools would be: each has the name and nothing else that matters to the offline model. */
export const tools = ["add_task", "list_tasks", "complete_task", "update_task", "delete_task"].map(
  (name): ToolDefinition => ({ name, description: name, parameters: { type: "object" } })
)

const Arguments = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Null]))
type Arguments = typeof Arguments.Type
const decodeArguments = Schema.decodeSync(Schema.fromJsonString(Arguments))
const encodeJson = Schema.encodeUnknownSync(Schema.fromJsonString(Schema.Unknown))

/** A task list and a talk about it: the loop of the service, in small. `x ` before a title: it is completed. */
export const startChat = (titles: ReadonlyArray<string>, offered: ReadonlyArray<ToolDefinition> = tools) => {
  const tasks: Array<TestTask> = titles.map((title, index) => ({
    id: index + 1,
    title: title.startsWith("x ") ? title.slice(2) : title,
    description: null,
    completed: title.startsWith("x ")
  }))
  let lastId = tasks.length
  const messages: Array<PromptMessage> = []

  const change = (id: Arguments[string] | undefined, to: (task: TestTask) => TestTask | undefined): unknown => {
    const at = tasks.findIndex((task) => task.id === id)
    const task = tasks[at]
    if (task === undefined) return { success: false, error: `There is no task ${id}` }
    const next = to(task)
    tasks.splice(at, 1, ...(next === undefined ? [] : [next]))
    return { success: true, task: next ?? task }
  }

  const run = (name: string, args: Arguments): unknown => {
    switch (name) {
      case "add_task": {
        lastId += 1
        const task = {
          id: lastId,
          title: `${args["title"]}`,
          description: textOf(args["description"]),
          completed: false
        }
        tasks.push(task)
        return { success: true, task }
      }
      case "list_tasks": {
        const wanted = args["status"] ?? "all"
        const shown = tasks.filter((task) => wanted === "all" || task.completed === (wanted === "completed"))
        return { success: true, tasks: shown, count: shown.length }
      }
      case "complete_task":
        return change(args["task_id"], (task) => ({ ...task, completed: true }))
      case "update_task":
        return change(args["task_id"], (task) => ({
          ...task,
          title: textOf(args["title"]) ?? task.title,
          description: args["description"] === undefined ? task.description : textOf(args["description"])
        }))
      case "delete_task":
        return change(args["task_id"], () => undefined)
      default:
        return { success: false, error: `There is no tool ${name}` }
    }
  }

  const say = Effect.fnUntraced(function* (message: string) {
    const llm = yield* LLM
    const calls: Array<string> = []
    messages.push({ role: "user", content: message })
    for (let completions = 1; completions <= MOST_COMPLETIONS; completions++) {
      const answer = yield* llm.complete({ system: "You keep a to-do list.", messages: [...messages], tools: offered })
      messages.push({ role: "assistant", content: answer.text, toolCalls: answer.toolCalls })
      if (answer.toolCalls.length === 0) return { reply: answer.text, calls, completions } satisfies Said
      for (const call of answer.toolCalls) {
        const args = decodeArguments(call.arguments)
        calls.push(shown(call, args))
        messages.push({ role: "tool", toolCallId: call.id, content: encodeJson(run(call.name, args)) })
      }
    }
    return { reply: "", calls, completions: MOST_COMPLETIONS + 1 } satisfies Said
  })

  return { tasks, messages, say }
}

const MOST_COMPLETIONS = 10

const textOf = (value: Arguments[string] | undefined): string | null =>
  value === undefined || value === null || value === "" ? null : `${value}`

const shown = (call: RequestedCall, args: Arguments): string =>
  call.name === "list_tasks" ? `list_tasks ${args["status"]}` : `${call.name} ${encodeJson(args)}`
