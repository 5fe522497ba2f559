import { Cause, Effect, Option, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpServerResponse } from "effect/http"
import { toTurnFailed } from "../../domain/Chat.ts"
import type { FeedError } from "../../domain/FarTurn.ts"
import { legible } from "../../domain/model/Text.ts"
import type { UserId } from "../../domain/model/User.ts"
import { encodeToolCall } from "../../domain/ToolCalls.ts"
import type { TurnEvent } from "../../domain/TurnEvents.ts"
import type { TurnFeed } from "../../domain/TurnFeed.ts"
import { problem, TurnFailed } from "./Problems.ts"
import { feedRefusals, turnProblem } from "./Refusals.ts"

const eventStreamType = "text/event-stream"

/** How much a client wants a media type (RFC 9110, section 12.5.1), from 0 to 1; what it does not name it does not want. */
const weightOf = (accept: string, type: string): number => {
  for (const range of accept.toLowerCase().split(",")) {
    const [name, ...parameters] = range.split(";").map((part) => part.trim())
    if (name !== type) continue
    const weight = parameters.find((parameter) => parameter.startsWith("q="))
    return weight === undefined ? 1 : Number(weight.slice(2))
  }
  return 0
}

/** Whether a client that accepts this wants a turn's events, and not its answer alone. */
export const wantsEvents = (accept = ""): boolean => {
  const weight = weightOf(accept, eventStreamType)
  return weight > 0 && weight >= weightOf(accept, "application/json")
}

/** Proxies drop a connection on which nothing comes for a minute or so: a comment is nothing to a client, and something to them. */
const keepAliveEvery = "15 seconds"
const keepAlive = ": the turn goes on\n\n"
/** The head of an answer is sent with the first of its body only, and the next event may be long in coming. */
const opening = ": what happens from here on\n\n"

const headers = {
  "cache-control": "no-store",
  // nginx and those that have learnt from it would hold events back until they fill a buffer.
  "x-accel-buffering": "no"
}

/** Writes an event whose data is JSON, without a character that a terminal would obey. */
const write = (event: string, data: string, id?: string): string =>
  Sse.encoder.write({ _tag: "Event", event, id, data: legible(data) })

const eventNames: { readonly [Tag in TurnEvent["_tag"]]: string } = {
  Begun: "begun",
  Text: "text",
  Restarted: "restarted",
  ToolCallBegun: "tool_call_begun",
  ToolCallDone: "tool_call_done",
  StepDone: "step_done",
  Completed: "completed",
  Stopped: "stopped",
  Failed: "failed"
}

/** What an event says, as JSON. */
const dataOf = (userId: UserId, event: TurnEvent): Effect.Effect<string> | string => {
  switch (event._tag) {
    case "Begun":
      return JSON.stringify({ conversation_id: event.conversationId, turn_id: event.turnId })
    case "Text":
      return JSON.stringify({ text: event.text })
    case "ToolCallBegun": {
      const { arguments: args, id, tool_name } = encodeToolCall(userId, { ...event.call, ...unfinished })
      return JSON.stringify({ id, tool_name, arguments: args })
    }
    case "ToolCallDone":
      return JSON.stringify(encodeToolCall(userId, event.call))
    case "StepDone":
    case "Restarted":
      return JSON.stringify({ step: event.step })
    case "Completed":
    case "Stopped":
      return event.body
    case "Failed":
      return Effect.map(turnProblem(toTurnFailed(event.turn)), problemText)
  }
}

const textOf = (userId: UserId, event: TurnEvent): Effect.Effect<string> => {
  const data = dataOf(userId, event)
  const toText = (data: string) =>
    write(eventNames[event._tag], data, `${event.attempt}.${event.step}.${event.position}`)
  return typeof data === "string" ? Effect.succeed(toText(data)) : Effect.map(data, toText)
}

const unfinished = { seq: 0, step: 0, position: 0, providerCallId: "", status: "success", result: "{}" } as const

const encodeTurnFailed = Schema.encodeUnknownOption(TurnFailed)

/** A problem as it would have been the answer's body. */
const problemText = (error: object): string => {
  const body = "body" in error ? error.body : error
  return JSON.stringify(Option.getOrElse(encodeTurnFailed(body), () => body))
}

/** Why a turn can be followed no longer, although it has not come to its end: a problem. */
const interrupted = (cause: Cause.Cause<FeedError>): Effect.Effect<object> =>
  Effect.failCause(cause).pipe(
    Effect.catchTags(feedRefusals),
    Effect.catchCause((refusal): Effect.Effect<object> => {
      const error = Cause.findErrorOption(refusal)
      return Option.isSome(error)
        ? Effect.succeed(error.value)
        : Effect.andThen(
            Effect.logError("A request failed", refusal),
            problem("internal", "The cause is in the log, under this request id.")
          )
    })
  )

type Followed = ReturnType<TurnFeed["Service"]["follow"]>

/** How a turn is told to those who watch it. */
export interface Telling {
  readonly event: (event: TurnEvent) => Effect.Effect<string>
  /** When it can be followed no longer, although it has not come to its end: by the problem that this is. */
  readonly interrupted: (problem: object) => string
  /** Whether it may be long until something happens, so that the answer must begin without. */
  readonly opens: boolean
  /** What comes behind everything. */
  readonly end: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Answers with the events of a turn as they happen, the last of which is `completed` or `stopped`, with the answer for its
 * data, or `failed`, with a problem. When it can be followed no longer before that, the last one is `interrupted`, with the
 * problem that this is. Fails as without a stream when there is nothing to follow. Whoever goes away leaves the turn as it is.
 */
export const answerWithEvents = (
  userId: UserId,
  turn: Followed,
  { opens = false, replayed = false }: { readonly opens?: boolean; readonly replayed?: boolean } = {}
) =>
  answerWithTelling(turn, {
    opens,
    event: (event) => textOf(userId, event),
    interrupted: (problem) => write("interrupted", problemText(problem)),
    end: "",
    headers: replayed ? { "idempotency-replayed": "true" } : {}
  })

/** The same in whatever form it is told. */
export const answerWithTelling = Effect.fnUntraced(function* (turn: Followed, telling: Telling) {
  // The stream is read when the request has been answered, but belongs to it: its id, and what logs say of it.
  const request = yield* Effect.context<never>()
  const events = yield* Effect.catchTags(turn, feedRefusals)
  const texts = events.pipe(
    // What has come together is written together.
    Stream.chunks,
    Stream.mapEffect((events) => Effect.map(Effect.forEach(events, telling.event), (all) => all.join(""))),
    Stream.catchCause((cause) => Stream.fromEffect(Effect.map(interrupted(cause), telling.interrupted))),
    Stream.concat(telling.end === "" ? Stream.empty : Stream.succeed(telling.end)),
    Stream.merge(Stream.as(Stream.drop(Stream.tick(keepAliveEvery), 1), keepAlive), { haltStrategy: "left" }),
    Stream.provideContext(request)
  )
  return HttpServerResponse.stream(Stream.encodeText(telling.opens ? Stream.prepend(texts, [opening]) : texts), {
    contentType: eventStreamType,
    headers: { ...headers, ...telling.headers }
  })
})
