/** Models behind the Chat Completions of OpenAI, or of whoever speaks them. */
export * as OpenAiModel from "../adapters/openai/OpenAiModel.ts"
