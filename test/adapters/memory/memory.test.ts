import * as Memory from "../../../src/adapters/memory/Memory.ts"
import * as ConversationRepoContract from "../../../src/testing/ConversationRepoContract.ts"
import * as DirectCallRepoContract from "../../../src/testing/DirectCallRepoContract.ts"
import * as TaskToolsContract from "../../../src/testing/TaskToolsContract.ts"

ConversationRepoContract.suite("memory", Memory.layer)
TaskToolsContract.suite("memory", Memory.layer)
DirectCallRepoContract.suite("memory", Memory.layer)
