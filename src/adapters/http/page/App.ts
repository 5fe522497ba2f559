import { type ComponentChild, h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Conversations } from "./Conversations.ts"
import type { Actions, SignedIn, State } from "./Store.ts"
import { Talk } from "./Talk.ts"
import { Tasks } from "./Tasks.ts"

interface Props {
  readonly state: State
  readonly actions: Actions
}

const panes = { conversations: "Conversations", talk: "Talk", tasks: "Tasks" } as const

/** The whole page. */
export const App = ({ state, actions }: Props): ComponentChild => {
  const { session } = state
  const signedIn = actions.signedIn()
  return h(
    "div",
    { class: "page", "data-pane": state.pane },
    signedIn !== undefined &&
      h("a", { class: "skip", href: "#message", onClick: skipToMessage }, "Skip to the message box"),
    h(
      "header",
      { class: "top" },
      h("h1", { class: "brand" }, h("img", { src: "/assets/icon.svg", alt: "", width: 22, height: 22 }), "turnkeeper"),
      signedIn !== undefined && h(PaneChoice, { pane: state.pane, actions: signedIn }),
      session !== undefined && h("p", { class: "who" }, session.name),
      session !== undefined &&
        h("button", { type: "button", class: "quiet small", onClick: actions.signOut }, "Sign out")
    ),
    signedIn !== undefined && h(Notices, { state, actions: signedIn }),
    signedIn === undefined
      ? h(SignIn, { state, actions })
      : h(
          "main",
          { class: "panes" },
          h(Conversations, { state, actions: signedIn }),
          h(Talk, { state, actions: signedIn }),
          h(Tasks, { state, actions: signedIn })
        ),
    h("p", { class: "unseen", role: "status" }, state.announcement)
  )
}

const skipToMessage = (event: Event): void => {
  // The address names the conversation, and must go on doing so.
  event.preventDefault()
  document.getElementById("message")?.focus()
}

/** Where there is room for one part of the page, it is chosen here. */
const PaneChoice = ({ pane, actions }: { readonly pane: State["pane"]; readonly actions: SignedIn }): ComponentChild =>
  h(
    "div",
    { class: "pane-choice", role: "group", "aria-label": "What is shown" },
    (["conversations", "talk", "tasks"] as const).map((name) =>
      h(
        "button",
        { key: name, type: "button", "aria-pressed": pane === name, onClick: () => actions.show(name) },
        panes[name]
      )
    )
  )

const SignIn = ({ state, actions }: Props): ComponentChild => {
  const [token, setToken] = useState("")
  const submit = (event: Event): void => {
    event.preventDefault()
    if (token.trim() !== "") void actions.signIn(token.trim())
  }
  return h(
    "main",
    { class: "sign-in" },
    h(
      "form",
      { onSubmit: submit },
      h("h2", null, "Sign in"),
      h(
        "p",
        { class: "hint", id: "token-hint" },
        "If you have started the service on this machine, the link that it has printed in the terminal signs you in. Otherwise paste the token that you get where you sign in: it is kept in the memory of this page only, and forgotten when the page is closed."
      ),
      h("label", { for: "token" }, "Token"),
      h("input", {
        id: "token",
        type: "password",
        autocomplete: "off",
        spellcheck: false,
        required: true,
        value: token,
        "aria-describedby": "token-hint",
        "aria-invalid": state.signInProblem !== undefined,
        onInput: (event: Event & { readonly currentTarget: HTMLInputElement }) => setToken(event.currentTarget.value)
      }),
      h("p", { class: "problem-words", role: "alert" }, state.signInProblem),
      h("button", { type: "submit", class: "primary", disabled: state.signingIn }, "Sign in")
    )
  )
}

/** What the user should know whatever they look at. */
const Notices = ({ state, actions }: { readonly state: State; readonly actions: SignedIn }): ComponentChild =>
  h(
    "div",
    { class: "notices", role: "alert" },
    state.lostUntil !== undefined &&
      h(
        "div",
        { class: "notice" },
        h(
          "p",
          null,
          "The service cannot be reached. It is tried again ",
          h(Countdown, { until: state.lostUntil }),
          "."
        ),
        h("button", { type: "button", class: "quiet small", onClick: actions.tryNow }, "Try now")
      ),
    state.notice !== undefined &&
      h(
        "div",
        { class: "notice" },
        h("p", null, state.notice),
        h("button", { type: "button", class: "quiet small", onClick: actions.dismissNotice }, "Dismiss")
      )
  )

/** For those who see it; who hears the page is told once, and not every second. */
const Countdown = ({ until }: { readonly until: number }): ComponentChild => {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [])
  const seconds = Math.ceil((until - now) / 1000)
  return h("span", { "aria-hidden": "true" }, seconds > 0 ? `in ${seconds} s` : "now")
}
