import { Layer } from "effect"
import type { ConversationRepo } from "../../ports/ConversationRepo.ts"
import type { DirectCallRepo } from "../../ports/DirectCallRepo.ts"
import type { TaskTools } from "../../ports/TaskTools.ts"
import * as MemoryConversationRepo from "./MemoryConversationRepo.ts"
import * as MemoryDirectCallRepo from "./MemoryDirectCallRepo.ts"
import * as MemoryStore from "./MemoryStore.ts"
import * as MemoryTaskTools from "./MemoryTaskTools.ts"

/** Conversations and tasks in one store in memory, which is gone with the layer. */
export const layer: Layer.Layer<ConversationRepo | DirectCallRepo | TaskTools> = Layer.mergeAll(
  MemoryConversationRepo.layer,
  MemoryDirectCallRepo.layer,
  MemoryTaskTools.layer
).pipe(Layer.provide(MemoryStore.layer))
