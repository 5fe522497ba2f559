/**
 * The same for any other test runner: obligations to be run one by one, and fakes.
 *
 * @module turnkeeper/testing/core
 */
export * as AuthContract from "../../testing/AuthObligations.ts"
export * as ConversationRepoContract from "../../testing/ConversationRepoObligations.ts"
export * as DirectCallRepoContract from "../../testing/DirectCallRepoObligations.ts"
export * as Faults from "../../testing/Faults.ts"
export * as LLMContract from "../../testing/LLMObligations.ts"
export * as MemoryTurnNews from "../../testing/MemoryTurnNews.ts"
export * as Obligation from "../../testing/Obligation.ts"
export * as ScriptedModel from "../../testing/ScriptedModel.ts"
export * as Simulation from "../../testing/Simulation.ts"
export * as TaskToolsContract from "../../testing/TaskToolsObligations.ts"
export * as TurnNewsContract from "../../testing/TurnNewsObligations.ts"
