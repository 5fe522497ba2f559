import { Layer } from "effect"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { LLM } from "../ports/LLM.ts"
import type { TaskTools } from "../ports/TaskTools.ts"
import * as Agent from "./Agent.ts"
import * as Chat from "./Chat.ts"
import * as Tools from "./Tools.ts"
import * as TurnFeed from "./TurnFeed.ts"
import * as Turns from "./Turns.ts"

/**
 * The whole domain on whatever ports and tools it is given, under the `Settings` in force. When it is closed, running turns get
 * their grace period to end, and what is left is handed back to other instances.
 */
export const layerWithoutTools: Layer.Layer<
  Chat.Chat | TurnFeed.TurnFeed | Turns.Turns,
  never,
  ConversationRepo | LLM | Tools.Tools
> = Layer.merge(Chat.layer, TurnFeed.layer).pipe(Layer.provideMerge(Turns.layer), Layer.provide(Agent.layer))

/** The same with the five tools that keep a to-do list. */
export const layer: Layer.Layer<
  Chat.Chat | TurnFeed.TurnFeed | Turns.Turns,
  never,
  ConversationRepo | LLM | TaskTools
> = layerWithoutTools.pipe(Layer.provide(Tools.layer))
