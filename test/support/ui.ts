import { AbstractChat, type ChatInit, type ChatState, type ChatStatus, type UIMessage } from "ai"

/** What a front end shows of a chat: the state that `useChat` keeps in React, without React. */
class ShownState implements ChatState<UIMessage> {
  status: ChatStatus = "ready"
  error: Error | undefined = undefined
  messages: Array<UIMessage>

  constructor(messages: Array<UIMessage>) {
    this.messages = messages
  }
  pushMessage = (message: UIMessage): void => {
    this.messages = [...this.messages, message]
  }
  popMessage = (): void => {
    this.messages = this.messages.slice(0, -1)
  }
  replaceMessage = (index: number, message: UIMessage): void => {
    this.messages = this.messages.with(index, structuredClone(message))
  }
  snapshot = <T>(thing: T): T => structuredClone(thing)
}

/** The chat of the AI SDK that `useChat` wraps. */
export class UiChat extends AbstractChat<UIMessage> {
  constructor({ messages = [], ...init }: ChatInit<UIMessage>) {
    super({ ...init, state: new ShownState(messages) })
  }
}
