import { Clock, Context, DateTime, Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import {
  type CallResult,
  type ClaimedTurn,
  type Completed,
  ConversationRepo,
  type Failed,
  type History,
  type Lost,
  type StepWork,
  type StoredCall
} from "../ports/ConversationRepo.ts"
import { type Completion, LLM, ModelFailed, type Prompt } from "../ports/LLM.ts"
import { toPromptMessages } from "./History.ts"
import { uuidV7 } from "./Ids.ts"
import type { LiveTurn } from "./LiveTurn.ts"
import * as ModelBreaker from "./ModelBreaker.ts"
import { MessageId, ToolCallId } from "./model/Conversation.ts"
import { StorageUnavailable } from "./model/Errors.ts"
import { toStorable } from "./model/Text.ts"
import {
  addUsage,
  type Failure,
  isRetryableReason,
  type ModelFailureReason,
  noUsage,
  summarizeUsage,
  type TurnReply,
  type Usage
} from "./model/Turn.ts"
import { systemPrompt } from "./Prompt.ts"
import { retryFailed } from "./Retry.ts"
import { Settings } from "./Settings.ts"
import { encodeToolCall } from "./ToolCalls.ts"
import { type PreparedCall, refusal, settled, storableArguments, Tools } from "./Tools.ts"
import { leaseMillis } from "./TurnPolicy.ts"

/** How often the model may be asked in a turn. */
const maxModelCalls = 10
/** How often one model call is tried. */
const maxTries = 3
/** How many tool calls of one answer are carried out; the others are refused. */
const maxToolCalls = 16
/** How many of them are looked at at all: the OpenAI API takes no more in one message of a prompt. */
const maxStoredCalls = 128
/** How much of a call's arguments is kept: more than is ever carried out. */
const longestArguments = 70_000

/** The loop of a turn: the model is asked, its tools are run and committed, until it replies. */
export class Agent extends Context.Service<
  Agent,
  {
    /**
     * Carries a claimed turn on from its last committed step to its end. No transaction is open while the model thinks.
     *
     * - `Completed`, `Failed`: the turn has ended so, as stored; when it was asked to stop, with what the model had said
     *   until then for its reply
     * - `Lost`: the claim is over; someone else goes on
     * - fails with `StorageUnavailable` when the end could not be stored: the turn goes on when its lease is over
     *
     * What happens is told as it happens, and so is how the turn ends, but not that this attempt is lost.
     */
    readonly run: (turn: ClaimedTurn, live: LiveTurn) => Effect.Effect<Completed | Failed | Lost, StorageUnavailable>
  }
>()("turnkeeper/domain/Agent") {}

export const layer: Layer.Layer<Agent, never, ConversationRepo | LLM | Tools> = Layer.effect(
  Agent,
  Effect.gen(function* () {
    const repo = yield* ConversationRepo
    const llm = yield* LLM
    const breaker = yield* ModelBreaker.ModelBreaker
    const tools = yield* Tools
    const settings = yield* Settings

    const run = Effect.fnUntraced(
      function* (turn: ClaimedTurn, live: LiveTurn): Effect.fn.Return<Completed | Failed | Lost, StorageUnavailable> {
        const { claim } = turn
        const started = yield* Clock.currentTimeMillis
        const deadline = started + Duration.toMillis(settings.turnTimeout)
        const system = systemPrompt(turn.context.userName, DateTime.makeUnsafe(started))

        let steps = turn.steps
        let history = turn.history
        let halved = false
        // What the model used since the last write, so that whatever is written next tells of it.
        let unrecorded = noUsage
        let recorded = turn.usage
        const spend = (usage: Usage) => {
          unrecorded = addUsage(unrecorded, usage)
        }

        const shorten = () => {
          const possible = !halved
          halved = true
          return possible
        }

        const askOnce = Effect.fnUntraced(function* (): Effect.fn.Return<Completion, ModelFailed> {
          const left = deadline - (yield* Clock.currentTimeMillis)
          const prompt: Prompt = {
            system,
            messages: toPromptMessages(history, turn.seq, { tokens: settings.historyTokens, halved }),
            tools: tools.definitions
          }
          const inTime = Effect.timeoutOrElse<Completion, ModelFailed, never>({
            duration: Math.max(0, left),
            orElse: () => Effect.fail(new ModelFailed({ reason: "timed_out" }))
          })
          live.ask()
          const answer = llm.complete(prompt, live.onText()).pipe(
            Effect.tap((completion) => Effect.sync(() => spend(completion.usage))),
            Effect.tapError((error) => Effect.sync(() => spend(error.usage ?? noUsage))),
            Effect.flatMap(usable)
          )
          // That the rest of the turn's time was too short for an answer tells nothing of the model.
          return yield* left < enoughMillis ? inTime(breaker.guard(answer)) : breaker.guard(inTime(answer))
        })

        const fail = (failure: Failure, retryable: boolean) =>
          repo.fail(claim, { steps, failure, retryable, usage: unrecorded }).pipe(patiently, tellEnd(live, false))

        const complete = Effect.fnUntraced(function* (content: string, stopped: boolean) {
          const messageId = MessageId.make(yield* uuidV7)
          const usage = summarizeUsage(addUsage(recorded, unrecorded))
          const response = encodeReply({
            conversation_id: claim.conversationId,
            turn_id: claim.turnId,
            message_id: messageId,
            message: content,
            tool_calls: history.calls
              .filter((call) => call.seq === turn.seq)
              .map((call) => encodeToolCall(claim.userId, call)),
            usage: {
              prompt_tokens: usage.promptTokens,
              completion_tokens: usage.completionTokens,
              total_tokens: usage.totalTokens
            },
            ...(stopped ? { stopped } : {})
          })
          const { from: toldFrom } = live.told()
          return yield* repo
            .complete(claim, { steps, messageId, content, response, usage: unrecorded, stopped, toldFrom })
            .pipe(patiently, tellEnd(live, stopped))
        })

        /**
         * Past the deadline the lease runs out, and another instance would make the call beside this one. The model is left some
         * time to tell of it.
         */
        const beforeDeadline = Effect.fnUntraced(function* <E>(call: Effect.Effect<CallResult, E>) {
          const left = deadline - enoughMillis - (yield* Clock.currentTimeMillis)
          return yield* Effect.timeoutOrElse(call, {
            duration: Math.max(0, left),
            orElse: () => Effect.succeed(outOfTime)
          })
        })

        /** Carries a step out, which is kept already if another attempt has begun it; answers whether the claim still holds. */
        const step = Effect.fnUntraced(function* ({ calls, content }: PlannedStep, isKept: boolean) {
          live.callsBegun(calls)
          const prepared = [
            ...calls
              .slice(0, maxToolCalls)
              .map((call, i) =>
                tools.prepare(claim.userId, call.toolName, call.written, `${claim.turnId}:${steps + 1}:${i}`)
              ),
            ...calls.slice(maxToolCalls).map(() => tooMany)
          ]
          if (!isKept && prepared.some((call) => call.isExternal)) {
            const pending = encodePlanned({ content, calls })
            const kept = yield* repo.pend(claim, { steps, pending, usage: unrecorded }, leaseMillis).pipe(patiently)
            if (kept._tag === "Lost") return false
            recorded = addUsage(recorded, unrecorded)
            unrecorded = noUsage
          }
          // What works outside has worked before the step's transaction begins.
          const ready = yield* Effect.forEach(prepared, (call) =>
            call.isExternal ? Effect.map(beforeDeadline(call.execute), settled) : Effect.succeed(call)
          )
          const usage = unrecorded
          const stored = calls.map(({ written: _, ...call }) => call)
          const request = { steps, content, usage, calls: stored, toldFrom: live.told().from }
          const outcome = yield* repo.step(claim, request, workOf(ready, tools.tasks), leaseMillis).pipe(patiently)
          if (outcome._tag === "Lost") return false
          steps++
          recorded = addUsage(recorded, usage)
          unrecorded = noUsage
          history = withStep(history, turn.seq, steps, content, outcome.calls)
          live.stepDone(content, outcome.calls)
          return true
        })

        /** What the model comes to: the next step, or the turn's end. */
        const think = Effect.fnUntraced(function* (): Effect.fn.Return<Ended | PlannedStep, StorageUnavailable> {
          if (steps >= maxModelCalls) return yield* fail({ code: "step_limit" }, false)
          const asked = yield* untilStopped(live, Effect.result(persist(askOnce, shorten, deadline)))
          if (Option.isNone(asked)) return yield* complete(live.told().text, true)
          const result = asked.value
          if (result._tag === "Failure") {
            const { reason } = result.failure
            yield* Effect.annotateLogs(logFailure(result.failure), { turnId: claim.turnId })
            return yield* fail({ code: "model_failed", reason }, isRetryableReason(reason))
          }
          const completion = result.success
          live.said(completion.text)
          if (completion.toolCalls.length === 0) return yield* complete(toStorable(completion.text), false)
          return yield* planned(completion)
        })

        let kept = turn.pending === null ? undefined : decodePlanned(turn.pending)
        if (kept !== undefined) live.said(kept.content)
        while (true) {
          const next = kept ?? (yield* think())
          if ("_tag" in next) return next
          if (!(yield* step(next, kept !== undefined))) return { _tag: "Lost" } as const
          kept = undefined
        }
      },
      Effect.withSpan("Agent.run", undefined, { captureStackTrace: false })
    )

    return Agent.of({ run })
  })
).pipe(Layer.provide(ModelBreaker.layer))

const tooMany = settled(refusal(`No more than ${maxToolCalls} tool calls are carried out at once.`))

const outOfTime = refusal("The tool did not answer within the time of the turn.")

/** The calls as the work of a step: as values, too, where all of them are such. */
const workOf = (calls: ReadonlyArray<PreparedCall>, tasks: Tools["Service"]["tasks"]): StepWork => {
  const folded = calls.flatMap((call) => call.folded ?? [])
  return {
    execute: Effect.forEach(calls, (call) => call.execute),
    ...(tasks !== undefined && folded.length === calls.length && { folded: { tasks, calls: folded } })
  }
}

type Ended = Completed | Failed | Lost

/** A step that is to be carried out, with what the model wrote: calls and their ids are the same whoever does it. */
const PlannedStep = Schema.Struct({
  content: Schema.String,
  calls: Schema.Array(
    Schema.Struct({
      id: ToolCallId,
      providerCallId: Schema.String,
      toolName: Schema.String,
      /** The arguments as the model wrote them, JSON or not; and as they are told and stored. */
      written: Schema.String,
      arguments: Schema.String
    })
  )
})
type PlannedStep = typeof PlannedStep.Type
const encodePlanned = Schema.encodeSync(Schema.fromJsonString(PlannedStep))
const decodePlanned = Schema.decodeUnknownSync(Schema.fromJsonString(PlannedStep))

const planned = Effect.fnUntraced(function* ({ text, toolCalls }: Completion) {
  const asked = toolCalls.slice(0, maxStoredCalls)
  const ids = yield* Effect.forEach(asked, () => uuidV7)
  return {
    content: toStorable(text),
    calls: asked.map((call, i) => ({
      id: ToolCallId.make(ids[i] ?? ""),
      providerCallId: toStorable(call.id.slice(0, 256)),
      toolName: toStorable(call.name.slice(0, 256)),
      written: toStorable(call.arguments.slice(0, longestArguments)),
      arguments: storableArguments(call.arguments)
    }))
  }
})

/** What the model comes to; none when the turn is asked to stop before that. */
const untilStopped = <A>(live: LiveTurn, asked: Effect.Effect<A>): Effect.Effect<Option.Option<A>> =>
  Effect.suspend(() =>
    live.isStopping()
      ? Effect.succeedNone
      : Effect.raceFirst(Effect.asSome(asked), Effect.as(live.stopping, Option.none<A>()))
  )

/** For the operator, who may have to mend it; what was said is not in it. */
const logFailure = ({ cause, reason }: ModelFailed): Effect.Effect<void> =>
  Effect.logWarning(`The model failed: ${reason}`, ...(cause === undefined ? [] : [cause]))

/** Tells how the turn has ended, if it has. */
const tellEnd =
  (live: LiveTurn, stopped: boolean) =>
  <O extends Completed | Failed | Lost, E>(ending: Effect.Effect<O, E>): Effect.Effect<O, E> =>
    Effect.map(ending, (outcome) => {
      if (outcome._tag === "Failed") live.end(outcome)
      if (outcome._tag === "Completed") live.end({ _tag: stopped ? "Stopped" : "Completed", body: outcome.body })
      return outcome
    })

/** Of the encoded form: encoding it by its schema takes ten times as long. */
const encodeReply = (reply: typeof TurnReply.Encoded): string => JSON.stringify(reply)

const backoffMillis = 500
/** A model that has not answered within this time may be taken to be down. */
const enoughMillis = 5000

/** Whether the same turn may ask again by itself. */
const isWorthAnotherTry = (reason: ModelFailureReason) => isRetryableReason(reason) && reason !== "unavailable"

/**
 * Asks until there is an answer, as long as that may help: three times, with pauses that grow or that the provider asks
 * for, and not past the deadline. A prompt that is too long is another question once it was shortened.
 */
const persist = Effect.fnUntraced(function* (
  askOnce: () => Effect.Effect<Completion, ModelFailed>,
  shorten: () => boolean,
  deadline: number
): Effect.fn.Return<Completion, ModelFailed> {
  let tries = 0
  while (true) {
    const result = yield* Effect.result(askOnce())
    if (result._tag === "Success") return result.success
    const error = result.failure
    if (error.reason === "context_too_long" && shorten()) continue
    tries++
    if (!isWorthAnotherTry(error.reason) || tries === maxTries) return yield* error
    const pause = Math.max(error.retryAfterMillis ?? 0, backoffMillis * 2 ** (tries - 1))
    if (pause >= deadline - (yield* Clock.currentTimeMillis)) return yield* error
    yield* Effect.sleep(pause)
  }
})

/**
 * A model's answer has been paid for: the store may be away for a while before it is given up. Each operation may be sent
 * again as it was, and is when it has not been answered for so long that it never may be. With a store that hangs all this
 * takes half a minute.
 */
const patiently = <A>(operation: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A, StorageUnavailable> =>
  operation.pipe(
    Effect.timeoutOrElse({
      duration: "12 seconds",
      orElse: () => Effect.fail(new StorageUnavailable({ operation: "Agent.run" }))
    }),
    retryFailed({ schedule: storePatience })
  )

const storePatience = Schedule.exponential("100 millis", 1.6).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 8, duration: "8 seconds" })
)

/** An answer that is cut in the middle of its tool calls, or says nothing, is none. */
const usable = (completion: Completion): Effect.Effect<Completion, ModelFailed> =>
  completion.toolCalls.length > 0
    ? completion.finishReason === "length"
      ? Effect.fail(new ModelFailed({ reason: "bad_answer" }))
      : Effect.succeed(completion)
    : toStorable(completion.text).trim() === ""
      ? Effect.fail(new ModelFailed({ reason: "bad_answer" }))
      : Effect.succeed(completion)

const withStep = (
  history: History,
  seq: number,
  step: number,
  content: string,
  calls: ReadonlyArray<StoredCall>
): History => ({
  messages: history.messages,
  steps: [...history.steps, { seq, step, content }],
  calls: [...history.calls, ...calls]
})
