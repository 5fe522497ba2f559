/**
 * The domain and its ports: what happens in a turn, on whatever store, model and tools it is given.
 *
 * Each export is a module: `Chat.Chat` is the service, `Chat.layer` what builds it.
 *
 * @module turnkeeper
 */
export * as Agent from "../domain/Agent.ts"
export * as Chat from "../domain/Chat.ts"
export * as DirectCalls from "../domain/DirectCalls.ts"
export * as Conversation from "../domain/model/Conversation.ts"
export * as Errors from "../domain/model/Errors.ts"
export * as Task from "../domain/model/Task.ts"
export * as Turn from "../domain/model/Turn.ts"
export * as User from "../domain/model/User.ts"
export * as Settings from "../domain/Settings.ts"
export * as TaskToolset from "../domain/TaskToolset.ts"
export * as Tool from "../domain/Tool.ts"
export * as Tools from "../domain/Tools.ts"
export * as TurnEvents from "../domain/TurnEvents.ts"
export * as TurnFeed from "../domain/TurnFeed.ts"
export * as Turnkeeper from "../domain/Turnkeeper.ts"
export * as Turns from "../domain/Turns.ts"
export * as Auth from "../ports/Auth.ts"
export * as ConversationRepo from "../ports/ConversationRepo.ts"
export * as DirectCallRepo from "../ports/DirectCallRepo.ts"
export * as LLM from "../ports/LLM.ts"
export * as TaskTools from "../ports/TaskTools.ts"
export * as TurnNews from "../ports/TurnNews.ts"
