import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Redacted, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { faults, type ModelServer } from "../support/model-server.ts"
import { startPostgres } from "../support/postgres.ts"
import { type Answer, type Instance, request, start } from "./host/FrontDesk.ts"
import { type Caterer, makeCaterer, makeModel, turn } from "./host/StandIns.ts"
import { makeWire, type Side, type Wire } from "./host/Wire.ts"
import { prepare } from "./support.ts"

/** The application's world: a PostgreSQL behind a wire, a model and a caterer. */
class World extends Context.Service<
  World,
  {
    readonly wire: Wire
    readonly model: ModelServer["Service"]
    readonly caterer: Caterer
    /** A client of the test's own, which no wire is before. */
    readonly sql: SqlClient.SqlClient
    readonly start: (env?: Record<string, string>) => Effect.Effect<Instance, never, Scope.Scope>
  }
>()("turnkeeper/test/examples/host.test/World") {}

const world = Layer.effect(
  World,
  Effect.gen(function* () {
    const folder = yield* Effect.promise(() => prepare("host"))
    const postgres = yield* Effect.acquireRelease(
      Effect.promise(() => startPostgres(18)),
      ({ stop }) => Effect.promise(stop)
    )
    const url = new URL(postgres.url)
    const wire = yield* makeWire(Number(url.port))
    url.port = String(wire.port)
    const model = yield* makeModel
    const caterer = yield* makeCaterer
    const client = yield* Layer.build(PgClient.layer({ url: Redacted.make(postgres.url), maxConnections: 1 }))
    return World.of({
      wire,
      model,
      caterer,
      sql: Context.get(client, SqlClient.SqlClient),
      start: (env) =>
        start(folder, {
          DATABASE_URL: url.href,
          OPENAI_API_KEY: "sk-none",
          OPENAI_BASE_URL: model.baseUrl,
          CATERER_URL: caterer.url,
          ...env
        })
    })
  }).pipe(Effect.orDie)
)

let people = 0

/** Somebody who has just signed in, and is nobody else. */
const signIn = Effect.fnUntraced(function* (at: Instance) {
  const signedIn = yield* request("POST", `${at.url}/sign-in`, { body: { name: `Ada the ${++people}.` } })
  assert.strictEqual(signedIn.status, 200, signedIn.text)
  const { id }: { readonly id: string } = signedIn.json
  const session = signedIn.headers.get("set-cookie")?.split(";")[0] ?? ""
  return { id, session, key: `turn-of-${id}` }
})

type Person = Effect.Success<ReturnType<typeof signIn>>

const get = (at: Instance, { session }: Person, path: string) => request("GET", at.url + path, { session })

/** The turn, by its key. */
const send = (at: Instance, { id, key, session }: Person) =>
  request("POST", `${at.url}/agent/api/v1/users/${id}/chat`, { session, key, body: { message: turn.message } })

/** Sends the turn until it is answered, as a client does; each time the instance waits for it, as long as it makes sense. */
const sendUntilAnswered = Effect.fnUntraced(function* (at: Instance, person: Person) {
  let answer = yield* send(at, person)
  for (let more = 20; answer.status !== 200 && more > 0; more--) answer = yield* send(at, person)
  assert.strictEqual(answer.status, 200, answer.text)
  return answer
})

/** Asserts that the turn happened exactly once, whatever became of whoever ran it. */
const assertOnce = Effect.fnUntraced(function* (at: Instance, person: Person, answer: Answer) {
  const { caterer, sql } = yield* World
  const visitors = yield* sql`select id, name, day::text from visitors where announced_by = ${person.id}`
  assert.lengthOf(visitors, 1)
  assert.deepInclude(visitors[0], turn.visitor)
  const [announced, ordered, ...rest] = answer.json.tool_calls
  assert.deepStrictEqual(rest, [])
  assert.deepStrictEqual(announced.result, { success: true, visitor: visitors[0] })
  assert.deepStrictEqual((yield* get(at, person, "/visitors")).json, visitors)

  assert.isNotEmpty(caterer.requests)
  assert.lengthOf([...new Set(caterer.requests)], 1, "the caterer was sent more than one key")
  assert.deepStrictEqual(
    [ordered.result],
    [...caterer.orders.values()].map((order) => ({ success: true, order }))
  )

  const path = `/agent/api/v1/users/${person.id}/conversations`
  const conversations = (yield* get(at, person, path)).json.data
  assert.lengthOf(conversations, 1)
  const messages: ReadonlyArray<{ readonly role: string; readonly content: string }> = (yield* get(
    at,
    person,
    `${path}/${conversations[0].id}/messages`
  )).json.data
  assert.deepStrictEqual(
    messages.map(({ content, role }) => [role, content]),
    [
      ["user", turn.message],
      ["assistant", turn.reply]
    ]
  )

  const replay = yield* send(at, person)
  assert.strictEqual(replay.headers.get("idempotency-replayed"), "true")
  assert.strictEqual(replay.text, answer.text)
})

/** What a statement is called here: a function of the protocol, a table of the application's, or else its first word. */
const nameOf = (statement: string): string =>
  (/turn_\w+|(?:from|insert into) "?(?:sessions|visitors)/.exec(statement) ?? /\w+/.exec(statement) ?? [""])[0]
    .replace('"', "")
    .toLowerCase()

/** Where an instance is killed: at one of its statements, or while the caterer has its order. */
type Stop = { readonly at: number; readonly side: Side } | { readonly caterer: "arrived" | "taken" }

/**
 * Has the turn sent to an instance that is killed at this stop, and then to another until it is answered. Answers where it was
 * killed, and which instance goes on; where the turn has no such stop, it has happened undisturbed.
 */
const killedAt = Effect.fnUntraced(function* (victim: Instance, stop: Stop) {
  const { caterer, sql, start, wire } = yield* World
  caterer.clear()
  const person = yield* signIn(victim)
  const stopped = yield* Deferred.make<string>()
  const kill = (where: string) => {
    victim.signal("SIGKILL")
    Deferred.doneUnsafe(stopped, Effect.succeed(where))
  }
  if ("caterer" in stop) {
    caterer.onRequest = (at) => {
      if (at !== stop.caterer) return "answer"
      kill(at)
      return "hang"
    }
  } else {
    wire.arm({ ...stop, stop: kill })
  }
  const first = yield* Effect.raceFirst(
    Effect.map(Deferred.await(stopped), (where) => ({ where })),
    Effect.map(
      // Whoever is killed does not answer.
      Effect.catch(send(victim, person), () => Effect.never),
      (answer) => ({ answer })
    )
  )
  wire.disarm()
  caterer.onRequest = () => "answer"
  if ("answer" in first) {
    assert.strictEqual(first.answer.status, 200, first.answer.text)
    yield* assertOnce(victim, person, first.answer)
    return { where: undefined, instance: victim }
  }
  yield* victim.ended
  // Instead of the fifteen seconds after which its leases are over.
  yield* sql`update agent.turns set lease_until = '-infinity' where status = 'running'`
  const instance = yield* start()
  yield* Effect.onError(
    Effect.flatMap(sendUntilAnswered(instance, person), (answer) => assertOnce(instance, person, answer)),
    () => Effect.logError(`It was killed at ${JSON.stringify(stop)}: ${first.where}`)
  )
  return { where: first.where, instance }
})

/** Kills an instance at each statement of a turn, on that side of the server; answers which statements these were. */
const killedAtEach = Effect.fnUntraced(function* (side: Side) {
  const { start } = yield* World
  const names: Array<string> = []
  let instance = yield* start()
  while (true) {
    const next = yield* killedAt(instance, { at: names.length + 1, side })
    if (next.where === undefined) return names
    names.push(nameOf(next.where))
    instance = next.instance
  }
})

/** What commits in the turn, and what stands in the transaction of its step: it is killed at each of these, and at what else there is. */
const statements = [
  "turn_begin",
  "begin",
  "turn_step_begin",
  "insert into visitors",
  "turn_step_record",
  "commit",
  "turn_pend",
  "turn_step",
  "turn_complete"
]

layer(world, { excludeTestServices: true, timeout: "4 minutes" })("examples/host", (it) => {
  it.effect("has its own users, endpoints and document beside the agent's", () =>
    Effect.gen(function* () {
      const { caterer, start } = yield* World
      caterer.clear()
      const at = yield* start()
      const person = yield* signIn(at)
      const answer = yield* send(at, person)
      yield* assertOnce(at, person, answer)
      const stranger = yield* request("GET", `${at.url}/visitors`)
      assert.deepStrictEqual([stranger.status, stranger.json], [401, { _tag: "NotSignedIn" }])
      const guessed = yield* send(at, { ...person, session: "session=guessed" })
      assert.deepStrictEqual([guessed.status, guessed.json], [401, { _tag: "NotSignedIn" }])
      const other = yield* signIn(at)
      assert.strictEqual((yield* send(at, { ...person, session: other.session })).status, 403)
      assert.deepStrictEqual((yield* get(at, other, "/visitors")).json, [])
      const document = (yield* request("GET", `${at.url}/openapi.json`)).json
      assert.includeMembers(Object.keys(document.paths), [
        "/sign-in",
        "/visitors",
        "/agent/api/v1/users/{user_id}/chat"
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("hands its turns back when it is ended, and the next instance goes on with them at once", () =>
    Effect.gen(function* () {
      const { caterer, model, sql, start } = yield* World
      caterer.clear()
      const leaving = yield* start({ SHUTDOWN_GRACE: "0 seconds" })
      const person = yield* signIn(leaving)
      const asked = yield* Deferred.make<void>()
      // The model is asked for its first step, and says nothing.
      yield* model.script(() => Effect.andThen(Deferred.succeed(asked, undefined), Effect.succeed(faults.neverAnswers)))
      const [refused] = yield* Effect.all(
        [
          send(leaving, person),
          Effect.andThen(
            Deferred.await(asked),
            Effect.sync(() => leaving.signal("SIGTERM"))
          )
        ],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(refused.status, 503, refused.text)
      assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/)
      // As Effect ends whatever a signal has interrupted.
      assert.strictEqual(yield* leaving.ended, 130)
      const left = yield* sql`select status, lease_until <= now() as free from agent.turns where user_id = ${person.id}`
      assert.deepStrictEqual(left, [{ status: "running", free: true }])
      const next = yield* start()
      yield* assertOnce(next, person, yield* sendUntilAnswered(next, person))
    }).pipe(Effect.scoped)
  )

  it.effect("writes its row exactly once, killed before any statement of a turn", () =>
    Effect.gen(function* () {
      assert.includeMembers(yield* killedAtEach("before"), statements)
    }).pipe(Effect.scoped)
  )

  it.effect("writes its row exactly once, killed after any statement of a turn", () =>
    Effect.gen(function* () {
      assert.includeMembers(yield* killedAtEach("after"), statements)
    }).pipe(Effect.scoped)
  )

  it.effect("orders once, with the same key again, killed while the caterer has its order", () =>
    Effect.gen(function* () {
      const { caterer, start } = yield* World
      let instance = yield* start()
      for (const at of ["arrived", "taken"] as const) {
        const next = yield* killedAt(instance, { caterer: at })
        assert.strictEqual(next.where, at)
        assert.lengthOf(caterer.requests, 2)
        instance = next.instance
      }
    }).pipe(Effect.scoped)
  )
})
