import * as Memory from "../../../src/adapters/memory/Memory.ts"
import { conversationRepoContract } from "../../contract/ConversationRepo.ts"
import { directCallRepoContract } from "../../contract/DirectCallRepo.ts"
import { taskToolsContract } from "../../contract/TaskTools.ts"

conversationRepoContract("memory", Memory.layer)
directCallRepoContract("memory", Memory.layer)
taskToolsContract("memory", Memory.layer)
