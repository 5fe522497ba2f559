import type { Answer } from "../support/service.ts"

/** The events of a stream that came whole, as their names and data. */
const eventsOf = (text: string): ReadonlyArray<readonly [name: string, data: string]> =>
  text
    .split("\n\n")
    .slice(0, -1)
    .flatMap((block) => {
      const lines = block.split("\n")
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const name = field("event")
      return name === undefined ? [] : [[name, field("data") ?? ""] as const]
    })

/**
 * What a stream of events says that the answer is, as if it had been that; nothing where it was cut. And what it said on the
 * way that the answer does not bear out.
 */
export const toldByEvents = (answer: Answer): { readonly answer: Answer | undefined; readonly breach?: string } => {
  if (answer.headers.get("content-type") !== "text/event-stream") return { answer }
  const events = eventsOf(answer.text)
  const [name, data] = events.at(-1) ?? []
  if (data === undefined || (name !== "completed" && name !== "failed")) return { answer: undefined }
  const json = JSON.parse(data)
  const told = { ...answer, status: name === "completed" ? 200 : Number(json.status), text: data, json }
  let text = ""
  const done: Array<string> = []
  for (const [event, of] of events) {
    const said = JSON.parse(of)
    if (event === "begun") done.length = 0
    if (event === "text") text += said.text
    if (event === "begun" || event === "restarted" || event === "step_done") text = ""
    if (event === "tool_call_done") done.push(said.id)
  }
  // Another instance may have gone on with the turn, which this one then did not see to its end.
  const known: ReadonlyArray<string> = (json.tool_calls ?? []).map(({ id }: { readonly id: string }) => id)
  const holds =
    done.every((id, i) => known[i] === id) &&
    (name === "failed" || done.length < known.length || text === "" || String(json.message).startsWith(text))
  return holds ? { answer: told } : { answer: told, breach: `told ${text} and ${done.join()}: ${answer.text}` }
}
