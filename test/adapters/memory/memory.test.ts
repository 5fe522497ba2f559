import { Layer } from "effect"
import * as MemoryConversationRepo from "../../../src/adapters/memory/MemoryConversationRepo.ts"
import * as MemoryStore from "../../../src/adapters/memory/MemoryStore.ts"
import * as MemoryTaskTools from "../../../src/adapters/memory/MemoryTaskTools.ts"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"

const adapters = Layer.mergeAll(MemoryConversationRepo.layer, MemoryTaskTools.layer).pipe(
  Layer.provide(MemoryStore.layer)
)

conversationRepoContract("memory", adapters)
taskToolsContract("memory", adapters)
