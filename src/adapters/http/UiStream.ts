import { Effect, Predicate } from "effect"
import { legible } from "../../domain/model/Text.ts"
import type { UserId } from "../../domain/model/User.ts"
import { answerWithTelling } from "./EventStream.ts"
import { makeUiChunks, type UiChunk } from "./UiChunks.ts"

const write = (chunk: UiChunk): string => `data: ${legible(JSON.stringify(chunk))}\n\n`

const wordsOf = (problem: object): string => {
  const body = "body" in problem ? problem.body : problem
  return Predicate.hasProperty(body, "detail") && Predicate.isString(body.detail) ? body.detail : ""
}

/** Answers with the chunks of a turn as they happen, for a front end made with the AI SDK. Else as `answerWithEvents`. */
export const answerWithChunks = (userId: UserId, turn: Parameters<typeof answerWithTelling>[0]) =>
  Effect.suspend(() => {
    const chunksOf = makeUiChunks(userId)
    return answerWithTelling(turn, {
      // It is told from its beginning, so that there is something to tell at once.
      opens: false,
      event: (event) => Effect.sync(() => chunksOf(event).map(write).join("")),
      interrupted: (problem) => write({ type: "error", errorText: wordsOf(problem) }),
      end: "data: [DONE]\n\n",
      headers: { "x-vercel-ai-ui-message-stream": "v1" }
    })
  })
