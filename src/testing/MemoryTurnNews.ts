import { Context, Effect, Layer, PubSub, Stream } from "effect"
import { ConversationRepo } from "../ports/ConversationRepo.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import { TurnNews } from "../ports/TurnNews.ts"

/**
 * A store with its news, for instances in one process that share the layer: each hears at once that somebody watches a turn
 * through this store, or that something is told.
 */
export const layer = <E, R>(
  store: Layer.Layer<ConversationRepo | TaskTools, E, R>
): Layer.Layer<ConversationRepo | TaskTools, E, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const news = yield* PubSub.unbounded<"watched" | "told">()
      return Context.make(ConversationRepo, {
        ...repo,
        watch: (turns, time) => Effect.tap(repo.watch(turns, time), () => PubSub.publish(news, "watched")),
        tell: (told) => Effect.tap(repo.tell(told), () => PubSub.publish(news, "told"))
      }).pipe(Context.add(TaskTools, yield* TaskTools), Context.add(TurnNews, Stream.fromPubSub(news)))
    })
  ).pipe(Layer.provide(store))
