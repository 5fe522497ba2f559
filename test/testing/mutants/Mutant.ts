import { Context, Effect, Layer } from "effect"
import * as MemoryConversationRepo from "../../../src/adapters/memory/MemoryConversationRepo.ts"
import * as MemoryDirectCallRepo from "../../../src/adapters/memory/MemoryDirectCallRepo.ts"
import * as MemoryStore from "../../../src/adapters/memory/MemoryStore.ts"
import * as MemoryTaskTools from "../../../src/adapters/memory/MemoryTaskTools.ts"
import type { TurnId } from "../../../src/domain/model/Conversation.ts"
import type { UserId } from "../../../src/domain/model/User.ts"
import { ConversationRepo } from "../../../src/ports/ConversationRepo.ts"
import { DirectCallRepo } from "../../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../../src/ports/TaskTools.ts"

/** An adapter in which something was broken on purpose. */
export interface Mutant<Port> {
  /** What it does. */
  readonly name: string
  /** The obligations by which it must be caught. */
  readonly breaks: ReadonlyArray<string>
  readonly layer: Layer.Layer<Port>
}

/** The adapters in memory, which are right, and what they keep. */
export interface Right {
  readonly repo: ConversationRepo["Service"]
  readonly tasks: TaskTools["Service"]
  readonly calls: DirectCallRepo["Service"]
  readonly users: MemoryStore.MemoryStore["Service"]["users"]
  /** Changes the row of a turn, if it is there. */
  readonly edit: (
    userId: UserId,
    turnId: TurnId,
    change: (turn: MemoryStore.TurnRow) => Partial<MemoryStore.TurnRow>
  ) => void
}

/** The adapters in memory with some operations replaced. */
export const wrong = (
  breaking: (right: Right) => {
    readonly repo?: Partial<ConversationRepo["Service"]>
    readonly tasks?: Partial<TaskTools["Service"]>
    readonly calls?: Partial<DirectCallRepo["Service"]>
  }
): Layer.Layer<ConversationRepo | DirectCallRepo | TaskTools> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const repo = yield* ConversationRepo
      const tasks = yield* TaskTools
      const calls = yield* DirectCallRepo
      const { users } = yield* MemoryStore.MemoryStore
      const edit: Right["edit"] = (userId, turnId, change) => {
        const state = MemoryStore.stateOf(users, userId)
        const turn = state.turns.get(turnId)
        if (turn === undefined) return
        users.set(userId, { ...state, turns: MemoryStore.withEntry(state.turns, turnId, { ...turn, ...change(turn) }) })
      }
      const broken = breaking({ repo, tasks, calls, users, edit })
      return Context.make(ConversationRepo, { ...repo, ...broken.repo }).pipe(
        Context.add(TaskTools, { ...tasks, ...broken.tasks }),
        Context.add(DirectCallRepo, { ...calls, ...broken.calls })
      )
    })
  ).pipe(
    Layer.provide(Layer.mergeAll(MemoryConversationRepo.layer, MemoryDirectCallRepo.layer, MemoryTaskTools.layer)),
    Layer.provide(MemoryStore.layer)
  )
