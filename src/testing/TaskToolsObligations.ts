import assert from "node:assert/strict"
import { DateTime, Effect, Option, Result } from "effect"
import { uuidV7 } from "../domain/Ids.ts"
import { TaskId as makeTaskId, type Task, type TaskId } from "../domain/model/Task.ts"
import { UserId } from "../domain/model/User.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

const newUser = Effect.map(uuidV7, (id) => UserId.make(id))
const all = { status: "all", limit: 200, after: Option.none<TaskId>() } as const

/** Adds tasks until the store's clock, which has only so fine a tick, is past the last change of this one. */
const laterThan = Effect.fnUntraced(function* (userId: UserId, task: Task) {
  const tasks = yield* TaskTools
  const later = Effect.map(tasks.add(userId, { title: "Later", description: null }, null), ({ createdAt }) =>
    DateTime.isGreaterThan(createdAt, task.updatedAt)
  )
  yield* Expect.eventually("the store's clock goes on", later)
})

const obligation = obligationsOf("TaskTools")

/** What every adapter of `TaskTools` must do. The layer is built once and shared, so tests keep apart by their users. */
export const obligations: ReadonlyArray<Obligation<TaskTools>> = [
  obligation(
    "adds tasks under numbers that count up per user",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const [user, other] = [yield* newUser, yield* newUser]
      const first = yield* tasks.add(user, { title: "Milk \u{1f95b}", description: "2 litres\nof it" }, null)
      const { createdAt, updatedAt, ...rest } = first
      assert.deepStrictEqual(rest, {
        id: makeTaskId.make(1),
        title: "Milk \u{1f95b}",
        description: "2 litres\nof it",
        completed: false
      })
      assert.deepStrictEqual(createdAt, updatedAt)
      assert.strictEqual((yield* tasks.add(user, { title: "Bread", description: null }, null)).id, 2)
      assert.strictEqual((yield* tasks.add(other, { title: "Bread", description: null }, null)).id, 1)
      assert.deepStrictEqual(yield* tasks.get(user, first.id), first)
    })
  ),

  obligation(
    "never uses a number again",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const add = tasks.add(user, { title: "Milk", description: null }, null)
      const [first, second] = [yield* add, yield* add]
      yield* tasks.remove(user, second.id)
      yield* tasks.remove(user, first.id)
      assert.strictEqual((yield* add).id, 3)
    })
  ),

  obligation(
    "gives every one of many tasks at once a number of its own",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const added = yield* Effect.all(
        Array.from({ length: 30 }, () => tasks.add(user, { title: "Milk", description: null }, null)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        added.map((task) => Number(task.id)).toSorted((a, b) => a - b),
        Array.from({ length: 30 }, (_, i) => i + 1)
      )
    })
  ),

  obligation(
    "adds no more than may be, however many come at once, and uses up no number in vain",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const add = tasks.add(user, { title: "Milk", description: null }, 5)
      const added = yield* Effect.all(
        Array.from({ length: 20 }, () => Effect.result(add)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(added.filter(Result.isSuccess).length, 5)
      for (const { failure } of added.filter(Result.isFailure)) {
        Expect.isTagged(failure, "TooManyTasks")
        assert.strictEqual(failure.limit, 5)
      }
      assert.deepStrictEqual(
        (yield* tasks.list(user, { status: "all", limit: 10, after: Option.none() })).items.map((task) => task.id),
        [1, 2, 3, 4, 5]
      )
      // A completed task is one as well; room is made by deleting.
      yield* tasks.complete(user, makeTaskId.make(1))
      assert.strictEqual((yield* Expect.failureOf(add))._tag, "TooManyTasks")
      yield* tasks.remove(user, makeTaskId.make(3))
      assert.strictEqual((yield* add).id, 6)
      assert.strictEqual((yield* Expect.failureOf(add))._tag, "TooManyTasks")
      assert.strictEqual((yield* tasks.add(yield* newUser, { title: "Milk", description: null }, 5)).id, 1)
      assert.strictEqual((yield* tasks.add(user, { title: "Milk", description: null }, null)).id, 7)
    })
  ),

  obligation(
    "lists by number, by status, page by page",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      for (const title of ["a", "b", "c", "d", "e"]) yield* tasks.add(user, { title, description: null }, null)
      yield* tasks.complete(user, makeTaskId.make(2))
      yield* tasks.complete(user, makeTaskId.make(5))
      const list = (query: Partial<Parameters<typeof tasks.list>[1]>) =>
        Effect.map(tasks.list(user, { ...all, ...query }), ({ hasMore, items }) => [
          items.map((task) => task.title).join(""),
          hasMore
        ])
      assert.deepStrictEqual(yield* list({}), ["abcde", false])
      assert.deepStrictEqual(yield* list({ status: "pending" }), ["acd", false])
      assert.deepStrictEqual(yield* list({ status: "completed" }), ["be", false])
      assert.deepStrictEqual(yield* list({ limit: 5 }), ["abcde", false])
      assert.deepStrictEqual(yield* list({ limit: 2 }), ["ab", true])
      assert.deepStrictEqual(yield* list({ limit: 2, after: Option.some(makeTaskId.make(2)) }), ["cd", true])
      assert.deepStrictEqual(yield* list({ limit: 2, after: Option.some(makeTaskId.make(4)) }), ["e", false])
      assert.deepStrictEqual(yield* list({ status: "pending", limit: 2 }), ["ac", true])
      assert.deepStrictEqual(yield* tasks.list(yield* newUser, all), { items: [], hasMore: false })
    })
  ),

  obligation(
    "completes a task, once and again",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const { id } = yield* tasks.add(user, { title: "Milk", description: null }, null)
      const done = yield* tasks.complete(user, id)
      assert.strictEqual(done.completed, true)
      yield* laterThan(user, done)
      assert.deepStrictEqual(yield* tasks.complete(user, id), done)
    })
  ),

  obligation(
    "changes only what a patch names",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const task = yield* tasks.add(user, { title: "Milk", description: "2 litres" }, null)
      const { createdAt, id } = task
      const seen = (patch: Parameters<typeof tasks.update>[2]) =>
        Effect.map(tasks.update(user, id, patch), ({ completed, description, title }) => [
          title,
          description,
          completed
        ])
      assert.deepStrictEqual(yield* seen({ title: "Oat milk" }), ["Oat milk", "2 litres", false])
      assert.deepStrictEqual(yield* seen({ completed: true }), ["Oat milk", "2 litres", true])
      assert.deepStrictEqual(yield* seen({ description: null }), ["Oat milk", null, true])
      assert.deepStrictEqual(yield* seen({ completed: false, description: "x" }), ["Oat milk", "x", false])
      assert.deepStrictEqual(yield* seen({}), ["Oat milk", "x", false])
      yield* laterThan(user, yield* tasks.get(user, id))
      const changed = yield* tasks.update(user, id, { title: "Soy milk" })
      assert.deepStrictEqual(changed.createdAt, createdAt)
      assert.ok(DateTime.isGreaterThan(changed.updatedAt, createdAt), "a change is later than what it changes")
      assert.deepStrictEqual(yield* tasks.get(user, id), changed)
    })
  ),

  obligation(
    "removes a task and tells what it was",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const task = yield* tasks.add(user, { title: "Milk", description: null }, null)
      assert.deepStrictEqual(yield* tasks.remove(user, task.id), task)
      assert.deepStrictEqual((yield* tasks.list(user, all)).items, [])
    })
  ),

  obligation(
    "finds no task that is absent or someone else's",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const [user, other] = [yield* newUser, yield* newUser]
      const foreign = yield* tasks.add(other, { title: "Theirs", description: null }, null)
      for (const id of [foreign.id, makeTaskId.make(2_147_483_647)]) {
        for (const effect of [
          tasks.get(user, id),
          tasks.complete(user, id),
          tasks.update(user, id, { title: "Mine" }),
          tasks.remove(user, id)
        ]) {
          const error = yield* Expect.failureOf(effect)
          Expect.isTagged(error, "TaskNotFound")
          assert.strictEqual(error.taskId, id)
        }
      }
      assert.deepStrictEqual(yield* tasks.get(other, foreign.id), foreign)
    })
  )
]

/** What every adapter must do whose store is out of reach. */
export const outOfReach: ReadonlyArray<Obligation<TaskTools>> = [
  obligation(
    "fails with StorageUnavailable, whatever is asked, while the store is out of reach",
    Effect.gen(function* () {
      const tasks = yield* TaskTools
      const user = yield* newUser
      const id = makeTaskId.make(1)
      yield* Expect.allUnavailable({
        add: tasks.add(user, { title: "Milk", description: null }, null),
        list: tasks.list(user, all),
        get: tasks.get(user, id),
        complete: tasks.complete(user, id),
        update: tasks.update(user, id, { title: "Bread" }),
        remove: tasks.remove(user, id)
      } satisfies Record<keyof typeof tasks, unknown>)
    })
  )
]
