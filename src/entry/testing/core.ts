/** The same for any other test runner: obligations to be run one by one, and fakes. */
export * as AuthContract from "../../testing/AuthObligations.ts"
export * as ConversationRepoContract from "../../testing/ConversationRepoObligations.ts"
export * as LLMContract from "../../testing/LLMObligations.ts"
export * as Obligation from "../../testing/Obligation.ts"
export * as ScriptedModel from "../../testing/ScriptedModel.ts"
export * as TaskToolsContract from "../../testing/TaskToolsObligations.ts"
