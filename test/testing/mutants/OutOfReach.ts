import { Context, Effect, Layer, Option } from "effect"
import * as Memory from "../../../src/adapters/memory/Memory.ts"
import { StorageUnavailable } from "../../../src/domain/model/Errors.ts"
import { ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"
import * as Intercept from "../../../src/testing/Intercept.ts"
import type { Mutant } from "./Mutant.ts"

const lost = Effect.fail(new StorageUnavailable({ operation: "test" }))

/** A store that is out of reach, for which some operations do otherwise. */
const away = (change: {
  readonly repo?: (repo: ConversationRepo["Service"]) => Partial<ConversationRepo["Service"]>
  readonly tasks?: (tasks: TaskTools["Service"]) => Partial<TaskTools["Service"]>
  readonly calls?: (calls: DirectCallRepo["Service"]) => Partial<DirectCallRepo["Service"]>
}): Layer.Layer<ConversationRepo | DirectCallRepo | TaskTools> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tasks = yield* TaskTools
      return Context.make(ConversationRepo, {
        ...Intercept.conversationRepo(repo, () => lost),
        ...change.repo?.(repo)
      }).pipe(
        Context.add(TaskTools, { ...Intercept.taskTools(tasks, () => lost), ...change.tasks?.(tasks) }),
        Context.add(DirectCallRepo, {
          perform: () => lost,
          begin: () => lost,
          finish: () => lost,
          sweep: () => lost,
          ...change.calls?.(yield* DirectCallRepo)
        })
      )
    })
  ).pipe(Layer.provide(Memory.layer))

export const right = away({})

const breaks = ["fails with StorageUnavailable, whatever is asked, while the store is out of reach"]

export const conversationRepo: ReadonlyArray<Mutant<ConversationRepo>> = [
  {
    name: "tells an empty list when it cannot look",
    breaks,
    layer: away({ repo: () => ({ list: () => Effect.succeed({ items: [], hasMore: false }) }) })
  },
  {
    name: "runs what is to be a transaction without one",
    breaks,
    layer: away({ repo: () => ({ atomically: (_, effect) => effect }) })
  },
  {
    name: "dies when it is asked for a turn",
    breaks,
    layer: away({ repo: () => ({ turn: () => Effect.die("ECONNREFUSED") }) })
  }
]

export const taskTools: ReadonlyArray<Mutant<TaskTools>> = [
  { name: "finds no task when it cannot look", breaks, layer: away({ tasks: ({ get }) => ({ get }) }) }
]

export const directCallRepo: ReadonlyArray<Mutant<DirectCallRepo>> = [
  {
    name: "performs a call without a key by itself",
    breaks,
    layer: away({
      calls: () => ({
        perform: (_, keyed, execute) =>
          Option.isNone(keyed) ? Effect.map(execute, (result) => ({ _tag: "Carried", result })) : lost
      })
    })
  },
  { name: "begins a call that it cannot remember", breaks, layer: away({ calls: ({ begin }) => ({ begin }) }) },
  { name: "tells a result that it cannot keep", breaks, layer: away({ calls: ({ finish }) => ({ finish }) }) },
  { name: "takes a sweep for a small thing", breaks, layer: away({ calls: () => ({ sweep: () => Effect.void }) }) }
]
