import { h, render } from "preact"
import { App } from "./App.ts"
import { makeActions, makeStore } from "./Store.ts"
import type { Session } from "./Wire.ts"

const root = document.getElementById("app")
if (root === null) throw new Error("The page has no place for the app.")

const store = makeStore()
const actions = makeActions(store)

let drawing = false
const draw = (): void => {
  drawing = false
  const { conversations, openId } = store.get()
  const title = conversations.entries.find(({ id }) => id === openId)?.title
  document.title = title === undefined ? "turnkeeper" : `${title} – turnkeeper`
  render(h(App, { state: store.get(), actions }), root)
}
store.subscribe(() => {
  // Changes that come together are drawn together.
  if (!drawing) queueMicrotask(draw)
  drawing = true
})

const given = document.querySelector<HTMLMetaElement>('meta[name="session"]')
if (given === null) draw()
else {
  const session: Session = JSON.parse(given.content)
  given.remove()
  actions.enter(session)
}
