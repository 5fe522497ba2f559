import { h, render } from "preact"
import { App } from "./App.ts"
import { makeDrawing } from "./Drawing.ts"
import { makeActions, makeStore } from "./Store.ts"
import type { Session } from "./Wire.ts"

const root = document.getElementById("app")
if (root === null) throw new Error("The page has no place for the app.")

const store = makeStore()
const actions = makeActions(store)

const draw = (): void => {
  const { conversations, openId } = store.get()
  const title = conversations.entries.find(({ id }) => id === openId)?.title
  document.title = title === undefined ? "turnkeeper" : `${title} – turnkeeper`
  render(h(App, { state: store.get(), actions }), root)
}
store.subscribe(
  makeDrawing(draw, {
    isHidden: () => document.visibilityState === "hidden",
    nextFrame: (drawChanged) => requestAnimationFrame(drawChanged),
    soon: (drawChanged) => queueMicrotask(drawChanged)
  })
)

const given = document.querySelector<HTMLMetaElement>('meta[name="session"]')
if (given === null) draw()
else {
  const session: Session = JSON.parse(given.content)
  given.remove()
  actions.enter(session)
}
