import { type ComponentChild, h } from "preact"
import { useState } from "preact/hooks"
import { Dialog, Icon, IconButton } from "./Elements.ts"
import type { SignedIn, State } from "./Store.ts"
import type { Conversation } from "./Wire.ts"

interface Props {
  readonly state: State
  readonly actions: SignedIn
}

interface Asked {
  readonly what: "rename" | "remove"
  readonly conversation: Conversation
}

/** The conversations, most recently active first. */
export const Conversations = ({ state, actions }: Props): ComponentChild => {
  const [asked, ask] = useState<Asked | undefined>()
  const { conversations, openId } = state
  return h(
    "nav",
    { class: "pane conversations", "aria-labelledby": "conversations-title" },
    h(
      "div",
      { class: "pane-head" },
      h("h2", { id: "conversations-title", tabIndex: -1 }, "Conversations"),
      h(
        "a",
        { href: "#", class: "button quiet small", onClick: () => actions.show("talk") },
        h(Icon, { name: "plus" }),
        "New"
      )
    ),
    conversations.loaded && conversations.entries.length === 0
      ? h("p", { class: "hint" }, "None yet. What you send first begins one.")
      : h(
          "ul",
          { class: "rows" },
          conversations.entries.map((conversation) =>
            h(Row, { key: conversation.id, conversation, isOpen: conversation.id === openId, actions, ask })
          )
        ),
    conversations.cursor !== null &&
      h("button", { type: "button", class: "quiet wide", onClick: actions.moreConversations }, "Show older ones"),
    asked?.what === "rename" &&
      h(Rename, { conversation: asked.conversation, actions, onClosed: () => ask(undefined) }),
    asked?.what === "remove" &&
      h(
        Dialog,
        {
          title: "Delete this conversation?",
          submit: "Delete",
          danger: true,
          onSubmit: () => void remove(asked.conversation, actions),
          onClosed: () => ask(undefined)
        },
        h(
          "p",
          null,
          `“${asked.conversation.title}” and all that was said in it will be gone. Your tasks stay as they are.`
        )
      )
  )
}

const remove = async ({ id }: Conversation, actions: SignedIn): Promise<void> => {
  // The button goes with its conversation, and the focus would with it.
  if (await actions.remove(id)) document.getElementById("conversations-title")?.focus()
}

const Row = ({
  conversation,
  isOpen,
  actions,
  ask
}: {
  readonly conversation: Conversation
  readonly isOpen: boolean
  readonly actions: SignedIn
  readonly ask: (asked: Asked) => void
}): ComponentChild =>
  h(
    "li",
    { class: isOpen ? "row open" : "row" },
    h(
      "a",
      { href: `#${conversation.id}`, "aria-current": isOpen ? "page" : undefined, onClick: () => actions.show("talk") },
      conversation.title
    ),
    h(IconButton, {
      name: `Rename ${conversation.title}`,
      icon: "pen",
      onClick: () => ask({ what: "rename", conversation })
    }),
    h(IconButton, {
      name: `Delete ${conversation.title}`,
      icon: "trash",
      onClick: () => ask({ what: "remove", conversation })
    })
  )

const Rename = ({
  conversation,
  actions,
  onClosed
}: {
  readonly conversation: Conversation
  readonly actions: SignedIn
  readonly onClosed: () => void
}): ComponentChild => {
  const [title, setTitle] = useState(conversation.title)
  return h(
    Dialog,
    {
      title: "Rename the conversation",
      submit: "Rename",
      onSubmit: () => void actions.rename(conversation.id, title.trim()),
      onClosed
    },
    h("label", { for: "conversation-name" }, "Its new name"),
    h("input", {
      id: "conversation-name",
      value: title,
      required: true,
      maxLength: 255,
      pattern: ".*\\S.*",
      autocomplete: "off",
      onInput: (event: Event & { readonly currentTarget: HTMLInputElement }) => setTitle(event.currentTarget.value)
    })
  )
}
