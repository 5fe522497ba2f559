import { type ComponentChild, h } from "preact"
import { useState } from "preact/hooks"
import { Icon, IconButton } from "./Elements.ts"
import type { SignedIn, State } from "./Store.ts"
import type { Task } from "./Wire.ts"

interface Props {
  readonly state: State
  readonly actions: SignedIn
}

/** The to-do list, as it is while the agent works on it. */
export const Tasks = ({ state, actions }: Props): ComponentChild => {
  const [hidden, hide] = useState(false)
  const { tasks, touched } = state
  const done = tasks.entries.filter((task) => task.completed).length
  const shown = hidden ? tasks.entries.filter((task) => !task.completed) : tasks.entries
  return h(
    "section",
    { class: "pane tasks", "aria-labelledby": "tasks-title" },
    h(
      "div",
      { class: "pane-head" },
      h("h2", { id: "tasks-title", tabIndex: -1 }, "Tasks"),
      done > 0 &&
        h(
          "button",
          { type: "button", class: "quiet small", "aria-pressed": hidden, onClick: () => hide(!hidden) },
          `Hide ${done} done`
        )
    ),
    h(NewTask, { actions }),
    tasks.loaded && tasks.entries.length === 0
      ? h("p", { class: "hint" }, "Nothing to do. Ask the agent to add a task, or add one here.")
      : h(
          "ul",
          { class: "rows" },
          shown.map((task) => h(Row, { key: task.id, task, isTouched: touched.has(task.id), actions }))
        ),
    tasks.cursor !== null &&
      h("button", { type: "button", class: "quiet wide", onClick: actions.moreTasks }, "Show more")
  )
}

const NewTask = ({ actions }: { readonly actions: SignedIn }): ComponentChild => {
  const [title, setTitle] = useState("")
  const add = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (title.trim() !== "" && (await actions.addTask(title.trim()))) setTitle("")
  }
  return h(
    "form",
    { class: "new-task", onSubmit: add },
    h("label", { for: "new-task", class: "unseen" }, "A new task"),
    h("input", {
      id: "new-task",
      placeholder: "Add a task",
      value: title,
      maxLength: 255,
      autocomplete: "off",
      onInput: (event: Event & { readonly currentTarget: HTMLInputElement }) => setTitle(event.currentTarget.value)
    }),
    h(
      "button",
      { type: "submit", class: "icon-button", "aria-label": "Add the task", title: "Add the task" },
      h(Icon, { name: "plus" })
    )
  )
}

const removeTask = async (task: Task, actions: SignedIn): Promise<void> => {
  // The button goes with its task, and the focus would with it.
  if (await actions.removeTask(task)) document.getElementById("tasks-title")?.focus()
}

const Row = ({
  task,
  isTouched,
  actions
}: {
  readonly task: Task
  readonly isTouched: boolean
  readonly actions: SignedIn
}): ComponentChild =>
  h(
    "li",
    { class: `row task${task.completed ? " done" : ""}${isTouched ? " touched" : ""}` },
    h(
      "label",
      null,
      h("input", {
        type: "checkbox",
        checked: task.completed,
        onChange: () => void actions.completeTask(task, !task.completed)
      }),
      h(
        "span",
        { class: "task-words" },
        h("span", { class: "task-title" }, task.title),
        task.description !== null && h("span", { class: "task-more" }, task.description)
      ),
      h("span", { class: "number" }, h("span", { class: "unseen" }, "task "), task.id)
    ),
    h(IconButton, { name: `Delete ${task.title}`, icon: "trash", onClick: () => void removeTask(task, actions) })
  )
