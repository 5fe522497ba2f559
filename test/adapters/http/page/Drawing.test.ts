import { assert, describe, it } from "@effect/vitest"
import { makeDrawing } from "../../../../src/adapters/http/page/Drawing.ts"

/** A screen whose frames and moments come when the test says so. */
const makeScreen = () => {
  const state = { drawn: 0, hidden: false }
  const frames: Array<() => void> = []
  const moments: Array<() => void> = []
  const change = makeDrawing(() => state.drawn++, {
    isHidden: () => state.hidden,
    nextFrame: (draw) => frames.push(draw),
    soon: (draw) => moments.push(draw)
  })
  const give = (waiting: Array<() => void>) => () => {
    for (const draw of waiting.splice(0)) draw()
  }
  return { state, change, frames, frame: give(frames), moment: give(moments) }
}

describe("the drawing", () => {
  it("is done once a frame for all that comes in pieces", () => {
    const { state, change, frames, frame, moment } = makeScreen()
    for (let piece = 0; piece < 100; piece++) {
      change(true)
      moment()
    }
    assert.strictEqual(state.drawn, 0)
    assert.lengthOf(frames, 1)
    frame()
    assert.strictEqual(state.drawn, 1)
    change(true)
    frame()
    assert.strictEqual(state.drawn, 2)
  })

  it("is done at once for anything else, together with the pieces that wait for a frame", () => {
    const { state, change, frame, moment } = makeScreen()
    change(true)
    change(false)
    change(false)
    moment()
    assert.strictEqual(state.drawn, 1)
    frame()
    assert.strictEqual(state.drawn, 1)
  })

  it("waits for no frame where nobody looks, since none comes", () => {
    const { state, change, moment } = makeScreen()
    change(true)
    state.hidden = true
    change(true)
    change(true)
    moment()
    assert.strictEqual(state.drawn, 1)
  })
})
