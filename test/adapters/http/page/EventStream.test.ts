import { assert, describe, it } from "@effect/vitest"
import { makeEventReader } from "../../../../src/adapters/http/page/EventStream.ts"

const readIn = (pieces: ReadonlyArray<string>) => {
  const read = makeEventReader()
  return pieces.flatMap((piece) => read(piece))
}

describe("the reader of an event stream", () => {
  const text =
    ': a comment\n\nid: 1.0.0\nevent: begun\ndata: {"a":1}\n\nid: 1.0.1\nevent: text\ndata: one\ndata:two\ndata\n\n' +
    "event: nothing\n\nretry: 5\ndata:  spaced: out\n\ndata: unfinished\n"
  const events = [
    { name: "begun", data: '{"a":1}', id: "1.0.0" },
    { name: "text", data: "one\ntwo\n", id: "1.0.1" },
    { name: "message", data: " spaced: out", id: "" }
  ]

  it("tells of each event once it is whole", () => {
    assert.deepStrictEqual(readIn([text]), events)
  })

  it("does so wherever the stream is cut, and however its lines end", () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const stream = text.replaceAll("\n", end)
      assert.deepStrictEqual(readIn([...stream]), events, JSON.stringify(end))
      for (let at = 0; at < stream.length; at++) {
        assert.deepStrictEqual(readIn([stream.slice(0, at), stream.slice(at)]), events, `${JSON.stringify(end)} ${at}`)
      }
    }
  })
})
