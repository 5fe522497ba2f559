import * as Memory from "../../../src/adapters/memory/Memory.ts"
import { conversationRepoContract } from "../../../src/testing/ConversationRepoContract.ts"
import { taskToolsContract } from "../../../src/testing/TaskToolsContract.ts"

conversationRepoContract("memory", Memory.layer)
taskToolsContract("memory", Memory.layer)
