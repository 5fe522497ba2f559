import { Context, Schema, SchemaGetter } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { StoredArray, StoredText } from "../../domain/model/Bounds.ts"
import { Conversation, ConversationTitle, Message, MessageText } from "../../domain/model/Conversation.ts"
import { Task, TaskDescription, TaskStatus, TaskTitle } from "../../domain/model/Task.ts"
import { Turn, TurnReply } from "../../domain/model/Turn.ts"
import type { User } from "../../domain/model/User.ts"
import { describeDocument, eventStreamWords, type Shown, showExamples, uiStreamWords } from "./Document.ts"
import { answers, type Example, eventStreams, requests, uiStreams } from "./Examples.ts"
import {
  ChatIdParam,
  ConversationCursor,
  ConversationIdParam,
  documentedText,
  IdempotencyKeyHeader,
  LastEventIdHeader,
  limitParam,
  MessageCursor,
  TaskCursor,
  TaskIdParam,
  TurnIdParam,
  UserIdParam
} from "./Parameters.ts"
import {
  Conflict,
  Forbidden,
  IdempotencyKeyReused,
  Internal,
  InvalidRequest,
  LimitReached,
  NotFound,
  PayloadTooLarge,
  RateLimited,
  TurnFailed,
  Unauthorized,
  Unavailable,
  UnsupportedMediaType
} from "./Problems.ts"
import { LastMessage, sentMessage, UiMessage, uiMessageLimits } from "./UiBodies.ts"

/** Whose token was sent, and whose path it is: a handler learns of a user in no other way. */
export class CurrentUser extends Context.Service<CurrentUser, User>()("turnkeeper/adapters/http/Api/CurrentUser") {}

const bearer = HttpApiSecurity.annotate(
  HttpApiSecurity.bearer,
  OpenApi.Description,
  "The token that the user got where users sign in"
)

/** Gives a request the id that its problems and logs have, where nothing around the routes has done so. */
export class Identified extends HttpApiMiddleware.Service<Identified>()("turnkeeper/adapters/http/Api/Identified") {}

/**
 * Lets people to their own paths only. Whoever signs them in goes around it: what needs a `CurrentUser` that no middleware
 * provides does not compile.
 */
export class OwnPath extends HttpApiMiddleware.Service<OwnPath, { requires: CurrentUser }>()(
  "turnkeeper/adapters/http/Api/OwnPath",
  { error: [Forbidden, InvalidRequest] }
) {}

/** Lets those through whose token is valid. An application that signs its users in otherwise has a middleware of its own instead. */
export class Authentication extends HttpApiMiddleware.Service<Authentication, { provides: CurrentUser }>()(
  "turnkeeper/adapters/http/Api/Authentication",
  { requiredForClient: true, security: { bearer }, error: [Unauthorized, Unavailable] }
) {}

/** Lets one user keep so much of an instance busy, and no more: the rest of what that user asks for waits in its order. */
export class FairShare extends HttpApiMiddleware.Service<FairShare, { requires: CurrentUser }>()(
  "turnkeeper/adapters/http/Api/FairShare",
  { error: Unavailable }
) {}

/** Refuses bodies that are not JSON in UTF-8 of at most 64 KiB. */
export class JsonBody extends HttpApiMiddleware.Service<JsonBody>()("turnkeeper/adapters/http/Api/JsonBody", {
  error: [InvalidRequest, PayloadTooLarge, UnsupportedMediaType]
}) {}

/** The same with a chat of up to 1 MiB. */
export class ChatBody extends HttpApiMiddleware.Service<ChatBody>()("turnkeeper/adapters/http/Api/ChatBody", {
  error: [InvalidRequest, PayloadTooLarge, UnsupportedMediaType]
}) {}

/** Tells of each value that does not fit its schema. */
export class ValidRequest extends HttpApiMiddleware.Service<ValidRequest>()(
  "turnkeeper/adapters/http/Api/ValidRequest",
  {
    error: [InvalidRequest, Internal]
  }
) {}

/** Gives a schema a name of its own in the OpenAPI document, and tells what it is there and where it is answered. */
const named = <S extends Schema.Top>(identifier: string, description: string, schema: S) =>
  schema.pipe(Schema.annotateEncoded({ identifier }), Schema.annotate({ description }))

const page = <S extends Schema.Top, P extends Schema.Top>(
  identifier: string,
  entry: S,
  position: P,
  { maximum }: { readonly maximum: number }
) =>
  Schema.Struct({
    data: StoredArray(entry, { maxItems: maximum }),
    hasMore: Schema.Boolean,
    nextCursor: Schema.NullOr(position)
  }).pipe(
    Schema.encodeKeys({ hasMore: "has_more", nextCursor: "next_cursor" }),
    Schema.annotateEncoded({ identifier: `${identifier}Page` }),
    Schema.annotate({ description: "A page of the list; `next_cursor` is where the next one begins, if there is one" })
  )

const ConversationBody = named("Conversation", "A talk between the user and the agent", Conversation)
const MessageBody = named("Message", "What was said, by the user or by the agent", Message)
const TaskBody = named("Task", "An entry of the user's to-do list", Task)
const TurnReplyBody = named("TurnReply", "The turn is over: what the agent says, and which tools it used", TurnReply)

const UserBody = named("User", "Whose token it is", Schema.Struct({ id: UserIdParam, name: Schema.String }))

const TurnBody = named("Turn", "A turn as it stands: with the answer, or with why it failed", Turn)

const gone = HttpApiSchema.NoContent.annotate({ description: "It is gone, and there is nothing to tell" })

const operation = (identifier: string, summary: string, description: string, shown: Shown) =>
  OpenApi.annotations({ identifier, summary, description, transform: showExamples(shown) })

/** Examples of a body, which has this schema. */
const of = <S extends Schema.Top>(_: S, examples: { readonly [name: string]: Example<S["Encoded"]> }) => examples

// The names of the wire: the keys would be renamed only when every value fits, and then the first step's issues alone are told.
const ChatRequestBody = Schema.Struct({
  message: documentedText("What the user says", { minLength: 1, maxLength: 2000 }).pipe(Schema.decodeTo(MessageText)),
  conversation_id: Schema.optionalKey(Schema.NullOr(ConversationIdParam))
})

const chatShown: Shown = {
  request: of(ChatRequestBody, requests.chat),
  answer: of(TurnReplyBody, answers.reply),
  events: eventStreams,
  wrong: { 400: ["InvalidMessage"], 404: ["NoSuchConversation"] }
}

/** One turn. The seeds know it under two paths, which are one operation. */
const chatAt = <const Id extends string, const Path extends `/${string}`>(id: Id, path: Path) =>
  HttpApiEndpoint.post(id, path, {
    params: { user_id: UserIdParam },
    headers: { "idempotency-key": Schema.optionalKey(IdempotencyKeyHeader) },
    payload: ChatRequestBody,
    success: HttpApiSchema.WithHeaders(TurnReplyBody, {
      "idempotency-replayed": Schema.optionalKey(
        Schema.Literal("true").annotate({ description: "This is the answer to an earlier request under the same key" })
      )
    }),
    error: [NotFound, Conflict, IdempotencyKeyReused, LimitReached, RateLimited, TurnFailed, Unavailable]
  }).middleware(JsonBody)

const ChatGroup = HttpApiGroup.make("agentChat")
  .add(
    chatAt("send", "/api/v1/users/:user_id/chat").annotateMerge(
      operation(
        "sendMessage",
        "Send a message to the agent",
        "One turn: the agent reads the message, works on the user's tasks, and answers. Without `conversation_id` a " +
          "conversation is started. With an `Idempotency-Key` the request can be sent again safely, however it ended. With " +
          "`Accept: text/event-stream` the answer is a stream of what happens, with the reply as it is made.",
        chatShown
      )
    ),
    chatAt("sendAlias", "/api/:user_id/chat").annotateMerge(
      operation("sendMessageAlias", "Send a message to the agent", "The same operation under another path.", chatShown)
    )
  )
  .middleware(ValidRequest)
  .middleware(OwnPath)
  .annotateMerge(OpenApi.annotations({ title: "Agent chat", description: "Talking to the agent." }))

/** What the AI SDK's `DefaultChatTransport` sends, in so far as it counts. */
const UiRequestBody = Schema.Struct({ id: ChatIdParam, messages: LastMessage })

const UiStreamBody = Schema.String.annotate({ description: uiStreamWords }).pipe(
  HttpApiSchema.asText({ contentType: "text/event-stream" })
)

const nothingRuns = HttpApiSchema.NoContent.annotate({ description: "Nothing runs in this chat" })

const UiMessagesBody = page(
  "UiMessage",
  named("UiMessage", "What was said, as the AI SDK has it", UiMessage),
  MessageCursor,
  {
    // Of a turn without a reply there are two.
    maximum: 2 * uiMessageLimits.maximum
  }
)

const chatParams = { user_id: UserIdParam, chat_id: ChatIdParam }

/** What may go wrong with the id of a chat. */
const ofChat: Shown["wrong"] = { 400: ["InvalidChatId"] }

const UiGroup = HttpApiGroup.make("agentUi")
  .add(
    HttpApiEndpoint.post("send", "/api/v1/users/:user_id/chat/ui", {
      params: { user_id: UserIdParam },
      headers: { "idempotency-key": Schema.optionalKey(IdempotencyKeyHeader) },
      payload: UiRequestBody,
      success: UiStreamBody,
      error: [NotFound, Conflict, IdempotencyKeyReused, LimitReached, RateLimited, TurnFailed, Unavailable]
    })
      .middleware(ChatBody)
      .annotateMerge(
        operation(
          "sendUiMessage",
          "Send a message from a front end made with the AI SDK",
          "What `useChat` sends, and how it is answered. The chat is the conversation of its id, which is started when there " +
            "is none. Only the user's last message counts; its id makes it safe to be sent again, as an `Idempotency-Key` " +
            "would, so that `regenerate` goes on with a turn that failed.",
          {
            request: of(UiRequestBody, requests.ui),
            entries: { messages: sentMessage },
            events: uiStreams,
            eventWords: uiStreamWords,
            wrong: { 400: ["InvalidUiMessage"], 404: ["NoSuchConversation"], 413: ["ChatTooLarge"] }
          }
        )
      ),
    HttpApiEndpoint.get("resume", "/api/v1/users/:user_id/chat/ui/:chat_id/stream", {
      params: chatParams,
      success: [UiStreamBody, nothingRuns],
      error: Unavailable
    })
      .middleware(FairShare)
      .annotateMerge(
        operation(
          "resumeUiMessage",
          "The turn of a chat that runs, from its beginning",
          "For a front end that was reloaded or has lost its connection: where `useChat` looks for it.",
          { events: uiStreams, eventWords: uiStreamWords, wrong: ofChat }
        )
      ),
    HttpApiEndpoint.get("messages", "/api/v1/users/:user_id/chat/ui/:chat_id/messages", {
      params: chatParams,
      query: { limit: limitParam(uiMessageLimits), after: Schema.optionalKey(MessageCursor) },
      success: UiMessagesBody,
      error: Unavailable
    })
      .middleware(FairShare)
      .annotateMerge(
        operation(
          "listUiMessages",
          "A chat's messages as the AI SDK has them",
          "The newest of them, the oldest of those first: `data` is what `useChat` begins with. The next page is what came " +
            "before. A chat in which nothing was said has none.",
          { answer: of(UiMessagesBody, answers.uiMessages), wrong: ofChat }
        )
      )
  )
  .middleware(ValidRequest)
  .middleware(OwnPath)
  .annotateMerge(
    OpenApi.annotations({
      title: "Agent front ends",
      description: "Talking to the agent from a front end made with the AI SDK."
    })
  )

const conversationLimits = { maximum: 100, default: 50 }
const ConversationsBody = page("Conversation", ConversationBody, ConversationCursor, conversationLimits)
const messageLimits = { maximum: 200, default: 50 }
const MessagesBody = page("Message", MessageBody, MessageCursor, messageLimits)

const RenameBody = Schema.Struct({
  title: documentedText("The new title", { minLength: 1, maxLength: 255 }).pipe(Schema.decodeTo(ConversationTitle))
})

const conversationParams = { user_id: UserIdParam, conversation_id: ConversationIdParam }

/** What may go wrong with the id of a conversation. */
const ofConversation: Shown["wrong"] = { 400: ["InvalidConversationId"], 404: ["NoSuchConversation"] }

const ConversationsGroup = HttpApiGroup.make("agentConversations")
  .add(
    HttpApiEndpoint.get("list", "/api/v1/users/:user_id/conversations", {
      params: { user_id: UserIdParam },
      query: { limit: limitParam(conversationLimits), after: Schema.optionalKey(ConversationCursor) },
      success: ConversationsBody,
      error: Unavailable
    }).annotateMerge(
      operation(
        "listConversations",
        "The user's conversations, the most recently active first",
        "A conversation that is spoken in meanwhile moves to the front.",
        { answer: of(ConversationsBody, answers.conversations), wrong: { 400: ["InvalidConversationLimit"] } }
      )
    ),
    HttpApiEndpoint.get("get", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      success: ConversationBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation("getConversation", "One conversation", "Its title and times; what was said is at `…/messages`.", {
        answer: of(ConversationBody, answers.conversation),
        wrong: ofConversation
      })
    ),
    HttpApiEndpoint.patch("rename", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      payload: RenameBody,
      success: ConversationBody,
      error: [NotFound, Unavailable]
    })
      // A body that does not arrive takes no place.
      .middleware(FairShare)
      .middleware(JsonBody)
      .annotateMerge(
        operation(
          "renameConversation",
          "Rename a conversation",
          "The title is for people, and may be that of another.",
          {
            request: of(RenameBody, requests.rename),
            answer: of(ConversationBody, answers.renamed),
            wrong: { ...ofConversation, 400: ["InvalidTitle"] }
          }
        )
      ),
    HttpApiEndpoint.delete("remove", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      success: gone,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "deleteConversation",
        "Delete a conversation with all it holds",
        "What its turns did to tasks stays as it is.",
        { wrong: ofConversation }
      )
    ),
    HttpApiEndpoint.get("messages", "/api/v1/users/:user_id/conversations/:conversation_id/messages", {
      params: conversationParams,
      query: {
        limit: limitParam(messageLimits),
        after: Schema.optionalKey(MessageCursor),
        order: Schema.optionalKey(
          Schema.Literals(["asc", "desc"]).annotate({
            description: "The oldest first, or the newest",
            default: "asc",
            examples: ["asc"]
          })
        )
      },
      success: MessagesBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "listMessages",
        "A conversation's messages",
        "With the tool calls that the agent made to answer them.",
        {
          answer: of(MessagesBody, answers.messages),
          wrong: ofConversation
        }
      )
    )
  )
  .middleware(ValidRequest)
  .middleware(FairShare)
  .middleware(OwnPath)
  .annotateMerge(
    OpenApi.annotations({ title: "Agent conversations", description: "What was said, and how it is called." })
  )

const taskLimits = { maximum: 200, default: 50 }
const TasksBody = page("Task", TaskBody, TaskCursor, taskLimits)

/** What may go wrong with the number of a task. */
const ofTask: Shown["wrong"] = { 400: ["InvalidTaskId"], 404: ["NoSuchTask"] }

const taskParams = { user_id: UserIdParam, task_id: TaskIdParam }

const titleField = documentedText("What is to be done", { minLength: 1, maxLength: 255 }).pipe(
  Schema.decodeTo(TaskTitle)
)
/** As for the agent's tools, nothing in it is none: there is one way to have no description. */
const descriptionField = Schema.NullOr(
  documentedText("More about it", { maxLength: 2000 }).pipe(Schema.decodeTo(TaskDescription))
).pipe(
  Schema.decodeTo(Schema.NullOr(Schema.String), {
    decode: SchemaGetter.transform((text) => (text === "" ? null : text)),
    encode: SchemaGetter.passthrough()
  })
)

const NewTaskBody = Schema.Struct({ title: titleField, description: Schema.optionalKey(descriptionField) })

const TaskPatchBody = Schema.Struct({
  title: Schema.optionalKey(titleField),
  description: Schema.optionalKey(descriptionField),
  completed: Schema.optionalKey(Schema.Boolean)
}).check(
  Schema.makeFilter((patch) => Object.keys(patch).length > 0, {
    expected: "at least one of title, description, completed",
    toJsonSchema: () => ({ minProperties: 1 })
  })
)

const TasksGroup = HttpApiGroup.make("agentTasks")
  .add(
    HttpApiEndpoint.get("list", "/api/v1/users/:user_id/tasks", {
      params: { user_id: UserIdParam },
      query: {
        status: Schema.optionalKey(
          TaskStatus.annotate({ description: "Which tasks", default: "all", examples: ["pending"] })
        ),
        limit: limitParam(taskLimits),
        after: Schema.optionalKey(TaskCursor)
      },
      success: TasksBody,
      error: Unavailable
    }).annotateMerge(
      operation("listTasks", "The user's tasks by number", "The tasks that the agent works on as well.", {
        answer: of(TasksBody, answers.tasks),
        wrong: { 400: ["InvalidLimit"] }
      })
    ),
    HttpApiEndpoint.post("create", "/api/v1/users/:user_id/tasks", {
      params: { user_id: UserIdParam },
      payload: NewTaskBody,
      success: HttpApiSchema.WithHeaders(TaskBody.pipe(HttpApiSchema.status(201)), {
        location: StoredText({ maxLength: 256 }).annotate({
          description: "The path of the new task",
          examples: ["/api/v1/users/demo/tasks/2"]
        })
      }),
      error: [LimitReached, Unavailable]
    })
      // A body that does not arrive takes no place.
      .middleware(FairShare)
      .middleware(JsonBody)
      .annotateMerge(
        operation("createTask", "Add a task", "It gets the next number of the user's tasks.", {
          request: of(NewTaskBody, requests.newTask),
          answer: of(TaskBody, answers.newTask),
          wrong: { 400: ["InvalidTitle"], 422: ["TooManyTasks"] }
        })
      ),
    HttpApiEndpoint.get("get", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      success: TaskBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation("getTask", "One task", "By its number, which is what people call it by.", {
        answer: of(TaskBody, answers.task),
        wrong: ofTask
      })
    ),
    HttpApiEndpoint.patch("update", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      payload: TaskPatchBody,
      success: TaskBody,
      error: [NotFound, Unavailable]
    })
      // A body that does not arrive takes no place.
      .middleware(FairShare)
      .middleware(JsonBody)
      .annotateMerge(
        operation(
          "updateTask",
          "Change a task",
          "What is left out stays as it is; `null` and an empty string clear the description.",
          {
            request: of(TaskPatchBody, requests.taskPatch),
            answer: of(TaskBody, answers.described),
            wrong: { ...ofTask, 400: ["InvalidPatch"] }
          }
        )
      ),
    HttpApiEndpoint.delete("remove", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      success: gone,
      error: [NotFound, Unavailable]
    }).annotateMerge(operation("deleteTask", "Delete a task", "Its number is not used again.", { wrong: ofTask }))
  )
  .middleware(ValidRequest)
  .middleware(FairShare)
  .middleware(OwnPath)
  .annotateMerge(OpenApi.annotations({ title: "Agent tasks", description: "The user's to-do list." }))

const turnParams = { user_id: UserIdParam, turn_id: TurnIdParam }

/** What may go wrong with the id of a turn. */
const ofTurn: Shown["wrong"] = { 400: ["InvalidTurnId"], 404: ["NoSuchTurn"] }

const TurnEventsBody = Schema.String.annotate({ description: eventStreamWords }).pipe(
  HttpApiSchema.asText({ contentType: "text/event-stream" })
)

const TurnsGroup = HttpApiGroup.make("agentTurns")
  .add(
    HttpApiEndpoint.get("get", "/api/v1/users/:user_id/turns/:turn_id", {
      params: turnParams,
      success: TurnBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "getTurn",
        "One turn as it stands",
        "For whoever has lost its answer and cannot ask again under its key. A turn of a conversation that was deleted is none.",
        { answer: of(TurnBody, answers.turn), wrong: ofTurn }
      )
    ),
    HttpApiEndpoint.get("events", "/api/v1/users/:user_id/turns/:turn_id/events", {
      params: turnParams,
      headers: { "last-event-id": Schema.optionalKey(LastEventIdHeader) },
      success: TurnEventsBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "followTurn",
        "What happens in a turn, as it happens",
        "From its beginning, or behind `Last-Event-ID`: nothing comes twice, and nothing is missed, at whichever instance one " +
          "asks. A turn that is over is told as well.",
        { events: eventStreams, wrong: { ...ofTurn, 400: ["InvalidTurnId", "InvalidEventId"] } }
      )
    ),
    HttpApiEndpoint.post("stop", "/api/v1/users/:user_id/turns/:turn_id/stop", {
      params: turnParams,
      success: TurnBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "stopTurn",
        "Stop a turn that runs",
        "What is committed stays, and what the agent had said until then is its reply. The answer is the turn as it then " +
          "stands: it may have come to another end just before.",
        { answer: of(TurnBody, answers.stopped), wrong: ofTurn }
      )
    )
  )
  .middleware(ValidRequest)
  .middleware(FairShare)
  .middleware(OwnPath)
  .annotateMerge(OpenApi.annotations({ title: "Agent turns", description: "What has become of a message." }))

const MeGroup = HttpApiGroup.make("agentMe")
  .add(
    HttpApiEndpoint.get("get", "/api/v1/me", { success: UserBody, error: [InvalidRequest, Internal] }).annotateMerge(
      operation("getMe", "Whose token it is", "For whoever has a token, and does not know whose paths it opens.", {
        answer: of(UserBody, answers.me),
        wrong: { 400: ["MissingHost"], 503: ["AuthUnavailable"] }
      })
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Agent user", description: "Who is asking." }))

const UsersGroup = HttpApiGroup.make("agentUsers")
  .add(
    HttpApiEndpoint.delete("erase", "/api/v1/users/:user_id/data", {
      params: { user_id: UserIdParam },
      success: gone,
      error: Unavailable
    }).annotateMerge(
      operation(
        "eraseUserData",
        "Erase all that is held of the user",
        "Conversations, turns and tasks. The account itself belongs to whoever signs users in.",
        { wrong: { 400: ["InvalidUserId"] } }
      )
    )
  )
  .middleware(ValidRequest)
  .middleware(FairShare)
  .middleware(OwnPath)
  .annotateMerge(OpenApi.annotations({ title: "Agent data", description: "What the service holds of a user." }))

const Health = Schema.Struct({ status: Schema.Literal("ok") }).annotate({ description: "All is well" })

const healthShown: Shown = { answer: of(Health, answers.health), wrong: { 400: ["MissingHost"] } }

const HealthGroup = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/health/live", { success: Health, error: [InvalidRequest, Internal] }).annotateMerge(
      operation("isLive", "Whether the process answers", "Never touches the database.", healthShown)
    ),
    HttpApiEndpoint.get("ready", "/health/ready", {
      success: Health,
      error: [InvalidRequest, Unavailable, Internal]
    }).annotateMerge(
      operation(
        "isReady",
        "Whether requests may be sent here",
        "The database answers and has its migrations.",
        healthShown
      )
    )
  )
  .middleware(Identified)
  .annotateMerge(OpenApi.annotations({ title: "Health", description: "For those who run it." }))

const agentGroups = HttpApi.make("turnkeeper")
  .add(ChatGroup, UiGroup, TurnsGroup, ConversationsGroup, TasksGroup, MeGroup, UsersGroup)
  .annotate(HttpApi.ParseOptions, { errors: "all" })

/**
 * The agent without anybody who signs its users in, for the API of an application:
 * `HttpApi.make("app").add(…).addHttpApi(AgentApi.prefix("/agent").middleware(SignIn))`, where `SignIn` is a middleware that
 * provides the `CurrentUser`. Its groups are called as nothing of the application's is likely to be: groups of one name would
 * replace one another.
 */
export const AgentApi = agentGroups.middleware(Identified)

// Around the authentication as well: what it refuses is a problem too.
const withTokens = agentGroups.middleware(Authentication).middleware(Identified)

/** The groups of the agent, as handlers see them. */
export type AgentGroups = typeof withTokens extends HttpApi.HttpApi<string, infer Groups> ? Groups : never

/** All that the service offers over HTTP. */
export class Api extends HttpApi.make("turnkeeper")
  .addHttpApi(withTokens)
  .add(HealthGroup)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "turnkeeper",
      version: "1",
      description:
        "People talk to an agent that keeps their to-do list. Every error is a problem of RFC 9457, and every answer " +
        "has an `X-Request-Id`. What cannot be read as a request is refused before any operation sees it: with 400, 405, " +
        "408, 413, 417 or 431, and as a problem too.",
      license: { name: "MIT", url: "https://spdx.org/licenses/MIT.html" },
      servers: [{ url: "/", description: "The service that this document comes from" }],
      transform: describeDocument
    })
  ) {}
