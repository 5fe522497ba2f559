import { Effect, Option } from "effect"
import { stateOf } from "../../../src/adapters/memory/MemoryStore.ts"
import { TaskNotFound, TooManyTasks } from "../../../src/domain/model/Errors.ts"
import type { UserId } from "../../../src/domain/model/User.ts"
import type { TaskTools } from "../../../src/ports/TaskTools.ts"
import { type Mutant, type Right, wrong } from "./Mutant.ts"

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (right: Right) => Partial<TaskTools["Service"]>
): Mutant<TaskTools> => ({ name, breaks, layer: wrong((right) => ({ tasks: breaking(right) })) })

/** Has the user's next task get this number. */
const setNext = ({ users }: Right, userId: UserId, next: number): void => {
  users.set(userId, { ...stateOf(users, userId), nextTaskId: next })
}

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<TaskTools>> = [
  mutant("numbers tasks of all users together", ["adds tasks under numbers that count up per user"], (right) => ({
    add: (userId, task, limit) =>
      Effect.suspend(() => {
        setNext(right, userId, Math.max(...[...right.users.values()].map((state) => state.nextTaskId), 1))
        return right.tasks.add(userId, task, limit)
      })
  })),
  mutant("gives the number of a removed task again", ["never uses a number again"], (right) => ({
    add: (userId, task, limit) =>
      Effect.suspend(() => {
        setNext(right, userId, Math.max(...stateOf(right.users, userId).tasks.keys(), 0) + 1)
        return right.tasks.add(userId, task, limit)
      })
  })),
  mutant(
    "reads the next number, and uses it a moment later",
    ["gives every one of many tasks at once a number of its own"],
    (right) => ({
      add: (userId, task, limit) =>
        Effect.suspend(() => {
          const { nextTaskId } = stateOf(right.users, userId)
          return Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => {
              setNext(right, userId, nextTaskId)
              return right.tasks.add(userId, task, limit)
            })
          )
        })
    })
  ),
  mutant(
    "counts the tasks, and adds one a moment later",
    ["adds no more than may be, however many come at once, and uses up no number in vain"],
    ({ tasks, users }) => ({
      add: (userId, task, limit) =>
        Effect.suspend(() =>
          limit !== null && stateOf(users, userId).tasks.size >= limit
            ? Effect.fail(new TooManyTasks({ limit }))
            : Effect.andThen(Effect.yieldNow, tasks.add(userId, task, null))
        )
    })
  ),
  mutant("lists tasks of any status", ["lists by number, by status, page by page"], ({ tasks }) => ({
    list: (userId, query) => tasks.list(userId, { ...query, status: "all" })
  })),
  mutant("does not find a completed task to complete", ["completes a task, once and again"], ({ tasks }) => ({
    complete: (userId, taskId) =>
      Effect.flatMap(tasks.get(userId, taskId), (task) =>
        task.completed ? Effect.fail(new TaskNotFound({ taskId })) : tasks.complete(userId, taskId)
      )
  })),
  mutant("clears a description that no patch names", ["changes only what a patch names"], ({ tasks }) => ({
    update: (userId, taskId, patch) => tasks.update(userId, taskId, { description: null, ...patch })
  })),
  mutant("tells of a removed task, and keeps it", ["removes a task and tells what it was"], ({ tasks }) => ({
    remove: (userId, taskId) => tasks.get(userId, taskId)
  })),
  mutant("finds a task whosever it is", ["finds no task that is absent or someone else's"], ({ tasks, users }) => ({
    get: (userId, taskId) =>
      Effect.suspend(() => {
        const owner = [...users].find(([, state]) => state.tasks.has(taskId))?.[0]
        return tasks.get(
          Option.getOrElse(Option.fromUndefinedOr(owner), () => userId),
          taskId
        )
      })
  })),
  mutant("says of a full page that there is more", ["lists by number, by status, page by page"], ({ tasks }) => ({
    list: (userId, query) =>
      Effect.map(tasks.list(userId, query), (page) => ({ ...page, hasMore: page.items.length === query.limit }))
  })),
  mutant("changes a task that is completed already", ["completes a task, once and again"], ({ tasks }) => ({
    complete: (userId, taskId) => tasks.update(userId, taskId, { completed: true })
  })),
  mutant("does not note when a task was changed", ["changes only what a patch names"], ({ tasks }) => ({
    update: (userId, taskId, patch) =>
      Effect.map(tasks.update(userId, taskId, patch), (task) => ({ ...task, updatedAt: task.createdAt }))
  }))
]
