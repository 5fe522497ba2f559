import { Effect, Layer, Stream } from "effect"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import type { ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import type { TaskTools } from "../../../src/ports/TaskTools.ts"
import { TurnNews } from "../../../src/ports/TurnNews.ts"
import * as MemoryTurnNews from "../../../src/testing/MemoryTurnNews.ts"
import type { Mutant } from "./Mutant.ts"

export const right: Layer.Layer<ConversationRepo | TaskTools> = MemoryTurnNews.layer(Memory.layer)

type News = Stream.Stream<"watched" | "told">

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (news: News) => News
): Mutant<ConversationRepo> => ({
  name,
  breaks,
  layer: Layer.effect(TurnNews, Effect.map(TurnNews, breaking)).pipe(Layer.provideMerge(right))
})

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<ConversationRepo>> = [
  mutant(
    "says nothing of who watches",
    ["tells that somebody watches a turn"],
    Stream.filter((one) => one === "told")
  ),
  mutant(
    "says nothing of what is told",
    ["tells that something is told of a turn"],
    Stream.filter((one) => one === "watched")
  ),
  mutant("ends behind some news", ["tells each who listens, again and again, and never ends"], Stream.take(4)),
  mutant("tells the first who listens", ["tells each who listens, again and again, and never ends"], (news) => {
    let listening = false
    return Stream.suspend(() => {
      if (listening) return Stream.never
      listening = true
      return news
    })
  })
]
