import { type ComponentChild, h } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { Icon, Prose } from "./Elements.ts"
import type { Run } from "./Run.ts"
import type { SignedIn, State } from "./Store.ts"
import type { Message, ToolCall } from "./Wire.ts"
import { wordsOf, wordsOfCall, wordsOfFailure } from "./Words.ts"

interface Props {
  readonly state: State
  readonly actions: SignedIn
}

/** As many characters (Unicode code points) as the service takes. */
const greatestLength = 2000

const examples = [
  "Add a task to buy groceries",
  "What is on my list?",
  "Mark task 1 as done",
  "Rename task 1 to buy bread and milk"
]

const isHere = (run: Run, { openId }: State): boolean => run.conversationId === openId

/** The turn of the open conversation that is under way. */
const activeIn = (state: State): Run | undefined =>
  state.runs
    .filter((run) => isHere(run, state) && run.phase !== "failed" && run.phase !== "over")
    // One that waits for another is not the one that can be stopped.
    .sort((one, other) => Number(other.begun) - Number(one.begun))[0]

/** What was said in the open conversation, and the box for what is to be said next. */
export const Talk = ({ state, actions }: Props): ComponentChild => {
  const { messages, openId } = state
  const list = useRef<HTMLDivElement>(null)
  const atEnd = useRef(true)
  // Follows what is said, unless the reader has scrolled away from it.
  useLayoutEffect(() => {
    if (atEnd.current) list.current?.scrollTo({ top: list.current.scrollHeight })
  })
  useEffect(() => {
    atEnd.current = true
  }, [openId])
  const entries = entriesOf(state, actions)
  const title = state.conversations.entries.find(({ id }) => id === openId)?.title
  return h(
    "section",
    { class: "pane talk", "aria-labelledby": "talk-title" },
    h("h2", { id: "talk-title" }, openId === undefined ? "New conversation" : (title ?? "Conversation")),
    h(
      "div",
      {
        class: "said",
        ref: list,
        // It can be scrolled by keys.
        tabIndex: 0,
        role: "region",
        "aria-label": "What was said",
        onScroll: ({
          currentTarget: { scrollTop, scrollHeight, clientHeight }
        }: Event & { readonly currentTarget: HTMLDivElement }) => {
          atEnd.current = scrollHeight - scrollTop - clientHeight < 80
        }
      },
      messages.cursor !== null &&
        h(
          "button",
          { type: "button", class: "quiet wide", onClick: actions.olderMessages },
          "Show what was said before"
        ),
      !messages.loaded && entries.length === 0 && h("p", { class: "hint" }, "Loading…"),
      messages.loaded && entries.length === 0 ? h(Welcome, { actions }) : h("ol", { class: "turns" }, entries)
    ),
    h(Composer, { state, actions })
  )
}

const Welcome = ({ actions }: { readonly actions: SignedIn }): ComponentChild =>
  h(
    "div",
    { class: "welcome" },
    h("p", { class: "welcome-title" }, "What shall we get done?"),
    h("p", { class: "hint" }, "Say in your own words what to add, find, change or finish. For example:"),
    h(
      "ul",
      { class: "examples" },
      examples.map((example) =>
        h(
          "li",
          { key: example },
          h(
            "button",
            {
              type: "button",
              class: "example",
              onClick: () => {
                actions.write(example)
                document.getElementById("message")?.focus()
              }
            },
            example
          )
        )
      )
    )
  )

/** Messages that are stored, each with what is told of its turn, and behind them what was sent and is not stored yet. */
const entriesOf = (state: State, actions: SignedIn): Array<ComponentChild> => {
  const { messages, runs } = state
  const stored = new Set(messages.entries.map((message) => message.turn_id))
  const answered = new Set(
    messages.entries.filter(({ role }) => role === "assistant").map((message) => message.turn_id)
  )
  return [
    ...messages.entries.flatMap((message): Array<ComponentChild> => {
      if (message.role === "assistant") return [reply(message)]
      const said = h(Said, { key: message.id, text: message.content })
      if (answered.has(message.turn_id)) return [said]
      const run = runs.find(({ turnId }) => turnId === message.turn_id)
      return [said, run === undefined ? unanswered(message, actions) : underway(run, state, actions)]
    }),
    ...runs
      .filter((run) => isHere(run, state) && !stored.has(run.turnId ?? ""))
      .flatMap((run) => [
        h(Said, { key: `${run.id}/said`, text: run.outgoing?.text ?? "" }),
        underway(run, state, actions)
      ])
  ]
}

const Said = ({ text }: { readonly text: string }): ComponentChild =>
  h("li", { class: "said-by-user" }, h("p", { class: "unseen" }, "You said:"), h("p", { class: "bubble" }, text))

/** What the agent does and says in a turn: the same element from its beginning to its end, so that open cards stay open. */
const agent = (turn: string, busy: boolean, children: Array<ComponentChild>): ComponentChild =>
  h(
    "li",
    { key: `${turn}/agent`, class: "said-by-agent", "aria-busy": busy },
    h("p", { class: "unseen" }, "The agent said:"),
    children
  )

const cards = (calls: ReadonlyArray<ToolCall>): Array<ComponentChild> =>
  calls.map((call) => h(Card, { key: call.id, call }))

const stoppedNote = h("p", { key: "stopped", class: "note" }, "Stopped.")

const reply = (message: Message): ComponentChild =>
  agent(message.turn_id, false, [
    ...cards(message.tool_calls),
    message.content !== "" && h(Prose, { key: "text", text: message.content }),
    message.turn_status === "stopped" && stoppedNote
  ])

/** A turn that has no reply, and of which nothing more is told here. */
const unanswered = (message: Message, actions: SignedIn): ComponentChild =>
  agent(message.turn_id, message.turn_status === "running", [
    ...cards(message.tool_calls),
    message.turn_status === "failed" &&
      h(
        "div",
        { key: "failed", class: "problem" },
        h("p", null, "This turn failed. What the agent did before is shown above; the rest did not happen."),
        h(
          "button",
          { type: "button", class: "quiet small", onClick: () => actions.putBack(message.content) },
          "Put it into the box again"
        )
      ),
    message.turn_status === "stopped" && stoppedNote,
    message.turn_status === "running" && h(Thinking, { key: "thinking", words: "Thinking" })
  ])

/** A turn that this page sends or follows. */
const underway = (run: Run, state: State, actions: SignedIn): ComponentChild => {
  const words = progressOf(run, state)
  return agent(run.turnId ?? run.id, run.phase !== "failed" && run.phase !== "over", [
    ...run.parts.map((part, index) =>
      part.kind === "text" ? h(Prose, { key: index, text: part.text }) : h(Card, { key: part.call.id, call: part.call })
    ),
    run.stopped && stoppedNote,
    words !== undefined && h(Thinking, { key: "thinking", words }),
    run.phase === "failed" && h(Failure, { key: "failed", run, actions })
  ])
}

const progressOf = (run: Run, { lostUntil }: State): string | undefined => {
  switch (run.phase) {
    case "failed":
    case "over":
      return
    case "stopping":
      return "Stopping"
    case "waiting":
      return run.problem?.error.code === "rate_limited" ? wordsOf(run.problem) : "Waiting for the turn before this one"
    case "sending":
      return lostUntil === undefined ? "Sending" : "Kept here, and sent as soon as the service can be reached"
    case "running":
      if (lostUntil !== undefined)
        return "The connection was lost; the agent goes on, and so does this page in a moment"
      return run.parts.at(-1)?.kind === "text" ? undefined : "Thinking"
  }
}

const Thinking = ({ words }: { readonly words: string }): ComponentChild =>
  h(
    "p",
    { class: "thinking" },
    words,
    h("span", { class: "dots", "aria-hidden": "true" }, h("i", null), h("i", null), h("i", null))
  )

const Failure = ({ run, actions }: { readonly run: Run; readonly actions: SignedIn }): ComponentChild => {
  const { outgoing, problem } = run
  const isRetryable = outgoing !== undefined && problem?.retryable === true
  return h(
    "div",
    { class: "problem" },
    problem !== undefined && h("p", null, wordsOfFailure(problem)),
    h(
      "div",
      { class: "buttons" },
      isRetryable &&
        h("button", { type: "button", class: "primary small", onClick: () => actions.retry(run) }, "Try again"),
      outgoing !== undefined &&
        h(
          "button",
          { type: "button", class: "quiet small", onClick: () => actions.takeBack(run) },
          "Put it into the box again"
        )
    )
  )
}

/** A tool call in a line, which opens to show what was asked and what came of it. */
const Card = ({ call }: { readonly call: ToolCall }): ComponentChild =>
  h(
    "details",
    { class: `card ${call.status ?? "running"}` },
    h(
      "summary",
      null,
      h("span", { class: "card-sign" }, h(Icon, { name: call.status === "error" ? "cross" : "check" })),
      h("span", { class: "card-words" }, wordsOfCall(call)),
      h(Icon, { name: "chevron" })
    ),
    h(
      "dl",
      null,
      h("dt", null, "Tool"),
      h("dd", null, h("code", null, call.tool_name)),
      h("dt", null, "Asked with"),
      h("dd", null, h("pre", { tabIndex: 0 }, JSON.stringify(call.arguments, null, 2))),
      call.result !== undefined && [
        h("dt", null, "Result"),
        h("dd", null, h("pre", { tabIndex: 0 }, JSON.stringify(call.result, null, 2)))
      ]
    )
  )

const Composer = ({ state, actions }: Props): ComponentChild => {
  const box = useRef<HTMLTextAreaElement>(null)
  const active = activeIn(state)
  const length = Array.from(state.draft.trim()).length
  const isTooLong = length > greatestLength
  const send = () => {
    if (active === undefined && !isTooLong) actions.send()
    box.current?.focus()
  }
  useEffect(() => {
    // On a phone the keyboard would cover what there is to see.
    if (matchMedia("(hover: hover)").matches) box.current?.focus()
  }, [state.openId])
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    send()
  }
  return h(
    "form",
    {
      class: "composer",
      onSubmit: (event: Event) => {
        event.preventDefault()
        send()
      }
    },
    h("label", { for: "message", class: "unseen" }, "Message to the agent"),
    h("textarea", {
      id: "message",
      ref: box,
      rows: 1,
      placeholder: "Ask the agent",
      value: state.draft,
      autocomplete: "off",
      "aria-describedby": "message-hint",
      "aria-invalid": isTooLong,
      onInput: (event: Event & { readonly currentTarget: HTMLTextAreaElement }) =>
        actions.write(event.currentTarget.value),
      onKeyDown
    }),
    active === undefined
      ? h(
          "button",
          { type: "submit", class: "round", "aria-label": "Send", title: "Send", disabled: length === 0 || isTooLong },
          h(Icon, { name: "send" })
        )
      : h(
          "button",
          {
            type: "button",
            class: "round stop",
            "aria-label": "Stop",
            title: "Stop",
            disabled: !active.begun || active.phase === "stopping",
            onClick: () => void actions.stop(active)
          },
          h(Icon, { name: "stop" })
        ),
    h(
      "p",
      { id: "message-hint", class: isTooLong ? "hint wrong" : "hint" },
      isTooLong
        ? `${length - greatestLength} characters too many: shorten it to send it.`
        : active === undefined
          ? "Enter sends, Shift and Enter begins a new line."
          : "The agent is at work. What you write now can be sent when it is done."
    )
  )
}
