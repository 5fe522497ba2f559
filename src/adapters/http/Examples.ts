import type { Conversation, Message } from "../../domain/model/Conversation.ts"
import type { Task } from "../../domain/model/Task.ts"
import type { Turn, TurnReply } from "../../domain/model/Turn.ts"
import {
  type Code,
  type InvalidProblem,
  type Problem,
  problemOf,
  shuttingDownWords,
  type TurnFailed
} from "./Problems.ts"
import type { UiMessage } from "./UiBodies.ts"

/*
 * One morning of the demo user, as the OpenAPI document tells it: "Buy groceries" is added in a conversation, another task
 * without one; the first is described and then done, and the conversation gets a name. The tests have the service give
 * each of these answers.
 */

/** A body as it is sent, under the name that it has in the document. */
export interface Example<Body = unknown> {
  readonly summary: string
  readonly value: Body
}

export const userId = "demo"
export const conversationId = "019bd5b2-7100-7a61-9c0e-5d3f2b8a4e17"
export const turnId = "019bd5b2-7100-7b02-8d4c-91e6a07f35c2"
export const idempotencyKey = "buy-groceries-1"

const demo = { id: userId, name: "Demo" }

const groceriesAdded: typeof Task.Encoded = {
  id: 1,
  title: "Buy groceries",
  description: null,
  completed: false,
  created_at: "2026-01-19T10:00:01.250Z",
  updated_at: "2026-01-19T10:00:01.250Z"
}

const groceriesDescribed: typeof Task.Encoded = {
  ...groceriesAdded,
  description: "Milk, bread and eggs",
  updated_at: "2026-01-19T10:01:30.500Z"
}

const groceriesDone: typeof Task.Encoded = {
  ...groceriesDescribed,
  completed: true,
  updated_at: "2026-01-19T10:02:16.000Z"
}

const parcelAdded: typeof Task.Encoded = {
  id: 2,
  title: "Pick up the parcel",
  description: "The shop closes at six",
  completed: false,
  created_at: "2026-01-19T10:01:00.000Z",
  updated_at: "2026-01-19T10:01:00.000Z"
}

const groceriesCall: (typeof TurnReply.Encoded)["tool_calls"][number] = {
  id: "019bd5b2-75e2-70c4-b7f8-6a1d3e5c9082",
  tool_name: "add_task",
  status: "success",
  arguments: { user_id: userId, title: "Buy groceries" },
  result: { success: true, task: groceriesAdded }
}

const firstReply: typeof TurnReply.Encoded = {
  conversation_id: conversationId,
  turn_id: turnId,
  message_id: "019bd5b2-786c-7f3d-a6b1-2c8e4d90f7a5",
  message: "I've added 'Buy groceries' to your list as task 1.",
  tool_calls: [groceriesCall],
  usage: { prompt_tokens: 1269, completion_tokens: 22, total_tokens: 1291 }
}

const secondReply: typeof TurnReply.Encoded = {
  conversation_id: conversationId,
  turn_id: "019bd5b4-8152-7c9a-8e07-b4f2d6a13c58",
  message_id: "019bd5b4-872e-7d15-9f4b-03c7e8b2a6d1",
  message: "I've marked 'Buy groceries' as complete.",
  tool_calls: [
    {
      id: "019bd5b4-8440-7e21-a5d9-c6f0b37e1842",
      tool_name: "complete_task",
      status: "success",
      arguments: { user_id: userId, task_id: 1 },
      result: { success: true, task: groceriesDone }
    }
  ],
  usage: { prompt_tokens: 1388, completion_tokens: 19, total_tokens: 1407 }
}

const firstTurn: typeof Turn.Encoded = {
  id: turnId,
  conversation_id: conversationId,
  status: "completed",
  tool_calls: firstReply.tool_calls,
  usage: firstReply.usage,
  failure: null,
  reply: firstReply
}

const stoppedReply: typeof TurnReply.Encoded = {
  ...firstReply,
  message: "I've added 'Buy groceries'",
  usage: { prompt_tokens: 618, completion_tokens: 12, total_tokens: 630 },
  stopped: true
}

const stoppedTurn: typeof Turn.Encoded = {
  ...firstTurn,
  status: "stopped",
  usage: stoppedReply.usage,
  reply: stoppedReply
}

const newConversation: typeof Conversation.Encoded = {
  id: conversationId,
  title: "Chat 2026-01-19 10:00",
  created_at: "2026-01-19T10:00:00.000Z",
  updated_at: "2026-01-19T10:00:01.900Z"
}

const said: ReadonlyArray<typeof Message.Encoded> = [
  {
    id: "019bd5b2-7100-7e8f-b3a2-7d5c1f06e94b",
    seq: 1,
    turn_id: firstReply.turn_id,
    turn_status: "completed",
    role: "user",
    content: "Add a task to buy groceries",
    tool_calls: [],
    created_at: "2026-01-19T10:00:00.000Z"
  },
  {
    id: firstReply.message_id,
    seq: 2,
    turn_id: firstReply.turn_id,
    turn_status: "completed",
    role: "assistant",
    content: firstReply.message,
    tool_calls: firstReply.tool_calls,
    created_at: "2026-01-19T10:00:01.900Z"
  }
]

/** The id that a front end gave the first message, where it came from one. */
export const uiMessageId = "kY3mTqWz8hRcVb2N"

const uiMetadata = {
  conversation_id: conversationId,
  turn_id: turnId,
  turn_status: "completed",
  created_at: "2026-01-19T10:00:00.000Z"
} as const

const uiSaid: ReadonlyArray<UiMessage> = [
  {
    id: uiMessageId,
    role: "user",
    metadata: uiMetadata,
    parts: [{ type: "text", text: "Add a task to buy groceries", state: "done" }]
  },
  {
    id: turnId,
    role: "assistant",
    metadata: { ...uiMetadata, created_at: "2026-01-19T10:00:01.900Z" },
    parts: [
      { type: "step-start" },
      {
        type: "tool-add_task",
        toolCallId: groceriesCall.id,
        state: "output-available",
        input: groceriesCall.arguments,
        output: groceriesCall.result
      },
      { type: "step-start" },
      { type: "text", text: firstReply.message, state: "done" }
    ]
  }
]

/** Where the next page of each list would begin. */
export const cursors = {
  conversations: "eyJ1cGRhdGVkQXQiOjE3Njg4MTY4MDE5MDAsImlkIjoiMDE5YmQ1YjItNzEwMC03YTYxLTljMGUtNWQzZjJiOGE0ZTE3In0",
  messages: "eyJzZXEiOjJ9",
  uiMessages: "eyJzZXEiOjF9",
  tasks: "eyJpZCI6Mn0"
}

const event = (name: string, data: object, id: string) => `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`

const { result: _, status: __, ...firstCall } = groceriesCall

/** The first answer as a stream of events. */
export const eventStreams: { readonly [name: string]: Example<string> } = {
  WithTool: {
    summary: "A tool is used, and the reply made piece by piece",
    value: [
      event("begun", { conversation_id: firstReply.conversation_id, turn_id: firstReply.turn_id }, "1.0.0"),
      event("tool_call_begun", firstCall, "1.0.1"),
      event("tool_call_done", groceriesCall, "1.0.2"),
      event("step_done", { step: 1 }, "1.1.0"),
      event("text", { text: "I've added 'Buy groceries'" }, "1.1.26"),
      event("text", { text: " to your list as task 1." }, "1.1.50"),
      event("completed", firstReply, "1.1.51")
    ].join("")
  }
}

const chunk = (data: object) => `data: ${JSON.stringify(data)}\n\n`

/** The first answer as a front end made with the AI SDK reads it. */
export const uiStreams: { readonly [name: string]: Example<string> } = {
  WithTool: {
    summary: "A tool is used, and the reply made piece by piece",
    value: [
      chunk({
        type: "start",
        messageId: turnId,
        messageMetadata: { conversation_id: conversationId, turn_id: turnId, turn_status: "running" }
      }),
      chunk({ type: "start-step" }),
      chunk({
        type: "tool-input-available",
        toolCallId: groceriesCall.id,
        toolName: groceriesCall.tool_name,
        input: groceriesCall.arguments
      }),
      chunk({ type: "tool-output-available", toolCallId: groceriesCall.id, output: groceriesCall.result }),
      chunk({ type: "finish-step" }),
      chunk({ type: "start-step" }),
      chunk({ type: "text-start", id: "text-1" }),
      chunk({ type: "text-delta", id: "text-1", delta: "I've added 'Buy groceries'" }),
      chunk({ type: "text-delta", id: "text-1", delta: " to your list as task 1." }),
      chunk({ type: "text-end", id: "text-1" }),
      chunk({ type: "finish-step" }),
      chunk({
        type: "finish",
        finishReason: "stop",
        messageMetadata: { turn_status: "completed", message_id: firstReply.message_id, usage: firstReply.usage }
      }),
      "data: [DONE]\n\n"
    ].join("")
  }
}

/** The bodies that requests have. */
export const requests = {
  ui: {
    NewChat: {
      summary: "Starts a chat",
      value: {
        id: conversationId,
        messages: [{ id: uiMessageId, role: "user", parts: [{ type: "text", text: "Add a task to buy groceries" }] }]
      }
    }
  },
  chat: {
    NewConversation: { summary: "Starts a conversation", value: { message: "Add a task to buy groceries" } },
    SameConversation: {
      summary: "Goes on with it",
      value: { message: "Mark task 1 as done", conversation_id: conversationId }
    }
  },
  rename: { Rename: { summary: "A title that says more than the time", value: { title: "Groceries" } } },
  newTask: {
    Parcel: {
      summary: "Another task",
      value: { title: "Pick up the parcel", description: "The shop closes at six" }
    }
  },
  taskPatch: { Describe: { summary: "Says more about it", value: { description: "Milk, bread and eggs" } } }
} as const

/** The bodies that answers have when all is well. */
export const answers = {
  reply: {
    NewConversation: { summary: "A task was added", value: firstReply },
    SameConversation: { summary: "A task was completed", value: secondReply }
  },
  me: { Demo: { summary: "The demo user", value: demo } },
  turn: { Completed: { summary: "It is complete", value: firstTurn } },
  stopped: { Stopped: { summary: "It was stopped in the midst of its reply", value: stoppedTurn } },
  conversations: {
    Conversations: {
      summary: "One conversation",
      value: { data: [newConversation], has_more: false, next_cursor: null }
    }
  },
  conversation: { Conversation: { summary: "As the service called it", value: newConversation } },
  renamed: {
    Renamed: {
      summary: "As the user calls it",
      value: { ...newConversation, title: requests.rename.Rename.value.title }
    }
  },
  messages: {
    Messages: { summary: "What was said first", value: { data: said, has_more: true, next_cursor: cursors.messages } }
  },
  uiMessages: {
    Messages: {
      summary: "What was said first",
      value: { data: uiSaid, has_more: true, next_cursor: cursors.uiMessages }
    }
  },
  tasks: {
    Tasks: { summary: "Two tasks", value: { data: [groceriesAdded, parcelAdded], has_more: false, next_cursor: null } }
  },
  newTask: { Parcel: { summary: "Another task", value: parcelAdded } },
  task: { Groceries: { summary: "The task that the agent added", value: groceriesAdded } },
  described: { Described: { summary: "The same task, described", value: groceriesDescribed } },
  health: { Healthy: { summary: "All is well", value: { status: "ok" } } }
} as const

/** The id of the requests that went wrong. */
const requestId = "3f1c9a52-8d07-4e6b-b1d4-6c0a7e2f9583"

const is = <const C extends Code>(summary: string, code: C, detail: string): Example<Problem<C>> => ({
  summary,
  value: problemOf(code, detail, requestId)
})

const invalid = (summary: string, path: string, message: string): Example<InvalidProblem> => ({
  summary,
  value: { ...problemOf("invalid_request", `${path}: ${message}`, requestId), errors: [{ path, message }] }
})

const failed = (
  summary: string,
  code: "model_failed" | "step_limit" | "abandoned",
  detail: string,
  retryable: boolean
): Example<typeof TurnFailed.Encoded> => ({
  summary,
  value: {
    ...problemOf(code, detail, requestId),
    conversation_id: conversationId,
    turn_id: firstReply.turn_id,
    tool_calls: firstReply.tool_calls,
    usage: { prompt_tokens: 618, completion_tokens: 12, total_tokens: 630 },
    retryable
  }
})

const finalWords = "It will not be tried again under this Idempotency-Key."

/** What may go wrong, each under its name. */
export const wrong = {
  MissingHost: invalid("A request without a Host", "host", "Missing key"),
  InvalidUserId: invalid("A user id that cannot be one", "user_id", "Expected 1 to 128 characters of A-Z a-z 0-9 _ -"),
  InvalidConversationId: invalid("A conversation id that cannot be one", "conversation_id", "Expected a UUID"),
  InvalidChatId: invalid(
    "A chat id that cannot be one",
    "chat_id",
    "Expected 1 to 255 characters (Unicode code points)"
  ),
  InvalidTurnId: invalid("A turn id that cannot be one", "turn_id", "Expected a UUID"),
  InvalidEventId: invalid("A Last-Event-ID that is none", "last-event-id", "Expected the id of an event"),
  InvalidTaskId: invalid("A task number that cannot be one", "task_id", "Expected a whole number from 1 to 2147483647"),
  InvalidLimit: invalid("A page that would be too long", "limit", "Expected a whole number from 1 to 200"),
  InvalidConversationLimit: invalid("A page that would be too long", "limit", "Expected a whole number from 1 to 100"),
  InvalidMessage: invalid(
    "An empty message",
    "message",
    "Expected 1 to 2000 characters (Unicode code points) after trimming"
  ),
  InvalidUiMessage: invalid("No message of the user's", "messages", "Expected a message of the user's, with its parts"),
  InvalidTitle: invalid("No title", "title", "Expected 1 to 255 characters (Unicode code points) after trimming"),
  InvalidPatch: invalid("Nothing to change", "body", "Expected at least one of title, description, completed"),
  NoToken: is("No token", "unauthorized", "No bearer token was sent."),
  InvalidToken: is("A token that is not valid", "unauthorized", "The token is unknown, expired, revoked or malformed."),
  Forbidden: is("Another user's path", "forbidden", "The path's user is not the token's user."),
  NoSuchConversation: is("No such conversation", "not_found", "There is no such conversation."),
  NoSuchTask: is("No such task", "not_found", "There is no such task."),
  NoSuchTurn: is("No such turn", "not_found", "There is no such turn."),
  ConversationBusy: is("Another turn is running", "conversation_busy", "Another turn of this conversation is running."),
  TurnInProgress: is("This turn is running", "turn_in_progress", "The turn under this key is still running."),
  TooManyConversations: is(
    "No room for another conversation",
    "limit_reached",
    "The limit of 10000 conversations is reached: delete one first."
  ),
  TooManyTasks: is(
    "No room for another task",
    "limit_reached",
    "The limit of 10000 tasks is reached: delete one first."
  ),
  PayloadTooLarge: is("Too large a body", "payload_too_large", "The body is larger than 64 KiB."),
  ChatTooLarge: is("Too large a body", "payload_too_large", "The body is larger than 1 MiB."),
  UnsupportedMediaType: is(
    "A body that is not JSON",
    "unsupported_media_type",
    "The body must be `application/json` in UTF-8, and be declared as that."
  ),
  IdempotencyKeyReused: is(
    "The key of another request",
    "idempotency_key_reused",
    "This Idempotency-Key was used with another request."
  ),
  RateLimited: is("Too many turns", "rate_limited", "Too many turns were begun within a minute."),
  TooManyTurns: is("Too many turns at once", "rate_limited", "As many turns are running as may at once."),
  Internal: is("A bug", "internal", "The cause is in the log, under this request id."),
  ModelFailed: failed(
    "The model failed after a tool call",
    "model_failed",
    "The language model did not answer in time. Send the request again under the same Idempotency-Key to go on from here.",
    true
  ),
  StepLimit: failed(
    "The agent went in circles",
    "step_limit",
    `The agent did not come to an end within its limit of steps. ${finalWords}`,
    false
  ),
  Abandoned: failed(
    "The turn was given up",
    "abandoned",
    `The turn was attempted too often without coming to an end. ${finalWords}`,
    false
  ),
  StorageUnavailable: is(
    "The database is out of reach",
    "unavailable",
    "The database is out of reach. What was asked may or may not have happened."
  ),
  AuthUnavailable: is("Nobody can tell", "unavailable", "Nobody can tell at the moment whose token this is."),
  ShuttingDown: is("The instance is shutting down", "unavailable", shuttingDownWords)
} as const satisfies Record<string, Example>

/** The name of something that may go wrong. */
export type Wrong = keyof typeof wrong

/** What it is of each status that is the same for every operation. */
export const usuallyWrong: { readonly [status: string]: ReadonlyArray<Wrong> } = {
  401: ["NoToken", "InvalidToken"],
  403: ["Forbidden"],
  409: ["ConversationBusy", "TurnInProgress"],
  413: ["PayloadTooLarge"],
  415: ["UnsupportedMediaType"],
  422: ["IdempotencyKeyReused", "TooManyConversations"],
  429: ["RateLimited", "TooManyTurns"],
  500: ["Internal"],
  502: ["ModelFailed", "StepLimit", "Abandoned"],
  503: ["StorageUnavailable", "ShuttingDown"]
}
