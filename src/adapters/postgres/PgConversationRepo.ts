import { Array, DateTime, Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import {
  type Conversation,
  ConversationId,
  MessageId,
  ToolCallId,
  TurnId,
  TurnStatus
} from "../../domain/model/Conversation.ts"
import { ConversationNotFound, StorageUnavailable, TurnNotFound } from "../../domain/model/Errors.ts"
import { Failure, IdempotencyKey } from "../../domain/model/Turn.ts"
import { UserId } from "../../domain/model/User.ts"
import {
  type BeginOutcome,
  type CallResult,
  type Claim,
  type ClaimedTurn,
  ConversationRepo,
  type FailedTurn,
  type FoldedCall,
  type Glance,
  type Lost,
  type Page,
  type StepOutcome,
  type StepRequest,
  type StepWork,
  type StoredCall,
  type StoredMessage,
  type StoredTurn
} from "../../ports/ConversationRepo.ts"
import {
  asStorage,
  conflictsOfTools,
  isConflict,
  isLockTimeout,
  retryLocks,
  sqlDefectsAsFailures,
  storageErrors
} from "./errors.ts"
import { latestMigration, migrationsTable } from "./migrations.ts"
import { isTaskToolsAt } from "./PgTaskTools.ts"
import { clientOf, outsideOfTransactions, type SchemaName } from "./Schema.ts"

const Ints = Schema.NullOr(Schema.Array(Schema.Int))
const Texts = Schema.NullOr(Schema.Array(Schema.String))
const CallStatus = Schema.Literals(["success", "error"])

const callColumns = {
  call_ids: Schema.NullOr(Schema.Array(ToolCallId)),
  call_seqs: Ints,
  call_steps: Ints,
  call_positions: Ints,
  call_provider_ids: Texts,
  call_tools: Texts,
  call_arguments: Texts,
  call_results: Texts,
  call_statuses: Schema.NullOr(Schema.Array(CallStatus))
}
const CallColumns = Schema.Struct(callColumns)

const historyColumns = {
  message_seqs: Ints,
  message_roles: Schema.NullOr(Schema.Array(Schema.Literals(["user", "assistant"]))),
  message_contents: Texts,
  step_seqs: Ints,
  step_numbers: Ints,
  step_contents: Texts
}

const retryMillis = { retry_ms: Schema.Int }

const ClaimedRow = Schema.Struct({
  outcome: Schema.Literals(["claimed", "claimed_other"]),
  turn_id: TurnId,
  conversation_id: ConversationId,
  fence: Schema.Int,
  steps: Schema.Int,
  seq: Schema.Int,
  prompt_tokens: Schema.Int,
  completion_tokens: Schema.Int,
  // JSON, read apart: a schema with a transformation in it is not compiled.
  context: Schema.String,
  pending: Schema.NullOr(Schema.String),
  ...historyColumns,
  ...callColumns
})
const FailedRow = Schema.Struct({
  outcome: Schema.Literal("failed"),
  turn_id: TurnId,
  conversation_id: ConversationId,
  failure: Schema.String,
  retryable: Schema.Boolean,
  prompt_tokens: Schema.Int,
  completion_tokens: Schema.Int,
  ...callColumns
})
const OutcomeRow = Schema.Union([
  ClaimedRow,
  FailedRow,
  Schema.Struct({ outcome: Schema.Literal("completed"), turn_id: TurnId, body: Schema.String }),
  Schema.Struct({
    outcome: Schema.Literal("running"),
    turn_id: TurnId,
    conversation_id: ConversationId,
    ...retryMillis
  }),
  Schema.Struct({ outcome: Schema.Literals(["busy", "rate_limited"]), ...retryMillis }),
  Schema.Struct({
    outcome: Schema.Literals(["gone", "lost", "key_reused", "not_found", "too_many_turns", "too_many_conversations"])
  })
])
type OutcomeRow = typeof OutcomeRow.Type

const decodeContext = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ userName: Schema.String })))
const decodeFailure = Schema.decodeUnknownSync(Schema.fromJsonString(Failure))
const decodeOutcome = Schema.decodeUnknownSync(OutcomeRow)
const decodeCompleted = Schema.decodeUnknownSync(
  Schema.Union([
    Schema.Struct({ outcome: Schema.Literal("completed"), body: Schema.String }),
    Schema.Struct({ outcome: Schema.Literal("lost") })
  ])
)
const decodeStepBegun = Schema.decodeUnknownSync(Schema.Struct({ state: Schema.Literals(["ok", "done", "lost"]) }))
const StepRow = Schema.Struct({
  outcome: Schema.Literals(["ok", "done", "lost"]),
  seq: Schema.NullOr(Schema.Int),
  results: Schema.Array(Schema.String),
  statuses: Schema.Array(CallStatus)
})
const decodeStep = Schema.decodeUnknownSync(StepRow)
const decodePended = Schema.decodeUnknownSync(Schema.Struct({ state: Schema.Literals(["pended", "lost"]) }))
const decodeSeq = Schema.decodeUnknownSync(Schema.Struct({ seq: Schema.Int }))
const decodeCalls = Schema.decodeUnknownSync(CallColumns)
const decodeTurnIds = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: TurnId })))
const decodeTurnRefs = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ user_id: UserId, conversation_id: ConversationId, turn_id: TurnId }))
)
const ConversationRow = Schema.Struct({
  id: ConversationId,
  title: Schema.String,
  created_at: Schema.DateTimeUtcFromDate,
  updated_at: Schema.DateTimeUtcFromDate
})
const decodeConversations = Schema.decodeUnknownSync(Schema.Array(ConversationRow))
const messageColumns = {
  id: MessageId,
  seq: Schema.Int,
  turn_id: TurnId,
  turn_status: TurnStatus,
  idempotency_key: Schema.NullOr(IdempotencyKey),
  role: Schema.Literals(["user", "assistant"]),
  content: Schema.String,
  // As the driver reads it: a schema with a transformation in it is not compiled.
  created_at: Schema.Date
}
/** A message with one of its calls. */
const MessageRow = Schema.Union([
  Schema.Struct({ ...messageColumns, call_id: Schema.Null }),
  Schema.Struct({
    ...messageColumns,
    call_id: ToolCallId,
    call_seq: Schema.Int,
    call_step: Schema.Int,
    call_position: Schema.Int,
    call_provider_id: Schema.String,
    call_tool: Schema.String,
    call_arguments: Schema.String,
    call_result: Schema.String,
    call_status: CallStatus
  })
])
const decodeMessages = Schema.decodeUnknownSync(Schema.Array(MessageRow))
const TurnRow = Schema.Struct({
  conversation_id: ConversationId,
  status: TurnStatus,
  fence: Schema.Int,
  told_from: Schema.Int,
  step_contents: Texts,
  step_froms: Ints,
  prompt_tokens: Schema.Int,
  completion_tokens: Schema.Int,
  response: Schema.NullOr(Schema.String),
  failure: Schema.NullOr(Schema.String),
  retryable: Schema.Boolean,
  ...callColumns
})
const decodeTurns = Schema.decodeUnknownSync(Schema.Array(TurnRow))
const decodeGlances = Schema.decodeUnknownSync(
  Schema.Array(
    Schema.Struct({
      turn_id: TurnId,
      status: Schema.Literals([...TurnStatus.literals, "deleted"]),
      fence: Schema.Int,
      steps: Schema.Int,
      told_from: Schema.NullOr(Schema.Int),
      told_text: Schema.NullOr(Schema.String),
      told_calls: Schema.NullOr(Schema.String)
    })
  )
)
type GlanceRow = ReturnType<typeof decodeGlances>[number]
const decodeWatched = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ turn_id: TurnId, stop: Schema.Boolean, told: Schema.Boolean }))
)
const Begun = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ id: ToolCallId, toolName: Schema.String, arguments: Schema.String }))
)
const encodeBegun = Schema.encodeSync(Begun)
const decodeBegun = Schema.decodeUnknownSync(Begun)
const decodeDeleted = Schema.decodeUnknownSync(Schema.Struct({ deleted: Schema.Boolean }))
const isNoMessage = Schema.is(Schema.Struct({ seq: Schema.Null }))
const decodeMigrations = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ latest: Schema.NullOr(Schema.Int) })))

/** Makes rows of the parallel columns that the database answers: several times as quick to read as one json. */
const toCalls = (row: typeof CallColumns.Type): ReadonlyArray<StoredCall> =>
  (row.call_ids ?? []).map((id, i) => ({
    id,
    seq: at(row.call_seqs, i),
    step: at(row.call_steps, i),
    position: at(row.call_positions, i),
    providerCallId: at(row.call_provider_ids, i),
    toolName: at(row.call_tools, i),
    arguments: at(row.call_arguments, i),
    result: at(row.call_results, i),
    status: at(row.call_statuses, i)
  }))

const at = <A>(column: ReadonlyArray<A> | null, index: number): A => Array.getUnsafe(column ?? [], index)

const toClaimed = (userId: UserId, row: typeof ClaimedRow.Type): ClaimedTurn => ({
  claim: { userId, conversationId: row.conversation_id, turnId: row.turn_id, fence: row.fence },
  seq: row.seq,
  steps: row.steps,
  usage: { promptTokens: row.prompt_tokens, completionTokens: row.completion_tokens },
  context: decodeContext(row.context),
  pending: row.pending,
  history: {
    messages: (row.message_seqs ?? []).map((seq, i) => ({
      seq,
      role: at(row.message_roles, i),
      content: at(row.message_contents, i)
    })),
    steps: (row.step_seqs ?? []).map((seq, i) => ({
      seq,
      step: at(row.step_numbers, i),
      content: at(row.step_contents, i)
    })),
    calls: toCalls(row)
  }
})

const toFailed = (userId: UserId, row: typeof FailedRow.Type): FailedTurn => ({
  userId,
  conversationId: row.conversation_id,
  turnId: row.turn_id,
  failure: decodeFailure(row.failure),
  retryable: row.retryable,
  usage: { promptTokens: row.prompt_tokens, completionTokens: row.completion_tokens },
  calls: toCalls(row)
})

const toOutcome = (userId: UserId, row: OutcomeRow): BeginOutcome | Lost => {
  switch (row.outcome) {
    case "claimed":
      return { _tag: "Claimed", turn: toClaimed(userId, row) }
    case "claimed_other":
      return { _tag: "ClaimedOther", turn: toClaimed(userId, row) }
    case "failed":
      return { _tag: "Failed", turn: toFailed(userId, row) }
    case "completed":
      return { _tag: "Completed", turnId: row.turn_id, body: row.body }
    case "running":
      return {
        _tag: "Running",
        turn: { userId, conversationId: row.conversation_id, turnId: row.turn_id },
        retryAfterMillis: row.retry_ms
      }
    case "busy":
      return { _tag: "Busy", retryAfterMillis: row.retry_ms }
    case "rate_limited":
      return { _tag: "RateLimited", retryAfterMillis: row.retry_ms }
    case "gone":
      return { _tag: "Gone" }
    case "lost":
      return { _tag: "Lost" }
    case "key_reused":
      return { _tag: "KeyReused" }
    case "not_found":
      return { _tag: "NotFound" }
    case "too_many_turns":
      return { _tag: "TooManyTurns" }
    case "too_many_conversations":
      return { _tag: "TooManyConversations" }
  }
}

const toStoredTurn = (userId: UserId, turnId: TurnId, row: typeof TurnRow.Type): StoredTurn => ({
  userId,
  conversationId: row.conversation_id,
  turnId,
  status: row.status,
  usage: { promptTokens: row.prompt_tokens, completionTokens: row.completion_tokens },
  calls: toCalls(row),
  attempt: row.fence,
  steps: (row.step_contents ?? []).map((content, i) => ({ content, toldFrom: at(row.step_froms, i) })),
  toldFrom: row.told_from,
  body: row.response,
  failure: row.failure === null ? null : decodeFailure(row.failure),
  retryable: row.retryable
})

const toGlance = (row: GlanceRow): Glance => ({
  turnId: row.turn_id,
  status: row.status,
  attempt: row.fence,
  steps: row.steps,
  told:
    row.told_from === null || row.told_text === null || row.told_calls === null
      ? null
      : { from: row.told_from, text: row.told_text, calls: decodeBegun(row.told_calls) }
})

/** Makes messages of rows that tell each as often as it has calls, in order. */
const toMessages = (rows: ReadonlyArray<typeof MessageRow.Type>): ReadonlyArray<StoredMessage> => {
  const messages: Array<StoredMessage & { readonly calls: Array<StoredCall> }> = []
  for (const row of rows) {
    let message = messages.at(-1)
    if (message?.seq !== row.seq) {
      message = {
        id: row.id,
        seq: row.seq,
        turnId: row.turn_id,
        turnStatus: row.turn_status,
        idempotencyKey: row.idempotency_key,
        role: row.role,
        content: row.content,
        createdAt: DateTime.fromDateUnsafe(row.created_at),
        calls: []
      }
      messages.push(message)
    }
    if (row.call_id !== null) {
      message.calls.push({
        id: row.call_id,
        seq: row.call_seq,
        step: row.call_step,
        position: row.call_position,
        providerCallId: row.call_provider_id,
        toolName: row.call_tool,
        arguments: row.call_arguments,
        result: row.call_result,
        status: row.call_status
      })
    }
  }
  return messages
}

const toConversation = (row: typeof ConversationRow.Type): Conversation => ({
  id: row.id,
  title: row.title,
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

const toPage = <A>(items: ReadonlyArray<A>, limit: number): Page<A> => ({
  items: items.slice(0, limit),
  hasMore: items.length > limit
})

/** What the functions of the database answer beyond what an operation knows is a bug of theirs. */
const unexpected = (operation: string, outcome: { readonly _tag: string }): Effect.Effect<never> =>
  Effect.die(new Error(`${operation} was answered ${outcome._tag}`))

const described = (description: string | null | undefined) => ({
  describe: description === undefined ? "leave" : description === null ? "clear" : "set",
  description: description ?? ""
})

/** The parameters of `task_perform` for one call: none is null, since an array of nulls has no type. */
const toValues = (call: FoldedCall) => {
  const otherwise = call._tag === "Known" ? call.result : call.refusal
  const none = { number: 0, bytes: 0, title: "", ...described(undefined), otherwise }
  if (call._tag === "Known") return { ...none, kind: "known" }
  const { operation } = call
  switch (operation._tag) {
    case "Add":
      return {
        ...none,
        kind: "add",
        number: operation.limit ?? -1,
        title: operation.task.title,
        ...described(operation.task.description)
      }
    case "List":
      return { ...none, kind: "list", number: operation.limit, bytes: operation.bytes, title: operation.status }
    case "Complete":
      return { ...none, kind: "complete", number: operation.taskId }
    case "Remove":
      return { ...none, kind: "remove", number: operation.taskId }
    case "Update": {
      const { description, title } = operation.patch
      return { ...none, kind: "update", number: operation.taskId, title: title ?? "", ...described(description) }
    }
  }
}

/** `ConversationRepo` on PostgreSQL: the turn protocol is in the functions of `migrations.ts`. */
export const make = (schema: SchemaName): Effect.Effect<ConversationRepo["Service"], never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { own, sql } = yield* clientOf(schema)

    const first = (rows: ReadonlyArray<unknown>): unknown => rows[0]

    const found = (conversationId: ConversationId) => (rows: ReadonlyArray<unknown>) =>
      Option.match(Array.head(decodeConversations(rows)), {
        onNone: () => Effect.fail(new ConversationNotFound({ conversationId })),
        onSome: (row) => Effect.succeed(toConversation(row))
      })

    // What a turn consists of has a time limit of the domain's around it: a second one would be half the price of a statement.
    const begin = storageErrors("ConversationRepo.begin")
    const takeUp = storageErrors("ConversationRepo.takeUp")
    const step = storageErrors("ConversationRepo.step")
    const pend = storageErrors("ConversationRepo.pend")
    const complete = storageErrors("ConversationRepo.complete")
    const fail = storageErrors("ConversationRepo.fail")
    const renew = storageErrors("ConversationRepo.renew")
    const settled = storageErrors("ConversationRepo.settled")

    const readStep = (claim: Claim, number: number) =>
      Effect.map(
        sql`select array_agg(c.id) call_ids, array_agg(c.seq) call_seqs, array_agg(c.step) call_steps,
            array_agg(c.position) call_positions, array_agg(c.provider_call_id) call_provider_ids,
            array_agg(c.tool_name) call_tools, array_agg(c.arguments::text) call_arguments,
            array_agg(c.result::text) call_results, array_agg(c.status) call_statuses
          from (select x.* from ${own}turns t join ${own}tool_calls x
              on x.user_id = t.user_id and x.conversation_id = t.conversation_id and x.seq = t.seq
            where t.user_id = ${claim.userId} and t.id = ${claim.turnId}::uuid and x.step = ${number}::int
            order by x.position) c`,
        (rows) => toCalls(decodeCalls(first(rows)))
      )

    const committed = (request: StepRequest, seq: number, results: ReadonlyArray<CallResult>) =>
      ({
        _tag: "Committed",
        calls: request.calls.map((call, position) => ({
          ...call,
          ...Array.getUnsafe(results, position),
          seq,
          step: request.steps + 1,
          position
        }))
      }) as const

    /** A step as one transaction, in which the calls are carried out one after the other. */
    const steppedStep = (claim: Claim, request: StepRequest, execute: StepWork["execute"], leaseMillis: number) =>
      sql
        .withTransaction(
          Effect.gen(function* () {
            const { state } = decodeStepBegun(
              first(
                yield* sql`select ${own}turn_step_begin(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid,
                ${claim.fence}::int, ${request.steps}::int) state`
              )
            )
            if (state === "lost") return { _tag: "Lost" } as const
            if (state === "done") {
              return { _tag: "Committed", calls: yield* readStep(claim, request.steps + 1) } as const
            }
            const results = yield* execute
            const { seq } = decodeSeq(
              first(
                yield* sql`select ${own}turn_step_record(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid,
                ${request.content}, ${request.toldFrom}::int, ${request.usage.promptTokens}::int,
                ${request.usage.completionTokens}::int, ${leaseMillis}::int, ${request.calls.map((call) => call.id)}::uuid[],
                ${request.calls.map((call) => call.providerCallId)}::text[],
                ${request.calls.map((call) => call.toolName)}::text[],
                ${request.calls.map((call) => call.arguments)}::text[],
                ${results.map((result) => result.result)}::text[],
                ${results.map((result) => result.status)}::text[]) seq`
              )
            )
            return committed(request, seq, results)
          })
        )
        .pipe(sqlDefectsAsFailures, Effect.retry({ times: 5, while: isConflict }), step)

    /** A step as one statement, which carries the calls out by itself: a fifth of the round trips, and no connection of its own. */
    const foldedStep = (
      claim: Claim,
      request: StepRequest,
      calls: ReadonlyArray<FoldedCall>,
      leaseMillis: number
    ): Effect.Effect<StepOutcome, StorageUnavailable> => {
      const values = calls.map(toValues)
      return sql`select * from ${own}turn_step(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid,
        ${claim.fence}::int, ${request.steps}::int, ${request.content}, ${request.toldFrom}::int,
        ${request.usage.promptTokens}::int, ${request.usage.completionTokens}::int, ${leaseMillis}::int,
        ${request.calls.map((call) => call.id)}::uuid[],
        ${request.calls.map((call) => call.providerCallId)}::text[], ${request.calls.map((call) => call.toolName)}::text[],
        ${request.calls.map((call) => call.arguments)}::text[], ${values.map((value) => value.kind)}::text[],
        ${values.map((value) => value.number)}::int[], ${values.map((value) => value.bytes)}::int[],
        ${values.map((value) => value.title)}::text[],
        ${values.map((value) => value.describe)}::text[], ${values.map((value) => value.description)}::text[],
        ${values.map((value) => value.otherwise.result)}::text[],
        ${values.map((value) => value.otherwise.status)}::text[])`.pipe(
        retryLocks,
        Effect.flatMap((rows): Effect.Effect<StepOutcome, SqlError.SqlError> => {
          const { outcome, results, seq, statuses } = decodeStep(first(rows))
          if (outcome === "lost") return Effect.succeed({ _tag: "Lost" } as const)
          if (outcome === "done" || seq === null) {
            return Effect.map(readStep(claim, request.steps + 1), (calls) => ({ _tag: "Committed", calls }) as const)
          }
          const stored = results.map((result, i) => ({ result, status: Array.getUnsafe(statuses, i) }))
          return Effect.succeed(committed(request, seq, stored))
        }),
        step
      )
    }

    // A turn outlives whoever begins it, and would go on in a transaction that is over.
    const outside = outsideOfTransactions(
      sql,
      "A turn cannot begin inside of the application's own transaction, which it outlives"
    )

    return ConversationRepo.of({
      begin: (request, policy) =>
        outside(
          sql`select * from ${own}turn_begin(${request.userId}, ${request.turnId}::uuid, ${request.holder}::uuid,
          ${Option.getOrNull(request.idempotencyKey)}::text, ${request.fingerprint},
          ${Option.getOrNull(request.conversationId)}::uuid, ${request.startIfAbsent === true}::boolean,
          ${request.newConversationId}::uuid, ${request.title},
          ${request.messageId}::uuid, ${request.content}, ${JSON.stringify(request.context)}::json,
          ${policy.leaseMillis}::int, ${policy.historyMessages}::int, ${policy.maxAttempts}::int,
          ${policy.turnsPerMinute}::int, ${policy.turnsAtOnce}::int, ${policy.maxConversations}::int,
          ${request.begun}::boolean)`.pipe(
            retryLocks,
            Effect.catchIf(isLockTimeout, () => Effect.succeed([{ outcome: "busy", retry_ms: 1000 }])),
            Effect.flatMap((rows) => {
              const outcome = toOutcome(request.userId, decodeOutcome(first(rows)))
              return outcome._tag === "Lost" ? unexpected("begin", outcome) : Effect.succeed(outcome)
            }),
            begin
          )
        ),
      takeUp: (turn, holder, policy) =>
        sql`select * from ${own}turn_take_up(${turn.userId}, ${turn.turnId}::uuid, ${holder}::uuid,
          ${policy.leaseMillis}::int, ${policy.historyMessages}::int, ${policy.maxAttempts}::int, null, false, false)`.pipe(
          retryLocks,
          Effect.flatMap((rows) => {
            const outcome = toOutcome(turn.userId, decodeOutcome(first(rows)))
            switch (outcome._tag) {
              case "Claimed":
              case "Completed":
              case "Failed":
              case "Running":
              case "Gone":
                return Effect.succeed(outcome)
              default:
                return unexpected("takeUp", outcome)
            }
          }),
          takeUp
        ),
      step: (claim, request, work, leaseMillis) =>
        work.folded !== undefined && isTaskToolsAt(work.folded.tasks, { schema, sql })
          ? foldedStep(claim, request, work.folded.calls, leaseMillis)
          : steppedStep(claim, request, work.execute, leaseMillis),
      pend: (claim, request, leaseMillis) =>
        sql`select ${own}turn_pend(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid, ${claim.fence}::int,
          ${request.steps}::int, ${request.pending}, ${request.usage.promptTokens}::int,
          ${request.usage.completionTokens}::int, ${leaseMillis}::int) state`.pipe(
          retryLocks,
          Effect.map((rows) => ({ _tag: decodePended(first(rows)).state === "pended" ? "Pended" : "Lost" }) as const),
          pend
        ),
      atomically: (_, effect) =>
        sql
          .withTransaction(Effect.tap(effect, sql`select ${own}constraints_hold()`))
          .pipe(
            sqlDefectsAsFailures,
            Effect.mapError(conflictsOfTools("ConversationRepo.atomically")),
            storageErrors("ConversationRepo.atomically")
          ),
      complete: (claim, request) =>
        sql`select * from ${own}turn_complete(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid,
          ${claim.fence}::int, ${request.steps}::int, ${request.messageId}::uuid, ${request.content}, ${request.response},
          ${request.usage.promptTokens}::int, ${request.usage.completionTokens}::int, ${request.stopped}::boolean,
          ${request.toldFrom}::int)`.pipe(
          Effect.map((rows) => {
            const row = decodeCompleted(first(rows))
            return row.outcome === "lost"
              ? ({ _tag: "Lost" } as const)
              : ({ _tag: "Completed", turnId: claim.turnId, body: row.body } as const)
          }),
          complete
        ),
      fail: (claim, request) =>
        sql`select * from ${own}turn_fail(${claim.userId}, ${claim.conversationId}::uuid, ${claim.turnId}::uuid,
          ${claim.fence}::int, ${request.steps}::int, ${JSON.stringify(request.failure)}, ${request.retryable}::boolean,
          ${request.usage.promptTokens}::int, ${request.usage.completionTokens}::int)`.pipe(
          Effect.flatMap((rows) => {
            const outcome = toOutcome(claim.userId, decodeOutcome(first(rows)))
            return outcome._tag === "Failed" || outcome._tag === "Lost"
              ? Effect.succeed(outcome)
              : unexpected("fail", outcome)
          }),
          fail
        ),
      renew: (claims, leaseMillis) =>
        sql`select ${own}turns_renew(${claims.map((claim) => claim.userId)}::text[],
          ${claims.map((claim) => claim.turnId)}::uuid[], ${claims.map((claim) => claim.fence)}::int[],
          ${leaseMillis}::int) id`.pipe(
          Effect.map((rows) => decodeTurnIds(rows).map((row) => row.id)),
          renew
        ),
      handBack: (claims) =>
        sql`select ${own}turns_hand_back(${claims.map((claim) => claim.userId)}::text[],
          ${claims.map((claim) => claim.turnId)}::uuid[], ${claims.map((claim) => claim.fence)}::int[])`.pipe(
          Effect.asVoid,
          asStorage("ConversationRepo.handBack")
        ),
      settled: (turns, leaseMillis) =>
        sql`select ${own}turns_settled(${turns.map((turn) => turn.userId)}::text[],
          ${turns.map((turn) => turn.turnId)}::uuid[], ${leaseMillis}::int) id`.pipe(
          Effect.map((rows) => decodeTurnIds(rows).map((row) => row.id)),
          settled
        ),
      watch: (turns, forMillis) =>
        sql`select * from ${own}turns_watch(${turns.map((turn) => turn.userId)}::text[],
          ${turns.map((turn) => turn.turnId)}::uuid[], ${turns.map((turn) => turn.stop)}::boolean[],
          ${forMillis}::int)`.pipe(
          retryLocks,
          Effect.map((rows) => decodeGlances(rows).map(toGlance)),
          asStorage("ConversationRepo.watch")
        ),
      watched: sql`select * from ${own}turns_watched()`.pipe(
        Effect.map((rows) =>
          decodeWatched(rows).map((row) => ({ turnId: row.turn_id, stop: row.stop, told: row.told }))
        ),
        asStorage("ConversationRepo.watched")
      ),
      tell: (told) =>
        sql`select ${own}turns_tell(${told.map(({ claim }) => claim.userId)}::text[],
          ${told.map(({ claim }) => claim.turnId)}::uuid[], ${told.map(({ claim }) => claim.fence)}::int[],
          ${told.map(({ steps }) => steps)}::int[], ${told.map(({ told }) => told.from)}::int[],
          ${told.map(({ told }) => told.text)}::text[], ${told.map(({ told }) => encodeBegun(told.calls))}::text[])`.pipe(
          retryLocks,
          Effect.asVoid,
          asStorage("ConversationRepo.tell")
        ),
      abandoned: (limit, leaseMillis) =>
        sql`select * from ${own}turns_abandoned(${limit}::int, ${leaseMillis}::int)`.pipe(
          Effect.map((rows) =>
            decodeTurnRefs(rows).map((row) => ({
              userId: row.user_id,
              conversationId: row.conversation_id,
              turnId: row.turn_id
            }))
          ),
          asStorage("ConversationRepo.abandoned")
        ),
      expireLeases: sql`update ${own}turns set lease_until = '-infinity' where status = 'running'`.pipe(
        Effect.asVoid,
        asStorage("ConversationRepo.expireLeases")
      ),
      sweep: (afterMillis) =>
        Effect.andThen(
          sql`delete from ${own}turns where status = 'deleted'
            and finished_at < clock_timestamp() - ${afterMillis}::float8 * interval '1 millisecond'`,
          Effect.andThen(
            sql`delete from ${own}rate_limits where full_at < clock_timestamp() - interval '1 hour'`,
            sql`delete from ${own}turn_watches where until < now() - interval '1 minute'`
          )
        ).pipe(Effect.asVoid, asStorage("ConversationRepo.sweep")),

      // "created_at > '-infinity'" is what makes the index by activity fit: see migrations.ts.
      list: (userId, { after, limit }) =>
        sql`select id, title, created_at, updated_at from ${own}conversations
          where user_id = ${userId} and created_at > '-infinity' ${Option.match(after, {
            onNone: () => sql.literal(""),
            onSome: (cursor) =>
              sql`and (updated_at, id) < (${DateTime.toDateUtc(cursor.updatedAt)}::timestamptz, ${cursor.id}::uuid)`
          })} order by updated_at desc, id desc limit ${limit + 1}::int`.pipe(
          Effect.map((rows) => toPage(decodeConversations(rows).map(toConversation), limit)),
          asStorage("ConversationRepo.list")
        ),
      get: (userId, conversationId) =>
        sql`select id, title, created_at, updated_at from ${own}conversations
          where user_id = ${userId} and id = ${conversationId}::uuid`.pipe(
          Effect.flatMap(found(conversationId)),
          asStorage("ConversationRepo.get")
        ),
      rename: (userId, conversationId, title) =>
        sql`select id, title, created_at, updated_at
          from ${own}conversation_rename(${userId}, ${conversationId}::uuid, ${title})`.pipe(
          retryLocks,
          Effect.flatMap(found(conversationId)),
          asStorage("ConversationRepo.rename")
        ),
      remove: (userId, conversationId) =>
        sql`select ${own}conversation_delete(${userId}, ${conversationId}::uuid) deleted`.pipe(
          retryLocks,
          Effect.flatMap((rows) =>
            decodeDeleted(first(rows)).deleted ? Effect.void : Effect.fail(new ConversationNotFound({ conversationId }))
          ),
          asStorage("ConversationRepo.remove")
        ),
      messages: (userId, conversationId, { after, limit, order }) =>
        sql`select m.id, m.seq, m.turn_id, t.status turn_status, t.idempotency_key, m.role, m.content, m.created_at,
            c.id call_id, c.seq call_seq, c.step call_step, c.position call_position, c.provider_call_id call_provider_id,
            c.tool_name call_tool, c.arguments::text call_arguments, c.result::text call_result, c.status call_status
          from ${own}conversations v
          left join lateral (
            select * from ${own}messages x where x.user_id = v.user_id and x.conversation_id = v.id ${Option.match(
              after,
              {
                onNone: () => sql.literal(""),
                onSome: (seq) => (order === "asc" ? sql`and x.seq > ${seq}::int` : sql`and x.seq < ${seq}::int`)
              }
            )} order by x.seq ${sql.literal(order)} limit ${limit + 1}::int
          ) m on true
          left join ${own}turns t on t.user_id = m.user_id and t.id = m.turn_id
          left join lateral (
            select * from ${own}tool_calls x where x.user_id = m.user_id and x.conversation_id = m.conversation_id
              and x.seq = case when m.role = 'assistant' then m.seq - 1
                when t.status in ('running', 'failed') then m.seq end
            offset 0 -- looked up message by message: as a join it would read all calls of the conversation
          ) c on true
          where v.user_id = ${userId} and v.id = ${conversationId}::uuid
          order by m.seq ${sql.literal(order)}, c.step, c.position`.pipe(
          Effect.flatMap((rows) => {
            if (rows.length === 0) return Effect.fail(new ConversationNotFound({ conversationId }))
            // The conversation without a message: there is none on this page.
            return Effect.succeed(
              isNoMessage(first(rows)) ? toPage([], limit) : toPage(toMessages(decodeMessages(rows)), limit)
            )
          }),
          asStorage("ConversationRepo.messages")
        ),
      turn: (userId, turnId) =>
        sql`select t.conversation_id, t.status, t.fence, t.told_from, t.prompt_tokens, t.completion_tokens, t.response,
            t.failure, t.retryable and v.last_turn_id = t.id retryable, s.*, c.*
          from ${own}turns t
          join ${own}conversations v on v.user_id = t.user_id and v.id = t.conversation_id
          left join lateral (
            select array_agg(x.content) step_contents, array_agg(x.told_from) step_froms
            from (select * from ${own}steps y where y.user_id = t.user_id and y.conversation_id = t.conversation_id
              and y.seq = t.seq order by y.step) x
          ) s on true
          left join lateral (
            select array_agg(x.id) call_ids, array_agg(x.seq) call_seqs, array_agg(x.step) call_steps,
              array_agg(x.position) call_positions, array_agg(x.provider_call_id) call_provider_ids,
              array_agg(x.tool_name) call_tools, array_agg(x.arguments::text) call_arguments,
              array_agg(x.result::text) call_results, array_agg(x.status) call_statuses
            from (select * from ${own}tool_calls y where y.user_id = t.user_id and y.conversation_id = t.conversation_id
              and y.seq = t.seq order by y.step, y.position) x
          ) c on true
          where t.user_id = ${userId} and t.id = ${turnId}::uuid and t.status <> 'deleted'`.pipe(
          Effect.flatMap((rows) =>
            Option.match(Array.head(decodeTurns(rows)), {
              onNone: () => Effect.fail(new TurnNotFound({ turnId })),
              onSome: (row) => Effect.succeed(toStoredTurn(userId, turnId, row))
            })
          ),
          asStorage("ConversationRepo.turn")
        ),
      eraseUser: (userId) =>
        sql`select ${own}user_erase(${userId})`.pipe(
          retryLocks,
          Effect.asVoid,
          asStorage("ConversationRepo.eraseUser")
        ),
      check: sql`select max(migration_id) latest from ${own}${sql(migrationsTable)}`.pipe(
        Effect.flatMap((rows) => {
          const [row] = decodeMigrations(rows)
          return row !== undefined && row.latest !== null && row.latest >= latestMigration
            ? Effect.void
            : Effect.fail(new StorageUnavailable({ operation: "ConversationRepo.check" }))
        }),
        asStorage("ConversationRepo.check")
      )
    })
  })
