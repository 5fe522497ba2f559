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
import { Conversation, ConversationTitle, Message, MessageText } from "../../domain/model/Conversation.ts"
import { Task, TaskDescription, TaskStatus, TaskTitle } from "../../domain/model/Task.ts"
import { TurnReply } from "../../domain/model/Turn.ts"
import type { User } from "../../domain/model/User.ts"
import { describeDocument } from "./Document.ts"
import {
  ConversationCursor,
  ConversationIdParam,
  documentedText,
  IdempotencyKeyHeader,
  limitParam,
  MessageCursor,
  TaskCursor,
  TaskIdParam,
  UserIdParam
} from "./Parameters.ts"
import {
  Conflict,
  Forbidden,
  IdempotencyKeyReused,
  Internal,
  InvalidRequest,
  NotFound,
  PayloadTooLarge,
  RateLimited,
  TurnFailed,
  Unauthorized,
  Unavailable,
  UnsupportedMediaType
} from "./Problems.ts"

/** Whose token was sent, and whose path it is: a handler learns of a user in no other way. */
export class CurrentUser extends Context.Service<CurrentUser, User>()("turnkeeper/adapters/http/Api/CurrentUser") {}

/** Lets those through whose token is valid, and to their own paths only. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentUser }>()(
  "turnkeeper/adapters/http/Api/Authorization",
  {
    requiredForClient: true,
    security: { bearer: HttpApiSecurity.bearer },
    error: [Unauthorized, Forbidden, InvalidRequest, Unavailable]
  }
) {}

/** Refuses bodies that are not JSON in UTF-8 of at most 64 KiB. */
export class JsonBody extends HttpApiMiddleware.Service<JsonBody>()("turnkeeper/adapters/http/Api/JsonBody", {
  error: [InvalidRequest, PayloadTooLarge, UnsupportedMediaType]
}) {}

/** Tells of each value that does not fit its schema. */
export class ValidRequest extends HttpApiMiddleware.Service<ValidRequest>()(
  "turnkeeper/adapters/http/Api/ValidRequest",
  {
    error: [InvalidRequest, Internal]
  }
) {}

/** Gives a schema a name of its own in the OpenAPI document. */
const named = <S extends Schema.Top>(identifier: string, schema: S) =>
  schema.pipe(Schema.annotateEncoded({ identifier }))

const page = <S extends Schema.Top, P extends Schema.Top>(identifier: string, entry: S, position: P) =>
  Schema.Struct({
    data: Schema.Array(entry),
    hasMore: Schema.Boolean,
    nextCursor: Schema.NullOr(position)
  }).pipe(
    Schema.encodeKeys({ hasMore: "has_more", nextCursor: "next_cursor" }),
    Schema.annotateEncoded({ identifier: `${identifier}Page` })
  )

const ConversationBody = named("Conversation", Conversation)
const MessageBody = named("Message", Message)
const TaskBody = named("Task", Task)
const TurnReplyBody = named("TurnReply", TurnReply)

const gone = HttpApiSchema.NoContent.annotate({ description: "It is gone, and there is nothing to tell" })

const operation = (identifier: string, summary: string, description?: string) =>
  OpenApi.annotations({ identifier, summary, description })

/** One turn. The seeds know it under two paths, which are one operation. */
const chatAt = <const Id extends string, const Path extends `/${string}`>(id: Id, path: Path) =>
  HttpApiEndpoint.post(id, path, {
    params: { user_id: UserIdParam },
    headers: { "idempotency-key": Schema.optionalKey(IdempotencyKeyHeader) },
    // The names of the wire: the keys would be renamed only when every value fits, and then the first step's issues alone are told.
    payload: Schema.Struct({
      message: documentedText("What the user says", { minLength: 1, maxLength: 2000 }).pipe(
        Schema.decodeTo(MessageText)
      ),
      conversation_id: Schema.optionalKey(Schema.NullOr(ConversationIdParam))
    }),
    success: HttpApiSchema.WithHeaders(TurnReplyBody, {
      "idempotency-replayed": Schema.optionalKey(
        Schema.Literal("true").annotate({ description: "This is the answer to an earlier request under the same key" })
      )
    }),
    error: [NotFound, Conflict, IdempotencyKeyReused, RateLimited, TurnFailed, Unavailable]
  }).middleware(JsonBody)

const ChatGroup = HttpApiGroup.make("chat")
  .add(
    chatAt("send", "/api/v1/users/:user_id/chat").annotateMerge(
      operation(
        "sendMessage",
        "Send a message to the agent",
        "One turn: the agent reads the message, works on the user's tasks, and answers. Without `conversation_id` a " +
          "conversation is started. With an `Idempotency-Key` the request can be sent again safely, however it ended."
      )
    ),
    chatAt("sendAlias", "/api/:user_id/chat").annotateMerge(
      operation("sendMessageAlias", "Send a message to the agent", "The same operation under another path.")
    )
  )
  .middleware(ValidRequest)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Talking to the agent." }))

const conversationParams = { user_id: UserIdParam, conversation_id: ConversationIdParam }

const ConversationsGroup = HttpApiGroup.make("conversations")
  .add(
    HttpApiEndpoint.get("list", "/api/v1/users/:user_id/conversations", {
      params: { user_id: UserIdParam },
      query: { limit: limitParam({ maximum: 100, default: 50 }), after: Schema.optionalKey(ConversationCursor) },
      success: page("Conversation", ConversationBody, ConversationCursor),
      error: Unavailable
    }).annotateMerge(operation("listConversations", "The user's conversations, the most recently active first")),
    HttpApiEndpoint.get("get", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      success: ConversationBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(operation("getConversation", "One conversation")),
    HttpApiEndpoint.patch("rename", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      payload: Schema.Struct({
        title: documentedText("The new title", { minLength: 1, maxLength: 255 }).pipe(
          Schema.decodeTo(ConversationTitle)
        )
      }),
      success: ConversationBody,
      error: [NotFound, Unavailable]
    })
      .middleware(JsonBody)
      .annotateMerge(operation("renameConversation", "Rename a conversation")),
    HttpApiEndpoint.delete("remove", "/api/v1/users/:user_id/conversations/:conversation_id", {
      params: conversationParams,
      success: gone,
      error: [NotFound, Unavailable]
    }).annotateMerge(
      operation(
        "deleteConversation",
        "Delete a conversation with all it holds",
        "What its turns did to tasks stays as it is."
      )
    ),
    HttpApiEndpoint.get("messages", "/api/v1/users/:user_id/conversations/:conversation_id/messages", {
      params: conversationParams,
      query: {
        limit: limitParam({ maximum: 200, default: 50 }),
        after: Schema.optionalKey(MessageCursor),
        order: Schema.optionalKey(
          Schema.Literals(["asc", "desc"]).annotate({ description: "The oldest first, or the newest", default: "asc" })
        )
      },
      success: page("Message", MessageBody, MessageCursor),
      error: [NotFound, Unavailable]
    }).annotateMerge(operation("listMessages", "A conversation's messages"))
  )
  .middleware(ValidRequest)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Conversations", description: "What was said, and how it is called." }))

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

const TasksGroup = HttpApiGroup.make("tasks")
  .add(
    HttpApiEndpoint.get("list", "/api/v1/users/:user_id/tasks", {
      params: { user_id: UserIdParam },
      query: {
        status: Schema.optionalKey(TaskStatus.annotate({ description: "Which tasks", default: "all" })),
        limit: limitParam({ maximum: 200, default: 50 }),
        after: Schema.optionalKey(TaskCursor)
      },
      success: page("Task", TaskBody, TaskCursor),
      error: Unavailable
    }).annotateMerge(
      operation("listTasks", "The user's tasks by number", "The tasks that the agent works on as well.")
    ),
    HttpApiEndpoint.post("create", "/api/v1/users/:user_id/tasks", {
      params: { user_id: UserIdParam },
      payload: Schema.Struct({ title: titleField, description: Schema.optionalKey(descriptionField) }),
      success: HttpApiSchema.WithHeaders(TaskBody.pipe(HttpApiSchema.status(201)), {
        location: Schema.String.annotate({ description: "The path of the new task" })
      }),
      error: Unavailable
    })
      .middleware(JsonBody)
      .annotateMerge(operation("createTask", "Add a task")),
    HttpApiEndpoint.get("get", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      success: TaskBody,
      error: [NotFound, Unavailable]
    }).annotateMerge(operation("getTask", "One task")),
    HttpApiEndpoint.patch("update", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      payload: Schema.Struct({
        title: Schema.optionalKey(titleField),
        description: Schema.optionalKey(descriptionField),
        completed: Schema.optionalKey(Schema.Boolean)
      }).check(
        Schema.makeFilter((patch) => Object.keys(patch).length > 0, {
          expected: "at least one of title, description, completed",
          toJsonSchema: () => ({ minProperties: 1 })
        })
      ),
      success: TaskBody,
      error: [NotFound, Unavailable]
    })
      .middleware(JsonBody)
      .annotateMerge(
        operation(
          "updateTask",
          "Change a task",
          "What is left out stays as it is; `null` and an empty string clear the description."
        )
      ),
    HttpApiEndpoint.delete("remove", "/api/v1/users/:user_id/tasks/:task_id", {
      params: taskParams,
      success: gone,
      error: [NotFound, Unavailable]
    }).annotateMerge(operation("deleteTask", "Delete a task", "Its number is not used again."))
  )
  .middleware(ValidRequest)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Tasks", description: "The user's to-do list." }))

const UsersGroup = HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.delete("erase", "/api/v1/users/:user_id/data", {
      params: { user_id: UserIdParam },
      success: gone,
      error: Unavailable
    }).annotateMerge(
      operation(
        "eraseUserData",
        "Erase all that is held of the user",
        "Conversations, turns and tasks. The account itself belongs to whoever signs users in."
      )
    )
  )
  .middleware(ValidRequest)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Users", description: "What the service holds of a user." }))

const Health = Schema.Struct({ status: Schema.Literal("ok") })

const HealthGroup = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/health/live", { success: Health, error: Internal }).annotateMerge(
      operation("isLive", "Whether the process answers", "Never touches the database.")
    ),
    HttpApiEndpoint.get("ready", "/health/ready", { success: Health, error: [Unavailable, Internal] }).annotateMerge(
      operation("isReady", "Whether requests may be sent here", "The database answers and has its migrations.")
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Health" }))

/** All that the service offers over HTTP. */
export class Api extends HttpApi.make("turnkeeper")
  .add(ChatGroup, ConversationsGroup, TasksGroup, UsersGroup, HealthGroup)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "turnkeeper",
      version: "1",
      description:
        "People talk to an agent that keeps their to-do list. Every error is a problem of RFC 9457, and every answer " +
        "has an `X-Request-Id`.",
      license: { name: "MIT" },
      transform: describeDocument
    })
  ) {}
