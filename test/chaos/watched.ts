import type { Answer } from "../support/service.ts"

interface Told {
  readonly name: string
  readonly id: string | undefined
  readonly data: string
}

/** The events of a stream that came whole. */
const eventsOf = (text: string): ReadonlyArray<Told> =>
  text
    .split("\n\n")
    .slice(0, -1)
    .flatMap((block) => {
      const lines = block.split("\n")
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const name = field("event")
      return name === undefined ? [] : [{ name, id: field("id"), data: field("data") ?? "" }]
    })

/** What somebody sees in the end who was told these events. */
const screenOf = (events: ReadonlyArray<Told>) => {
  let text = ""
  let steps: Array<string> = []
  let step: Array<string> = []
  for (const { data, name } of events) {
    const said = JSON.parse(data)
    if (name === "begun") steps = []
    if (name === "step_done") steps.push(...step)
    if (name === "text") text += said.text
    if (name === "tool_call_done") step.push(said.id)
    if (name === "begun" || name === "restarted" || name === "step_done") {
      text = ""
      step = []
    }
  }
  return { text, done: steps.join() }
}

export const isStream = (answer: Answer): boolean => answer.headers.get("content-type") === "text/event-stream"

/** What is wrong with what these events have shown, by the answer at their end. */
const misled = (events: ReadonlyArray<Told>): string | undefined => {
  const { data, name } = events.at(-1) ?? { name: "nothing", data: "{}" }
  const end = JSON.parse(data)
  const { done, text } = screenOf(events)
  const known = (end.tool_calls ?? []).map(({ id }: { readonly id: string }) => id).join()
  const holds = name === "failed" ? done === known : done === known && text === end.message
  return holds ? undefined : `told "${text}" and ${done}: ${events.map((event) => JSON.stringify(event)).join("\n")}`
}

/**
 * What a stream of events says that the answer is, as if it had been that; nothing where it was cut. And what it said on the
 * way that the answer does not bear out.
 */
export const toldByEvents = (answer: Answer): { readonly answer: Answer | undefined; readonly breach?: string } => {
  if (!isStream(answer)) return { answer }
  const events = eventsOf(answer.text)
  const { data, name } = events.at(-1) ?? { name: "nothing", data: "" }
  if (!["completed", "failed", "interrupted"].includes(name)) return { answer: undefined }
  const json = JSON.parse(data)
  const told = { ...answer, status: name === "completed" ? 200 : Number(json.status), text: data, json }
  const breach = name === "interrupted" ? undefined : misled(events)
  return { answer: told, ...(breach !== undefined && { breach }) }
}

/** Some event of a stream that came whole, behind which it may be asked for again. */
export const someEvent = (text: string, dice: (bound: number) => number): string | undefined => {
  const events = eventsOf(text)
  return events[dice(events.length)]?.id
}

/** What is wrong with the events of a stream up to one of them, and those that were told behind it. */
export const resumedWrongly = (text: string, after: string, resumed: Answer): string | undefined => {
  if (!isStream(resumed)) return
  const events = eventsOf(text)
  const rest = eventsOf(resumed.text)
  if (rest.at(-1)?.name !== "completed") return
  const breach = misled([...events.slice(0, events.findIndex((event) => event.id === after) + 1), ...rest])
  return breach === undefined ? undefined : `behind ${after} ${breach}`
}
