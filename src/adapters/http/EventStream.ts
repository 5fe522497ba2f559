import { type Array, Cause, Effect, Fiber, Option, Queue, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpServerResponse } from "effect/http"
import type { ChatAnswer } from "../../domain/Chat.ts"
import type { UserId } from "../../domain/model/User.ts"
import { encodeToolCall } from "../../domain/ToolCalls.ts"
import type { TurnEvent, Watcher } from "../../domain/TurnEvents.ts"
import { legible } from "./Legible.ts"
import { problem, TurnFailed } from "./Problems.ts"

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

const headers = {
  "cache-control": "no-store",
  // nginx and those that have learnt from it would hold events back until they fill a buffer.
  "x-accel-buffering": "no"
}

const write = (event: string, data: string, id?: string): string =>
  Sse.encoder.write({ _tag: "Event", event, id, data: legible(data) })

const eventNames: { readonly [Tag in TurnEvent["_tag"]]: string } = {
  Begun: "begun",
  Text: "text",
  Restarted: "restarted",
  ToolCallBegun: "tool_call_begun",
  ToolCallDone: "tool_call_done",
  StepDone: "step_done"
}

const dataOf = (userId: UserId, event: TurnEvent): object => {
  switch (event._tag) {
    case "Begun":
      return { conversation_id: event.conversationId, turn_id: event.turnId }
    case "Text":
      return { text: event.text }
    case "ToolCallBegun": {
      const { arguments: args, id, tool_name } = encodeToolCall(userId, { ...event.call, ...unfinished })
      return { id, tool_name, arguments: args }
    }
    case "ToolCallDone":
      return encodeToolCall(userId, event.call)
    case "StepDone":
      return { step: event.step }
    case "Restarted":
      return { step: event.step }
  }
}

const textOf = (userId: UserId, event: TurnEvent): string =>
  write(
    eventNames[event._tag],
    JSON.stringify(dataOf(userId, event)),
    `${event.attempt}.${event.step}.${event.position}`
  )

const unfinished = { seq: 0, step: 0, position: 0, providerCallId: "", status: "success", result: "{}" } as const

const encodeTurnFailed = Schema.encodeUnknownOption(TurnFailed)

/** A problem as it would have been the answer's body. */
const problemText = (error: object): string => {
  const body = "body" in error ? error.body : error
  return JSON.stringify(Option.getOrElse(encodeTurnFailed(body), () => body))
}

const completed = (answer: ChatAnswer): string => write("completed", answer.body)

/**
 * Answers with the events of a turn as they happen, the last of which is `completed`, with the answer for its data, or `failed`,
 * with a problem. What fails before the first event fails as it does without a stream. Whoever goes away leaves the turn as
 * it is.
 */
export const answerWithEvents = Effect.fnUntraced(function* <E extends object, R>(
  userId: UserId,
  send: (watch: Watcher) => Effect.Effect<ChatAnswer, E, R>
) {
  // The stream is read when the request has been answered, but belongs to it: its id, and what logs say of it.
  const request = yield* Effect.context<never>()
  const events = yield* Queue.unbounded<TurnEvent, Cause.Done>()
  const sending = yield* Effect.forkScoped(
    Effect.ensuring(
      send((event) => Queue.offerUnsafe(events, event)),
      Queue.end(events)
    )
  )
  const first = yield* Effect.option(Queue.peek(events))
  // Without an event there is the answer alone: another request, or another instance, has run the turn.
  const answer = Option.isNone(first) ? yield* Fiber.join(sending) : undefined
  const end = Fiber.await(sending).pipe(
    Effect.flatMap((exit) => {
      if (exit._tag === "Success") return Effect.succeed(completed(exit.value))
      const error = Cause.findErrorOption(exit.cause)
      return Option.isSome(error)
        ? Effect.succeed(write("failed", problemText(error.value)))
        : Effect.andThen(
            Effect.logError("A request failed", exit.cause),
            Effect.map(problem("internal", "The cause is in the log, under this request id."), (body) =>
              write("failed", JSON.stringify(body))
            )
          )
    })
  )
  const texts = Stream.fromQueue(events).pipe(
    // What has come together is written together.
    Stream.mapArray(
      (batch): Array.NonEmptyReadonlyArray<string> => [batch.map((event) => textOf(userId, event)).join("")]
    ),
    Stream.concat(Stream.fromEffect(end)),
    Stream.merge(Stream.as(Stream.drop(Stream.tick(keepAliveEvery), 1), keepAlive), { haltStrategy: "left" }),
    Stream.provideContext(request)
  )
  return HttpServerResponse.stream(Stream.encodeText(texts), {
    contentType: eventStreamType,
    headers: { ...headers, ...(answer?.replayed === true && { "idempotency-replayed": "true" }) }
  })
})
