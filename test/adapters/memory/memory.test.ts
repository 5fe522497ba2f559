import * as Memory from "../../../src/adapters/memory/Memory.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"
import { directCallRepoContract } from "../../contract/DirectCallRepo.ts"

ConversationRepoContract.suite("memory", Memory.layer)
TaskToolsContract.suite("memory", Memory.layer)
directCallRepoContract("memory", Memory.layer)
