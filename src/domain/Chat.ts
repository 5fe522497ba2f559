import { Clock, Context, DateTime, Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import { type BeginRequest, ConversationRepo, type FailedTurn, type TurnRef } from "../ports/ConversationRepo.ts"
import { uuidV7 } from "./Ids.ts"
import { ConversationId, MessageId, TurnId } from "./model/Conversation.ts"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyKeyReused,
  RateLimited,
  type ShuttingDown,
  StorageUnavailable,
  TooManyConversations,
  TooManyTurns,
  TurnFailed,
  TurnInProgress
} from "./model/Errors.ts"
import { type IdempotencyKey, summarizeUsage, TurnReply } from "./model/Turn.ts"
import type { User } from "./model/User.ts"
import { retryFailed } from "./Retry.ts"
import { Settings } from "./Settings.ts"
import { toToolCall } from "./ToolCalls.ts"
import { turnPolicy } from "./TurnPolicy.ts"
import { type StartedTurn, Turns } from "./Turns.ts"

/** One message of a user. */
export interface ChatRequest {
  readonly user: User
  /** The conversation it belongs to; none starts one. */
  readonly conversationId: Option.Option<ConversationId>
  /** Whether it is started under this id when the user has none of it: for clients that choose the id. */
  readonly startIfAbsent?: boolean
  /** What the user says, trimmed. */
  readonly message: string
  readonly idempotencyKey: Option.Option<IdempotencyKey>
}

/** The answer to a message. */
export interface ChatAnswer {
  /** The stored answer: the JSON text of a `TurnReply`, the same bytes however often it is asked for. */
  readonly body: string
  /** Whether the turn had been answered before this request. */
  readonly replayed: boolean
}

const decodeReply = Schema.decodeSync(Schema.fromJsonString(TurnReply))

/** What an answer says: the reply, its tool calls and the usage. */
export const replyOf = (answer: ChatAnswer): TurnReply => decodeReply(answer.body)

/** The turn of a message. */
export interface OpenedTurn {
  readonly turnId: TurnId
  /** Whether it had been answered before this request. */
  readonly replayed: boolean
}

export type ChatError =
  | ConversationBusy
  | ConversationNotFound
  | IdempotencyKeyReused
  | RateLimited
  | ShuttingDown
  | StorageUnavailable
  | TooManyConversations
  | TooManyTurns
  | TurnFailed
  | TurnInProgress

/** Talking to the agent. */
export class Chat extends Context.Service<
  Chat,
  {
    /**
     * Makes one message happen exactly once, and answers when its turn is over. Interrupting the effect (the client
     * went away) does not end the turn.
     */
    readonly send: (request: ChatRequest) => Effect.Effect<ChatAnswer, ChatError>
    /**
     * The same, but tells at once which turn it is, for those who watch it. It may run here or elsewhere, or be over; but if
     * it has failed and is not tried again, that is how this fails.
     */
    readonly open: (request: ChatRequest) => Effect.Effect<OpenedTurn, ChatError>
  }
>()("turnkeeper/domain/Chat") {}

/** How long a request waits for a turn that another one runs. */
const patience = Duration.seconds(25)

export const layer: Layer.Layer<Chat, never, ConversationRepo | Turns> = Layer.effect(
  Chat,
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const turns = yield* Turns
    const policy = turnPolicy(yield* Settings)

    // The same request again, so that a begin whose answer was lost is not left without an owner; but not for as long as
    // a lease, or what it had begun could be over and gone by then.
    const begin = (request: BeginRequest) =>
      repo.begin(request, policy).pipe(
        retryFailed({ schedule: Schedule.exponential("100 millis"), times: 3 }),
        Effect.timeoutOrElse({
          duration: "12 seconds",
          orElse: () => Effect.fail(new StorageUnavailable({ operation: "Chat.send" }))
        })
      )

    /** Looks at the turn once and, where that is due, starts running it. */
    const look = Effect.fnUntraced(function* (
      request: BeginRequest,
      watched: boolean
    ): Effect.fn.Return<Looked, ChatError> {
      const outcome = yield* begin(request)
      switch (outcome._tag) {
        case "Claimed":
          return {
            _tag: "Started",
            turnId: outcome.turn.claim.turnId,
            started: yield* turns.start(outcome.turn, { watched })
          }
        case "ClaimedOther":
          yield* turns.start(outcome.turn)
          return { _tag: "Wait", turn: outcome.turn.claim, own: false }
        case "Running":
          return { _tag: "Wait", turn: outcome.turn, own: true }
        case "Completed":
          return { _tag: "Answer", turnId: outcome.turnId, body: outcome.body }
        case "Failed":
          return yield* toTurnFailed(outcome.turn)
        case "Busy":
          return yield* new ConversationBusy({ retryAfterMillis: outcome.retryAfterMillis })
        case "KeyReused":
          return yield* new IdempotencyKeyReused()
        case "RateLimited":
          return yield* new RateLimited({
            retryAfterMillis: outcome.retryAfterMillis,
            turnsPerMinute: policy.turnsPerMinute ?? 0
          })
        case "TooManyTurns":
          return yield* new TooManyTurns({ turnsAtOnce: policy.turnsAtOnce ?? 0 })
        case "TooManyConversations":
          return yield* new TooManyConversations({ limit: policy.maxConversations ?? 0 })
        case "Gone":
        case "NotFound":
          return yield* new ConversationNotFound({
            conversationId: Option.getOrElse(request.conversationId, () => request.newConversationId)
          })
      }
    })

    /** The answer of a turn that was started here; none when someone else goes on with it. */
    const answerOf = Effect.fnUntraced(function* (
      started: StartedTurn
    ): Effect.fn.Return<Option.Option<ChatAnswer>, ChatError> {
      const end = yield* started.end
      switch (end._tag) {
        case "Completed":
          return Option.some({ body: end.body, replayed: false })
        case "Failed":
          return yield* toTurnFailed(end.turn)
        case "Lost":
          return Option.none()
      }
    })

    const toBegin = Effect.fnUntraced(function* ({
      conversationId,
      idempotencyKey,
      message,
      startIfAbsent = false,
      user
    }: ChatRequest) {
      return {
        userId: user.id,
        turnId: TurnId.make(yield* uuidV7),
        idempotencyKey,
        fingerprint: encodeFingerprint(["chat", Option.getOrNull(conversationId), message]),
        conversationId,
        startIfAbsent,
        newConversationId: ConversationId.make(yield* uuidV7),
        title: titleAt(yield* DateTime.now),
        messageId: MessageId.make(yield* uuidV7),
        content: message,
        context: { userName: user.name }
      }
    })

    /** Looks at the turn, under a holder of its own; a turn that has begun is run, even if the client leaves at just that moment. */
    const lookOnce = Effect.fnUntraced(function* (request: Omit<BeginRequest, "holder">, watched = false) {
      const holder = yield* uuidV7
      return yield* turns.admit(request.userId, look({ ...request, holder }, watched))
    })

    /** Waits for a turn as long as that makes sense; fails when it still runs then. */
    const waiting = () => {
      let until: number | undefined
      return Effect.fnUntraced(function* (turn: TurnRef, own: boolean) {
        const now = yield* Clock.currentTimeMillis
        until ??= now + Duration.toMillis(patience)
        if (yield* turns.awaitSettled(turn, Duration.millis(Math.max(0, until - now)))) return
        const retryAfterMillis = policy.leaseMillis
        return yield* own ? new TurnInProgress({ retryAfterMillis }) : new ConversationBusy({ retryAfterMillis })
      })
    }

    return Chat.of({
      send: Effect.fnUntraced(
        function* (message) {
          const request = yield* toBegin(message)
          const wait = waiting()
          let begun = false
          while (true) {
            const looked: Looked = yield* lookOnce({ ...request, begun })
            if (looked._tag === "Answer") return { body: looked.body, replayed: true }
            if (looked._tag === "Started") {
              const answer = yield* answerOf(looked.started)
              if (Option.isSome(answer)) return answer.value
              begun = true
              continue
            }
            // What is deleted while it runs or is waited for must not happen again.
            begun ||= looked.own
            yield* wait(looked.turn, looked.own)
          }
        },
        Effect.withSpan("Chat.send", undefined, { captureStackTrace: false })
      ),
      open: Effect.fnUntraced(
        function* (message) {
          const request = { ...(yield* toBegin(message)), begun: false }
          const wait = waiting()
          while (true) {
            const looked: Looked = yield* lookOnce(request, true)
            if (looked._tag !== "Wait") return { turnId: looked.turnId, replayed: looked._tag === "Answer" }
            if (looked.own) return { turnId: looked.turn.turnId, replayed: false }
            yield* wait(looked.turn, false)
          }
        },
        Effect.withSpan("Chat.open", undefined, { captureStackTrace: false })
      )
    })
  })
)

/** How a turn stands for a request: answered, started here, or to be waited for; `own` when it is the request's own. */
type Looked =
  | { readonly _tag: "Answer"; readonly turnId: TurnId; readonly body: string }
  | { readonly _tag: "Started"; readonly turnId: TurnId; readonly started: StartedTurn }
  | { readonly _tag: "Wait"; readonly turn: TurnRef; readonly own: boolean }

const encodeFingerprint = Schema.encodeSync(
  Schema.fromJsonString(Schema.Tuple([Schema.Literal("chat"), Schema.NullOr(ConversationId), Schema.String]))
)

const titleAt = (now: DateTime.Utc): string => `Chat ${DateTime.formatIso(now).slice(0, 16).replace("T", " ")}`

/** The failure that a failed turn is for whoever has sent its message. */
export const toTurnFailed = (turn: FailedTurn): TurnFailed =>
  new TurnFailed({
    conversationId: turn.conversationId,
    turnId: turn.turnId,
    failure: turn.failure,
    retryable: turn.retryable,
    toolCalls: turn.calls.map((call) => toToolCall(turn.userId, call)),
    usage: summarizeUsage(turn.usage)
  })
