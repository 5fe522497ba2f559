/**
 * Models behind the Chat Completions of OpenAI, or of whoever speaks them.
 *
 * @module turnkeeper/openai
 */
export * as OpenAiModel from "../adapters/openai/OpenAiModel.ts"
