import { DateTime, Effect, Layer, Option } from "effect"
import { TaskNotFound, TooManyTasks } from "../../domain/model/Errors.ts"
import { type Task, TaskId } from "../../domain/model/Task.ts"
import type { UserId } from "../../domain/model/User.ts"
import { TaskTools } from "../../ports/TaskTools.ts"
import { MemoryStore, stateOf, withEntry, withoutEntry } from "./MemoryStore.ts"

/** `TaskTools` in memory. */
export const layer: Layer.Layer<TaskTools, never, MemoryStore> = Layer.effect(
  TaskTools,
  Effect.gen(function* () {
    const store = yield* MemoryStore

    const find = (userId: UserId, taskId: TaskId) =>
      Effect.suspend(() => {
        const task = stateOf(store.users, userId).tasks.get(taskId)
        return task === undefined ? Effect.fail(new TaskNotFound({ taskId })) : Effect.succeed(task)
      })

    const put = (userId: UserId, task: Task): Task => {
      const state = stateOf(store.users, userId)
      store.users.set(userId, { ...state, tasks: withEntry(state.tasks, task.id, task) })
      return task
    }

    const change = (userId: UserId, taskId: TaskId, f: (task: Task, now: DateTime.Utc) => Task) =>
      store.exclusively(
        Effect.gen(function* () {
          const task = yield* find(userId, taskId)
          return put(userId, f(task, yield* DateTime.now))
        })
      )

    return TaskTools.of({
      add: (userId, task, limit) =>
        store.exclusively(
          Effect.flatMap(DateTime.now, (now) => {
            const state = stateOf(store.users, userId)
            if (limit !== null && state.tasks.size >= limit) return Effect.fail(new TooManyTasks({ limit }))
            store.users.set(userId, { ...state, nextTaskId: state.nextTaskId + 1 })
            const id = TaskId.make(state.nextTaskId)
            return Effect.succeed(put(userId, { ...task, id, completed: false, createdAt: now, updatedAt: now }))
          })
        ),
      list: (userId, query) =>
        store.exclusively(
          Effect.sync(() => {
            const after = Option.getOrElse(query.after, () => 0)
            // Ids only go up, so the map has them in their order.
            const fitting = [...stateOf(store.users, userId).tasks.values()].filter(
              (task) => task.id > after && (query.status === "all" || task.completed === (query.status === "completed"))
            )
            return { items: fitting.slice(0, query.limit), hasMore: fitting.length > query.limit }
          })
        ),
      get: (userId, taskId) => store.exclusively(find(userId, taskId)),
      complete: (userId, taskId) =>
        change(userId, taskId, (task, now) => (task.completed ? task : { ...task, completed: true, updatedAt: now })),
      update: (userId, taskId, patch) => change(userId, taskId, (task, now) => ({ ...task, ...patch, updatedAt: now })),
      remove: (userId, taskId) =>
        store.exclusively(
          Effect.tap(find(userId, taskId), () =>
            Effect.sync(() => {
              const state = stateOf(store.users, userId)
              store.users.set(userId, { ...state, tasks: withoutEntry(state.tasks, taskId) })
            })
          )
        )
    })
  })
)
