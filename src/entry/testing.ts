/**
 * What tells the author of an adapter whether it is right, and fakes for tests, under vitest.
 *
 * @module turnkeeper/testing
 */
export * as AuthContract from "../testing/AuthContract.ts"
export * as Contract from "../testing/Contract.ts"
export * as ConversationRepoContract from "../testing/ConversationRepoContract.ts"
export * as DirectCallRepoContract from "../testing/DirectCallRepoContract.ts"
export * as Faults from "../testing/Faults.ts"
export * as LLMContract from "../testing/LLMContract.ts"
export * as MemoryTurnNews from "../testing/MemoryTurnNews.ts"
export * as Obligation from "../testing/Obligation.ts"
export * as ScriptedModel from "../testing/ScriptedModel.ts"
export * as Simulation from "../testing/SimulationSuite.ts"
export * as TaskToolsContract from "../testing/TaskToolsContract.ts"
export * as TurnNewsContract from "../testing/TurnNewsContract.ts"
