/** An event as it stands in a stream of the HTML standard's section on server-sent events. */
export interface StreamEvent {
  readonly name: string
  readonly data: string
  /** Empty where the event has none. */
  readonly id: string
}

const firstSpace = /^ /
const lineEnd = /\r\n|\n|\r/

/** Takes the text of a stream in pieces, wherever they are cut, and gives the events that they complete. */
export const makeEventReader = (): ((piece: string) => ReadonlyArray<StreamEvent>) => {
  let rest = ""
  let name = ""
  let id = ""
  let data: Array<string> = []

  const readLine = (line: string): StreamEvent | undefined => {
    if (line === "") {
      const event = { name: name === "" ? "message" : name, data: data.join("\n"), id }
      const told = data.length > 0
      name = ""
      id = ""
      data = []
      return told ? event : undefined
    }
    const colon = line.indexOf(":")
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(firstSpace, "")
    if (field === "event") name = value
    if (field === "id") id = value
    if (field === "data") data.push(value)
    return
  }

  return (piece) => {
    rest += piece
    // A CR at the end may be the first half of a line's end.
    const held = rest.endsWith("\r") ? "\r" : ""
    const lines = rest.slice(0, rest.length - held.length).split(lineEnd)
    rest = (lines.pop() ?? "") + held
    return lines.flatMap((line) => readLine(line) ?? [])
  }
}
