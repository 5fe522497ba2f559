import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Option, Result } from "effect"
import { uuidV7 } from "../../src/domain/Ids.ts"
import { StorageUnavailable } from "../../src/domain/model/Errors.ts"
import { IdempotencyKey } from "../../src/domain/model/Turn.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { type CallResult, ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { DirectCallRepo, type KeyedCall } from "../../src/ports/DirectCallRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"

const newUser = Effect.map(uuidV7, (id) => UserId.make(id))
const keyed = Effect.fnUntraced(function* (more: Partial<KeyedCall> = {}): Effect.fn.Return<KeyedCall> {
  return { key: IdempotencyKey.make("k"), fingerprint: "[]", callId: yield* uuidV7, keysAtMost: 100, ...more }
})
const done = (result: string): CallResult => ({ status: "success", result })

/** Adds a task, and answers its number. */
const add = (user: UserId, title = "Milk") =>
  Effect.map(TaskTools, (tasks) =>
    Effect.map(Effect.orDie(tasks.add(user, { title, description: null }, null)), ({ id }) => done(`{"id":${id}}`))
  )

const titles = Effect.fnUntraced(function* (user: UserId) {
  const tasks = yield* TaskTools
  const { items } = yield* tasks.list(user, { status: "all", limit: 200, after: Option.none() })
  return items.map((task) => task.title)
})

/** What every adapter of `DirectCallRepo` must do. The layer is built once and shared, so tests keep apart by their users. */
export const directCallRepoContract = <E>(
  name: string,
  adapter: Layer.Layer<ConversationRepo | DirectCallRepo | TaskTools, E>
) =>
  layer(adapter, { excludeTestServices: true, timeout: "60 seconds" })(`DirectCallRepo: ${name}`, (it) => {
    it.effect("performs a call without a key whenever it is asked to", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const milk = yield* add(user)
        for (const id of [1, 2]) {
          const outcome = yield* repo.perform(user, Option.none(), milk)
          assert.deepStrictEqual(outcome, { _tag: "Carried", result: done(`{"id":${id}}`) })
        }
      })
    )

    it.effect("performs a call once under its key, and answers what came of it to the byte from then on", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const tasks = yield* TaskTools
        const odd = { status: "error", result: '{"b":1, "a":"\\u0000\\ud800 é","b":2}' } as const
        const execute = Effect.as(Effect.orDie(tasks.add(user, { title: "Milk", description: null }, null)), odd)
        for (const callId of [yield* uuidV7, yield* uuidV7]) {
          const outcome = yield* repo.perform(user, Option.some(yield* keyed({ callId })), execute)
          assert.deepStrictEqual(outcome, { _tag: "Carried", result: odd })
        }
        assert.deepStrictEqual(yield* titles(user), ["Milk"])
      })
    )

    it.effect("performs it once however many ask for it at the same moment", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const milk = yield* add(user)
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () => Effect.flatMap(keyed(), (call) => repo.perform(user, Option.some(call), milk)),
          { concurrency: "unbounded" }
        )
        for (const outcome of outcomes) {
          assert.deepStrictEqual(outcome, { _tag: "Carried", result: done('{"id":1}') })
        }
        assert.deepStrictEqual(yield* titles(user), ["Milk"])
      })
    )

    it.effect("knows a key by its user", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const [ada, bob] = [yield* newUser, yield* newUser]
        for (const user of [ada, bob]) {
          const call = yield* keyed({ fingerprint: user })
          yield* repo.perform(user, Option.some(call), yield* add(user, user))
          assert.deepStrictEqual(yield* titles(user), [user])
        }
      })
    )

    it.effect("refuses a key that was that of another call, and does nothing then", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const milk = yield* add(user)
        yield* repo.perform(user, Option.some(yield* keyed()), milk)
        const other = yield* keyed({ fingerprint: "[1]" })
        assert.deepStrictEqual(yield* repo.perform(user, Option.some(other), milk), { _tag: "KeyReused" })
        assert.deepStrictEqual(yield* repo.begin(user, other), { _tag: "KeyReused" })
        assert.deepStrictEqual(yield* titles(user), ["Milk"])
      })
    )

    it.effect("has nothing of a call that failed or was interrupted, nor of its key", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const milk = yield* add(user)
        const failing = Effect.andThen(milk, Effect.fail(new StorageUnavailable({ operation: "test" })))
        const failed = yield* Effect.result(repo.perform(user, Option.some(yield* keyed()), failing))
        assert.isTrue(Result.isFailure(failed))
        const begun = yield* Deferred.make<void>()
        const hanging = milk.pipe(Effect.andThen(Deferred.succeed(begun, undefined)), Effect.andThen(Effect.never))
        const fiber = yield* Effect.forkChild(repo.perform(user, Option.some(yield* keyed()), hanging))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* titles(user), [])
        const outcome = yield* repo.perform(user, Option.some(yield* keyed({ fingerprint: "[1]" })), milk)
        assert.strictEqual(outcome._tag, "Carried")
        assert.deepStrictEqual(yield* titles(user), ["Milk"])
      })
    )

    it.effect("a part of a call may fail alone", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const { atomically } = yield* ConversationRepo
        const user = yield* newUser
        const part = atomically(user, Effect.andThen(yield* add(user, "Half"), Effect.fail("no")))
        const execute = Effect.andThen(Effect.ignore(part), yield* add(user, "Whole"))
        yield* repo.perform(user, Option.some(yield* keyed()), execute)
        assert.deepStrictEqual(yield* titles(user), ["Whole"])
      })
    )

    it.effect("keeps the id of a call outside of the store, and the first of its results", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const user = yield* newUser
        const call = yield* keyed()
        const begun = { _tag: "Begun", callId: call.callId } as const
        assert.deepStrictEqual(yield* repo.begin(user, call), begun)
        assert.deepStrictEqual(yield* repo.begin(user, yield* keyed()), begun)
        assert.deepStrictEqual(yield* repo.finish(user, call.key, call.callId, done("{}")), done("{}"))
        assert.deepStrictEqual(yield* repo.finish(user, call.key, call.callId, done('{"late":true}')), done("{}"))
        assert.deepStrictEqual(yield* repo.begin(user, yield* keyed()), { _tag: "Carried", result: done("{}") })
        const outcome = yield* repo.perform(user, Option.some(yield* keyed()), Effect.die("performed"))
        assert.deepStrictEqual(outcome, { _tag: "Carried", result: done("{}") })
      })
    )

    it.effect("remembers no more keys of a user than may be; old ones are answered all the same", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const [user, other] = [yield* newUser, yield* newUser]
        const milk = yield* add(user)
        const call = (key: string) => keyed({ key: IdempotencyKey.make(key), keysAtMost: 2 })
        yield* repo.begin(user, yield* call("a"))
        yield* repo.perform(user, Option.some(yield* call("b")), milk)
        const full = { _tag: "TooManyKeys" } as const
        assert.deepStrictEqual(yield* repo.perform(user, Option.some(yield* call("c")), milk), full)
        assert.deepStrictEqual(yield* repo.begin(user, yield* call("c")), full)
        assert.strictEqual((yield* repo.perform(user, Option.some(yield* call("b")), milk))._tag, "Carried")
        assert.strictEqual((yield* repo.begin(other, yield* call("c")))._tag, "Begun")
        assert.deepStrictEqual(yield* titles(user), ["Milk"])
      })
    )

    it.effect("forgets old keys when it is swept, and all of a user that is erased", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const { eraseUser } = yield* ConversationRepo
        const [ada, bob] = [yield* newUser, yield* newUser]
        const first = yield* keyed()
        for (const user of [ada, bob]) yield* repo.begin(user, first)
        yield* repo.sweep(3_600_000)
        yield* eraseUser(ada)
        const again = yield* keyed()
        assert.deepStrictEqual(yield* repo.begin(ada, again), { _tag: "Begun", callId: again.callId })
        assert.deepStrictEqual(yield* repo.begin(bob, again), { _tag: "Begun", callId: first.callId })
        // What came of a call whose user was erased meanwhile is told, and kept nowhere.
        assert.deepStrictEqual(yield* repo.finish(ada, first.key, first.callId, done("{}")), done("{}"))
        assert.deepStrictEqual(yield* repo.begin(ada, again), { _tag: "Begun", callId: again.callId })
        yield* repo.sweep(-3_600_000)
        assert.deepStrictEqual(yield* repo.begin(bob, again), { _tag: "Begun", callId: again.callId })
      })
    )

    it.effect("erasing a user and calls of theirs at the same moment leave nothing half", () =>
      Effect.gen(function* () {
        const repo = yield* DirectCallRepo
        const { eraseUser } = yield* ConversationRepo
        const user = yield* newUser
        const milk = yield* add(user)
        const calls = Array.from({ length: 6 }, (_, i) =>
          Effect.flatMap(keyed({ key: IdempotencyKey.make(`k${i % 3}`) }), (call) =>
            repo.perform(user, Option.some(call), milk)
          )
        )
        yield* Effect.all([...calls, eraseUser(user), eraseUser(user)], { concurrency: "unbounded", discard: true })
        const left = (yield* titles(user)).length
        // A call whose key is still known has its task, and the others have none.
        let known = 0
        for (const key of ["k0", "k1", "k2"]) {
          const begun = yield* repo.begin(user, yield* keyed({ key: IdempotencyKey.make(key) }))
          if (begun._tag === "Carried") known++
        }
        assert.strictEqual(left, known)
      })
    )
  })
