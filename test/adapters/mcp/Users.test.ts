import { assert, layer } from "@effect/vitest"
import { Array, Effect, Schema } from "effect"
import { uuidV7 } from "../../../src/domain/Ids.ts"
import { connect, serveMcp, stores, tasksOf } from "../../support/mcp.ts"

/** What a client may ask for. A user's first task is number 1. */
const Move = Schema.Union([
  Schema.TaggedStruct("Add", { title: Schema.Literals(["Milk", "Bread", "Tea"]), again: Schema.Boolean }),
  Schema.TaggedStruct("Complete", { task: Schema.Literals([1, 2, 3, 4, 5, 6]) }),
  Schema.TaggedStruct("Update", {
    task: Schema.Literals([1, 2, 3, 4, 5, 6]),
    title: Schema.Literals(["Rye", "Oat milk"])
  }),
  Schema.TaggedStruct("Delete", { task: Schema.Literals([1, 2, 3, 4, 5, 6]) }),
  Schema.TaggedStruct("List", {})
])
type Move = typeof Move.Type
const Moves = Schema.Array(Move).pipe(Schema.check(Schema.isMinLength(1), Schema.isMaxLength(12)))

/** What a list is after these moves, if nobody else ever touches it. */
const expected = (user: string, moves: ReadonlyArray<Move>) => {
  const tasks = new Map<number, { readonly title: string; readonly completed: boolean }>()
  let made = 0
  const change = (id: number, more: { readonly title?: string; readonly completed?: boolean }) => {
    const task = tasks.get(id)
    if (task !== undefined) tasks.set(id, { ...task, ...more })
  }
  for (const move of moves) {
    if (move._tag === "Add") tasks.set(++made, { title: `${user}: ${move.title}`, completed: false })
    if (move._tag === "Complete") change(move.task, { completed: true })
    if (move._tag === "Update") change(move.task, { title: `${user}: ${move.title}` })
    if (move._tag === "Delete") tasks.delete(move.task)
  }
  return [...tasks].map(([id, { completed, title }]) => [id, title, completed])
}

for (const [name, store] of stores) {
  layer(store, { excludeTestServices: true, timeout: "60 seconds" })(`MCP on ${name}`, (it) => {
    it.effect.prop(
      "users who work at the same time, with several clients each, have what they did themselves, and no more",
      { ada: Moves, bob: Moves },
      ({ ada, bob }) =>
        Effect.gen(function* () {
          const urls = [yield* serveMcp(), yield* serveMcp()] as const
          const work = Effect.fnUntraced(function* (moves: ReadonlyArray<Move>) {
            const user = yield* uuidV7
            const clients = yield* Effect.forEach(urls, (url) => connect(url, `${user}-token`))
            yield* Effect.forEach(moves, (move, i) => {
              const client = Array.getUnsafe(clients, i % 2)
              const other = Array.getUnsafe(clients, (i + 1) % 2)
              switch (move._tag) {
                case "Add": {
                  const args = { title: `${user}: ${move.title}` }
                  // Each user's keys are the same as the other's.
                  const add = client.call("add_task", args, `k${i}`)
                  return move.again
                    ? Effect.all([add, other.call("add_task", args, `k${i}`)], {
                        concurrency: "unbounded",
                        discard: true
                      })
                    : add
                }
                case "Complete":
                  return client.call("complete_task", { task_id: move.task })
                case "Update":
                  return client.call("update_task", { task_id: move.task, title: `${user}: ${move.title}` })
                case "Delete":
                  return client.call("delete_task", { task_id: move.task })
                case "List":
                  return Effect.map(tasksOf(client), (tasks) =>
                    assert.isTrue(tasks.every((task) => task.title.startsWith(user)))
                  )
              }
            })
            const tasks = yield* tasksOf(Array.getUnsafe(clients, 0))
            assert.deepStrictEqual(
              tasks.map((task) => [Number(task.id), task.title, task.completed]),
              expected(user, moves)
            )
          })
          yield* Effect.all([work(ada), work(bob)], { concurrency: "unbounded", discard: true })
        }).pipe(Effect.scoped),
      { arbitrary: { runs: 25 } }
    )
  })
}
