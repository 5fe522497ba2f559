/** By what the browser tells when to draw. */
interface Screen {
  readonly isHidden: () => boolean
  readonly nextFrame: (draw: () => void) => void
  readonly soon: (draw: () => void) => void
}

/**
 * Draws what has changed: what comes together is drawn together, and what comes in pieces, such as a reply while it is made,
 * once a frame at most. What somebody does is drawn at once, so that the box never shows what was sent already.
 */
export const makeDrawing = (draw: () => void, screen: Screen): ((inPieces: boolean) => void) => {
  let changed = false
  let soon = false
  let framed = false
  const drawChanged = (): void => {
    if (!changed) return
    changed = false
    draw()
  }
  return (inPieces) => {
    changed = true
    // A page that nobody sees gets no frames.
    if (inPieces && !screen.isHidden()) {
      if (framed) return
      framed = true
      screen.nextFrame(() => {
        framed = false
        drawChanged()
      })
      return
    }
    if (soon) return
    soon = true
    screen.soon(() => {
      soon = false
      drawChanged()
    })
  }
}
