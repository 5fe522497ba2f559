import assert from "node:assert/strict"
import { Deferred, Effect, Fiber, Option } from "effect"
import { uuidV7 } from "../domain/Ids.ts"
import { StorageUnavailable } from "../domain/model/Errors.ts"
import { IdempotencyKey } from "../domain/model/Turn.ts"
import { UserId } from "../domain/model/User.ts"
import { type CallResult, ConversationRepo } from "../ports/ConversationRepo.ts"
import { DirectCallRepo, type KeyedCall } from "../ports/DirectCallRepo.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

const newUser = Effect.map(uuidV7, (id) => UserId.make(id))
const keyOf = (text: string) => IdempotencyKey.make(text)

/** A call under a key, with a fresh id and what is given otherwise. */
const keyed = Effect.fnUntraced(function* (more: Partial<KeyedCall> = {}): Effect.fn.Return<KeyedCall> {
  return { key: keyOf("k"), fingerprint: "[]", callId: yield* uuidV7, keysAtMost: 100, ...more }
})

const done = (result: string): CallResult => ({ status: "success", result })
const carried = (result: CallResult) => ({ _tag: "Carried", result }) as const

/** What a call does: adds a task by the port, and answers its number. */
const add = (user: UserId, title = "Milk") =>
  Effect.map(TaskTools, (tasks) =>
    Effect.map(Effect.orDie(tasks.add(user, { title, description: null }, null)), ({ id }) => done(`{"id":${id}}`))
  )

const perform = Effect.fnUntraced(function* (user: UserId, more: Partial<KeyedCall> = {}, title = "Milk") {
  const repo = yield* DirectCallRepo
  return yield* repo.perform(user, Option.some(yield* keyed(more)), yield* add(user, title))
})

const begin = Effect.fnUntraced(function* (user: UserId, more: Partial<KeyedCall> = {}) {
  const repo = yield* DirectCallRepo
  return yield* repo.begin(user, yield* keyed(more))
})

/** That a key is not known: a call begins under it, by its own id. */
const isNew = Effect.fnUntraced(function* (user: UserId, key: string) {
  const callId = yield* uuidV7
  assert.deepStrictEqual(yield* begin(user, { key: keyOf(key), callId }), { _tag: "Begun", callId })
})

const titles = Effect.fnUntraced(function* (user: UserId) {
  const tasks = yield* TaskTools
  const { items } = yield* tasks.list(user, { status: "all", limit: 200, after: Option.none() })
  return items.map((task) => task.title)
})

/** The same so many times at once. */
const atOnce = <A, E, R>(times: number, each: (i: number) => Effect.Effect<A, E, R>) =>
  Effect.all(
    Array.from({ length: times }, (_, i) => each(i)),
    { concurrency: "unbounded" }
  )

const hour = 3_600_000

const obligation = obligationsOf("DirectCallRepo")

/**
 * What every adapter of `DirectCallRepo` must do, with the `TaskTools` and the `ConversationRepo` that share its store. The layer
 * is built once and shared, so tests keep apart by their users; `sweep` is how a key grows old here, since its age goes by the
 * store's own clock.
 */
export const obligations: ReadonlyArray<Obligation<ConversationRepo | DirectCallRepo | TaskTools>> = [
  obligation(
    "performs a call without a key whenever it is asked to",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const milk = yield* add(user)
      for (const id of [1, 2]) {
        assert.deepStrictEqual(yield* repo.perform(user, Option.none(), milk), carried(done(`{"id":${id}}`)))
      }
      assert.deepStrictEqual(yield* titles(user), ["Milk", "Milk"])
    })
  ),

  obligation(
    "performs a call once under its key, and answers what came of it to the byte from then on",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const odd = { status: "error", result: '{"b":1, "a":"\\u0000\\ud800 é","b":2}' } as const
      const execute = Effect.as(yield* add(user), odd)
      const call = yield* keyed()
      for (const again of [call, call, yield* keyed()]) {
        assert.deepStrictEqual(yield* repo.perform(user, Option.some(again), execute), carried(odd))
      }
      assert.deepStrictEqual(yield* begin(user), carried(odd))
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
    })
  ),

  obligation(
    "performs it once however many ask for it at the same moment",
    Effect.gen(function* () {
      const [user, other] = [yield* newUser, yield* newUser]
      yield* begin(other)
      for (const someone of [user, other]) {
        for (const outcome of yield* atOnce(8, () => perform(someone))) {
          assert.deepStrictEqual(outcome, carried(done('{"id":1}')))
        }
        assert.deepStrictEqual(yield* titles(someone), ["Milk"])
      }
    })
  ),

  obligation(
    "knows a key by its user",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const [ada, bob] = [yield* newUser, yield* newUser]
      for (const user of [ada, bob]) {
        assert.deepStrictEqual(yield* perform(user, { fingerprint: user }, user), carried(done('{"id":1}')))
        assert.deepStrictEqual(yield* titles(user), [user])
      }
      // Not even by the id of a call is another user's one meant.
      const call = yield* keyed({ key: keyOf("outside") })
      for (const user of [ada, bob]) yield* repo.begin(user, call)
      yield* repo.finish(ada, call.key, call.callId, done("{}"))
      assert.deepStrictEqual(yield* repo.begin(bob, call), { _tag: "Begun", callId: call.callId })
      assert.deepStrictEqual(yield* repo.begin(ada, call), carried(done("{}")))
    })
  ),

  obligation(
    "refuses a key that was that of another call, and does nothing then",
    Effect.gen(function* () {
      const user = yield* newUser
      const long = "a".repeat(10_000)
      const fingerprint = `${long}1`
      const [performed, begun] = [keyOf("performed"), keyOf("begun")]
      const callId = yield* uuidV7
      yield* perform(user, { key: performed, fingerprint })
      yield* begin(user, { key: begun, fingerprint, callId })
      for (const key of [performed, begun]) {
        for (const other of [`${long}2`, long, ""]) {
          assert.deepStrictEqual(yield* perform(user, { key, fingerprint: other }), { _tag: "KeyReused" })
          assert.deepStrictEqual(yield* begin(user, { key, fingerprint: other }), { _tag: "KeyReused" })
        }
      }
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
      assert.deepStrictEqual(yield* begin(user, { key: performed, fingerprint }), carried(done('{"id":1}')))
      assert.deepStrictEqual(yield* begin(user, { key: begun, fingerprint }), { _tag: "Begun", callId })
    })
  ),

  obligation(
    "has nothing of a call that failed, died or was interrupted, nor of its key",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const milk = yield* add(user)
      for (const call of [Option.none(), Option.some(yield* keyed())]) {
        const failing = Effect.andThen(milk, Effect.fail(new StorageUnavailable({ operation: "test" })))
        const failure = yield* Expect.failureOf(repo.perform(user, call, failing))
        assert.strictEqual(failure._tag, "StorageUnavailable")
        const dying = Effect.andThen(milk, Effect.die("a bug"))
        assert.strictEqual((yield* Effect.exit(repo.perform(user, call, dying)))._tag, "Failure")
        const begun = yield* Deferred.make<void>()
        const hanging = milk.pipe(Effect.andThen(Deferred.succeed(begun, undefined)), Effect.andThen(Effect.never))
        const fiber = yield* Effect.forkChild(repo.perform(user, call, hanging))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* titles(user), [])
      }
      assert.strictEqual((yield* perform(user, { fingerprint: "[1]" }))._tag, "Carried")
      assert.deepStrictEqual(yield* titles(user), ["Milk"])
    })
  ),

  obligation(
    "undoes a part of a call that fails, and nothing but that",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const { atomically } = yield* ConversationRepo
      const user = yield* newUser
      const [half, whole] = [yield* add(user, "Half"), yield* add(user, "Whole")]
      const part = Effect.ignore(atomically(user, Effect.andThen(half, Effect.fail("no"))))
      const execute = whole.pipe(Effect.andThen(part), Effect.andThen(whole))
      assert.strictEqual((yield* repo.perform(user, Option.some(yield* keyed()), execute))._tag, "Carried")
      assert.deepStrictEqual(yield* titles(user), ["Whole", "Whole"])
    })
  ),

  obligation(
    "undoes with a call the parts of it that had succeeded",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const { atomically } = yield* ConversationRepo
      const user = yield* newUser
      const part = Effect.orDie(atomically(user, yield* add(user)))
      const failing = Effect.andThen(part, Effect.fail(new StorageUnavailable({ operation: "test" })))
      yield* Expect.failureOf(repo.perform(user, Option.some(yield* keyed()), failing))
      assert.deepStrictEqual(yield* titles(user), [])
    })
  ),

  obligation(
    "keeps the id of a call outside of the store, and the first of its results",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const call = yield* keyed()
      const begun = { _tag: "Begun", callId: call.callId } as const
      const first = { status: "error", result: '{"b":1, "a":"\\u0000\\ud800 é","b":2}' } as const
      assert.deepStrictEqual(yield* repo.begin(user, call), begun)
      assert.deepStrictEqual(yield* repo.begin(user, call), begun)
      assert.deepStrictEqual(yield* begin(user), begun)
      for (const result of [first, first, done('{"late":true}')]) {
        assert.deepStrictEqual(yield* repo.finish(user, call.key, call.callId, result), first)
      }
      assert.deepStrictEqual(yield* begin(user), carried(first))
      assert.deepStrictEqual(
        yield* repo.perform(user, Option.some(yield* keyed()), Effect.die("performed")),
        carried(first)
      )
    })
  ),

  obligation(
    "tells all the same who begin or finish a call at the same moment",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const [begun, ...others] = yield* atOnce(8, () => begin(user))
      Expect.isThere(begun)
      Expect.isTagged(begun, "Begun")
      for (const other of others) assert.deepStrictEqual(other, begun)
      const [kept, ...rest] = yield* atOnce(8, (i) => repo.finish(user, keyOf("k"), begun.callId, done(`${i}`)))
      Expect.isThere(kept)
      for (const result of rest) assert.deepStrictEqual(result, kept)
      assert.deepStrictEqual(yield* begin(user), carried(kept))
    })
  ),

  obligation(
    "remembers no more keys of a user than may be; old ones are answered all the same",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const full = { _tag: "TooManyKeys" } as const
      const may = (key: string) => ({ key: keyOf(key), keysAtMost: 2 })
      const callId = yield* uuidV7
      // What has no key takes no room.
      yield* repo.perform(user, Option.none(), yield* add(user, "Bread"))
      assert.strictEqual((yield* begin(user, { ...may("a"), callId }))._tag, "Begun")
      assert.strictEqual((yield* perform(user, may("b")))._tag, "Carried")
      assert.deepStrictEqual(yield* perform(user, may("c")), full)
      assert.deepStrictEqual(yield* begin(user, may("c")), full)
      assert.deepStrictEqual(yield* titles(user), ["Bread", "Milk"])
      assert.deepStrictEqual(yield* perform(user, may("b")), carried(done('{"id":2}')))
      assert.deepStrictEqual(yield* begin(user, may("a")), { _tag: "Begun", callId })
      assert.deepStrictEqual(yield* begin(user, { ...may("a"), fingerprint: "[1]" }), { _tag: "KeyReused" })
      assert.strictEqual((yield* begin(other, may("c")))._tag, "Begun")
      // A key that was refused is as new as before.
      yield* isNew(user, "c")
    })
  ),

  obligation(
    "remembers no more of them however many come at the same moment",
    Effect.gen(function* () {
      for (let round = 0; round < 5; round++) {
        const user = yield* newUser
        const outcomes = yield* atOnce(12, (i) => {
          const call = { key: keyOf(`k${i}`), keysAtMost: 3 }
          return i % 2 === 0 ? perform(user, call) : begin(user, call)
        })
        assert.strictEqual(outcomes.filter(({ _tag }) => _tag !== "TooManyKeys").length, 3)
        const performed = outcomes.filter(({ _tag }) => _tag === "Carried")
        assert.strictEqual((yield* titles(user)).length, performed.length)
      }
    })
  ),

  obligation(
    "forgets keys that are old when it is swept, and no others",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const [ada, bob] = [yield* newUser, yield* newUser]
      const callId = yield* uuidV7
      for (const user of [ada, bob]) {
        yield* begin(user, { key: keyOf("begun"), callId })
        yield* perform(user, { key: keyOf("performed") })
      }
      yield* repo.sweep(hour)
      for (const user of [ada, bob]) {
        assert.deepStrictEqual(yield* begin(user, { key: keyOf("begun") }), { _tag: "Begun", callId })
        assert.deepStrictEqual(yield* perform(user, { key: keyOf("performed") }), carried(done('{"id":1}')))
      }
      yield* repo.sweep(-hour)
      for (const user of [ada, bob]) {
        yield* isNew(user, "begun")
        // What came of a call is forgotten with its key, and what it did stays.
        assert.deepStrictEqual(yield* perform(user, { key: keyOf("performed") }), carried(done('{"id":2}')))
        assert.deepStrictEqual(yield* titles(user), ["Milk", "Milk"])
      }
    })
  ),

  obligation(
    "counts the age of a key from its first call on, in milliseconds",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const [user, other] = [yield* newUser, yield* newUser]
      const callId = yield* uuidV7
      yield* begin(user, { callId })
      yield* begin(other)
      // The later one is not asked for again: it is gone when there is room for another.
      const laterIsGone = Effect.gen(function* () {
        yield* begin(user)
        yield* repo.sweep(250)
        return (yield* begin(other, { key: keyOf("another"), keysAtMost: 1 }))._tag === "Begun"
      })
      yield* Expect.eventually("a key is forgotten that is older than 250 milliseconds", laterIsGone)
      const begun = yield* begin(user)
      Expect.isTagged(begun, "Begun")
      assert.notStrictEqual(begun.callId, callId, "a key was kept beyond its time that was asked for again")
    })
  ),

  obligation(
    "forgets the keys of a user that is erased, and no others",
    Effect.gen(function* () {
      const { eraseUser } = yield* ConversationRepo
      const [ada, bob] = [yield* newUser, yield* newUser]
      const callId = yield* uuidV7
      for (const user of [ada, bob]) {
        yield* begin(user, { key: keyOf("begun"), callId })
        yield* perform(user, { key: keyOf("performed") })
      }
      yield* eraseUser(ada)
      for (const key of ["begun", "performed"]) yield* isNew(ada, key)
      assert.deepStrictEqual(yield* begin(bob, { key: keyOf("begun") }), { _tag: "Begun", callId })
      assert.deepStrictEqual(yield* begin(bob, { key: keyOf("performed") }), carried(done('{"id":1}')))
    })
  ),

  obligation(
    "tells what came of a call whose user was erased meanwhile, and keeps it nowhere",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const { eraseUser } = yield* ConversationRepo
      const user = yield* newUser
      const [first, again] = [yield* keyed(), yield* keyed()]
      yield* repo.begin(user, first)
      yield* eraseUser(user)
      assert.deepStrictEqual(yield* repo.finish(user, first.key, first.callId, done("{}")), done("{}"))
      assert.deepStrictEqual(yield* repo.begin(user, again), { _tag: "Begun", callId: again.callId })
      // Nor is it that of a later call under the same key.
      assert.deepStrictEqual(yield* repo.finish(user, first.key, first.callId, done("{}")), done("{}"))
      assert.deepStrictEqual(yield* repo.begin(user, again), { _tag: "Begun", callId: again.callId })
    })
  ),

  obligation(
    "leaves nothing half of a user that is erased while calls are performed",
    Effect.gen(function* () {
      const { eraseUser } = yield* ConversationRepo
      const user = yield* newUser
      const keys = Array.from({ length: 6 }, (_, i) => keyOf(`k${i}`))
      const calls = keys.map((key) => perform(user, { key }))
      const erase = eraseUser(user)
      yield* Effect.all([...calls.slice(0, 3), erase, erase, ...calls], { concurrency: "unbounded", discard: true })
      const left = (yield* titles(user)).length
      // A call whose key is still known has its task, and the others have none.
      const begun = yield* Effect.forEach(keys, (key) => begin(user, { key }))
      assert.strictEqual(left, begun.filter(({ _tag }) => _tag === "Carried").length)
    })
  )
]

/** What every adapter must do whose store is out of reach. */
export const outOfReach: ReadonlyArray<Obligation<DirectCallRepo>> = [
  obligation(
    "fails with StorageUnavailable, whatever is asked, while the store is out of reach",
    Effect.gen(function* () {
      const repo = yield* DirectCallRepo
      const user = yield* newUser
      const call = yield* keyed()
      const execute = Effect.succeed(done("{}"))
      const operations = {
        begin: repo.begin(user, call),
        finish: repo.finish(user, call.key, call.callId, done("{}")),
        sweep: repo.sweep(hour)
      }
      yield* Expect.allUnavailable({
        ...operations,
        perform: repo.perform(user, Option.some(call), execute)
      } satisfies Record<keyof typeof repo, unknown>)
      yield* Expect.allUnavailable({ "perform, without a key": repo.perform(user, Option.none(), execute) })
    })
  )
]
