import { type ComponentChild, type ComponentChildren, h } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"

type Renderer = (text: string) => DocumentFragment

let renderer: Renderer | undefined

/** Text of the model: as it stands until what renders Markdown has been loaded. */
export const Prose = ({ text }: { readonly text: string }): ComponentChild => {
  const element = useRef<HTMLDivElement>(null)
  const [ready, setReady] = useState(renderer !== undefined)
  useEffect(() => {
    if (renderer !== undefined) return
    let here = true
    import("./Markdown.ts").then(
      (module) => {
        renderer = module.render
        if (here) setReady(true)
      },
      // The text is there to be read as it is.
      () => undefined
    )
    return () => {
      here = false
    }
  }, [])
  // Before it is painted, or it would be gone for a moment each time.
  useLayoutEffect(() => {
    if (renderer !== undefined) element.current?.replaceChildren(renderer(text))
  }, [text, ready])
  return h("div", { class: ready ? "prose" : "prose plain", ref: element }, ready ? null : text)
}

const icons = {
  check: "m4 10.5 4 4 8-9",
  chevron: "m7 4 6 6-6 6",
  cross: "m5 5 10 10M15 5 5 15",
  pen: "m4 16 1-4 8-8 3 3-8 8-4 1Z",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4M4.5 9.5 10 4l5.5 5.5",
  stop: "M5 5h10v10H5z",
  trash: "M4 6h12M8 6V4h4v2M6 6l1 10h6l1-10"
}

/** A sign for those who see it; what it means is said beside it. */
export const Icon = ({ name }: { readonly name: keyof typeof icons }): ComponentChild =>
  h(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" },
    h("path", { d: icons[name], class: name === "stop" ? "filled" : undefined })
  )

/** A button that shows a sign alone, and is called by its name. */
export const IconButton = (props: {
  readonly name: string
  readonly icon: keyof typeof icons
  readonly class?: string
  readonly onClick: () => void
}): ComponentChild =>
  h(
    "button",
    {
      type: "button",
      class: `icon-button ${props.class ?? ""}`,
      "aria-label": props.name,
      title: props.name,
      onClick: props.onClick
    },
    h(Icon, { name: props.icon })
  )

/** A question that is answered before anything else. Escape closes it, and the focus goes back where it was. */
export const Dialog = (props: {
  readonly title: string
  readonly submit: string
  readonly danger?: boolean
  readonly onSubmit: () => void
  readonly onClosed: () => void
  readonly children?: ComponentChildren
}): ComponentChild => {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => element.current?.showModal(), [])
  return h(
    "dialog",
    { ref: element, "aria-labelledby": "dialog-title", onClose: props.onClosed },
    h(
      "form",
      {
        onSubmit: (event: Event) => {
          event.preventDefault()
          element.current?.close()
          props.onSubmit()
        }
      },
      h("h2", { id: "dialog-title" }, props.title),
      props.children,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "quiet", onClick: () => element.current?.close() }, "Cancel"),
        h("button", { type: "submit", class: props.danger === true ? "danger" : "primary" }, props.submit)
      )
    )
  )
}
