import { Context, Stream } from "effect"

/**
 * Tells at once that another instance has said something of turns (`ConversationRepo`): that somebody watches some, or what
 * some have told. Only a hint, which may be missing: whoever waits for such looks for it every so often anyway. It never ends.
 */
export const TurnNews = Context.Reference<Stream.Stream<"watched" | "told">>("turnkeeper/ports/TurnNews", {
  defaultValue: () => Stream.never
})
