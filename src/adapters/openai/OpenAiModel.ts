import { Config, Effect, Layer, Redacted } from "effect"
import { APIConnectionError, type ClientOptions, OpenAI as Sdk } from "openai"
import {
  LLM,
  type OnText,
  type Prompt,
  type PromptMessage,
  type RequestedCall,
  type ToolDefinition
} from "../../ports/LLM.ts"
import { readAnswer } from "./answers.ts"
import { asModelFailed } from "./errors.ts"
import { pooledFetch } from "./pooledFetch.ts"
import { readStreamed } from "./streamed.ts"

/** Which model is asked, and how. */
export interface OpenAiOptions {
  readonly apiKey: Redacted.Redacted
  /** The model's name as the provider knows it. */
  readonly model: string
  /** Where the API is, with its version (`https://host/v1`); OpenAI's own by default. */
  readonly baseUrl?: string
  /** 0 to 2, by default 0.7; models that refuse it are not told. */
  readonly temperature?: number
  /** The greatest number of tokens that one answer may have, by default 1,000. */
  readonly maxTokens?: number
  /** Makes the HTTP requests; by default over a pool of the layer's own. It must obey its `signal` and `redirect`. */
  readonly fetch?: NonNullable<ClientOptions["fetch"]>
}

/**
 * The model behind OpenAI's Chat Completions, or behind any server that speaks it. Each `complete` is one HTTP request:
 * no retries and no deadline here, both are the domain's; interrupting ends the request.
 *
 * Building the layer cannot fail: a key or an address that no request can be made with is `misconfigured` when used.
 */
export const layer = (options: OpenAiOptions): Layer.Layer<LLM> =>
  Layer.effect(
    LLM,
    Effect.gen(function* () {
      const client = makeClient(options, options.fetch ?? (yield* pooledFetch))
      const toBody = bodyOf(options)

      const complete = (prompt: Prompt, onText?: OnText) =>
        Effect.clockWith((clock) =>
          Effect.tryPromise({
            try: (signal) =>
              onText === undefined
                ? post(client, toBody(prompt), signal, (response) => response.text())
                : post(client, { ...toBody(prompt), ...streamed }, signal, (response) =>
                    readStreamed(response, onText)
                  ),
            catch: (error) =>
              asModelFailed(error, {
                nowMillis: clock.currentTimeMillisUnsafe(),
                secret: Redacted.value(options.apiKey)
              })
          })
        ).pipe(Effect.flatMap(readAnswer), Effect.withSpan("OpenAiModel.complete", undefined, withoutTrace))

      return LLM.of({ complete })
    })
  )

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` where one is missing
 * there, or is wrong.
 */
export const layerConfig = (options: Config.Wrap<OpenAiOptions>): Layer.Layer<LLM, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/** Where a span began is known by its name: to find that out each time costs as much as a statement. */
const withoutTrace = { captureStackTrace: false } as const

type Body = Sdk.Chat.ChatCompletionCreateParamsNonStreaming
type StreamedBody = Sdk.Chat.ChatCompletionCreateParamsStreaming
type Message = Sdk.Chat.ChatCompletionMessageParam
type Tool = Sdk.Chat.ChatCompletionFunctionTool

/** How an answer is asked for piece by piece, with its usage behind the last one. */
const streamed = { stream: true, stream_options: { include_usage: true } } as const

const defaultBaseUrl = "https://api.openai.com/v1"

/** The longest that a timer of JavaScript can be, in milliseconds. */
const longestTimer = 2_147_483_647

/** The SDK's client without what it takes from the environment. Its own name is the user agent that the SDK sends. */
class OpenAI extends Sdk {
  constructor(options: ClientOptions) {
    super(options)
    // The SDK has put OPENAI_CUSTOM_HEADERS here, and has no option against it.
    this._options.defaultHeaders = undefined
  }
}

const makeClient = (options: OpenAiOptions, fetch: NonNullable<ClientOptions["fetch"]>): OpenAI =>
  new OpenAI({
    // As a function, since the SDK throws at once on an empty string; so the first request fails instead.
    apiKey: () => Promise.resolve(Redacted.value(options.apiKey)),
    baseURL: options.baseUrl ?? defaultBaseUrl,
    maxRetries: 0,
    timeout: longestTimer,
    // What is left out is read from OPENAI_ADMIN_KEY, OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_WEBHOOK_SECRET, OPENAI_LOG.
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    logLevel: "off",
    // A redirect is an error as any status: followed, the request would go without its body, or with the prompt to others.
    fetchOptions: { redirect: "manual" },
    fetch
  })

/**
 * One request, and the text of its answer. The SDK's own reading of answers is left out: it gives HTML as a string, and
 * a cut body, JSON that is none and an unusable key all as a `TypeError` or the like.
 */
const post = (
  client: OpenAI,
  body: Body | StreamedBody,
  signal: AbortSignal,
  read: (response: Response) => Promise<string>
): Promise<string> =>
  client.chat.completions
    .create(body, { signal })
    .asResponse()
    .then((response) =>
      read(response).catch((cause: unknown) => {
        throw new APIConnectionError({
          message: "The answer was cut.",
          cause: cause instanceof Error ? cause : undefined
        })
      })
    )

/** OpenAI's reasoning models, with a provider's prefix or fine-tuned too. They know neither `max_tokens` nor a temperature. */
const reasoning = /^(?:ft:|.*\/)?(?:o\d|gpt-5)/i

const bodyOf = ({ maxTokens = 1000, model, temperature = 0.7 }: OpenAiOptions): ((prompt: Prompt) => Body) => {
  const limits = reasoning.test(model) ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens, temperature }
  return (prompt) => ({
    model,
    ...limits,
    messages: [{ role: "system", content: prompt.system }, ...prompt.messages.map(toMessage)],
    // An empty list is refused.
    ...(prompt.tools.length > 0 ? { tools: prompt.tools.map(toTool) } : {})
  })
}

const toMessage = (message: PromptMessage): Message => {
  switch (message.role) {
    case "user":
      return { role: "user", content: message.content }
    case "tool":
      return { role: "tool", tool_call_id: message.toolCallId, content: message.content }
    case "assistant":
      // An empty list of calls is refused.
      return message.toolCalls.length === 0
        ? { role: "assistant", content: message.content }
        : {
            role: "assistant",
            content: message.content === "" ? null : message.content,
            tool_calls: message.toolCalls.map(toToolCall)
          }
  }
}

const toToolCall = (call: RequestedCall) => ({
  id: call.id,
  type: "function" as const,
  function: { name: call.name, arguments: call.arguments }
})

const toTool = (tool: ToolDefinition): Tool => ({
  type: "function",
  function: { name: tool.name, description: tool.description, parameters: tool.parameters }
})
