import { parseArgs } from "node:util"
import { Console, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import { ModelServer, replies } from "../support/model-server.ts"
import { startPostgres } from "../support/postgres.ts"
import { type Answer, http, type Service, start } from "../support/service.ts"

/**
 * `npm run chaos -- [--seconds N] [--seed N]`: real processes of the service on a real PostgreSQL (fsync on), clients that
 * retry until they know, and each fault for so many seconds; then a checker reads the database and asks again.
 */
const { values } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, seed: { type: "string", default: "1" } }
})
const seconds = Number(values.seconds)

interface Entry {
  readonly user: string
  readonly token: string
  readonly key: string
  readonly titles: ReadonlyArray<string>
  readonly bodies: Array<string>
  failed: boolean
}

let state = Number(values.seed)
/** A whole number from 0, below the bound, by the seed. */
const below = (bound: number): number => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
  return state % bound
}

const postgres = await startPostgres(18, true)
const done = new Map<string, number>()
const count = (what: string) => Effect.sync(() => void done.set(what, (done.get(what) ?? 0) + 1))

/** The tasks that the last user message asks for, and whether the model has been told that they are there. */
const wishes = (body: unknown): { readonly titles: ReadonlyArray<string>; readonly added: boolean } => {
  const text = JSON.stringify(body)
  const last = text.lastIndexOf('"role":"user"')
  return {
    titles: [...text.slice(last).matchAll(/\bchaos-[\w-]+/g)]
      .map(([title]) => title)
      .filter((title, i, all) => all.indexOf(title) === i),
    added: text.indexOf('"role":"tool"', last) !== -1
  }
}

/** What a log tells of a failed request: its entry ends with the id, and the cause is before it. */
const linesAbout = (log: string, requestId: string): string => {
  const at = log.indexOf(requestId)
  return at === -1 ? "" : log.slice(Math.max(0, log.lastIndexOf("] ERROR", at) - 13), at)
}

const decodeCount = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ user_id: Schema.String, title: Schema.String, n: Schema.Int }))
)

const run = Effect.gen(function* () {
  const client = PgDatabase.layer({ url: Redacted.make(postgres.url), connections: 2, prepare: true })
  const query = <A>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, SqlError.SqlError>) =>
    Effect.orDie(Effect.provide(Effect.flatMap(SqlClient.SqlClient, f), Layer.fresh(client)))

  yield* Effect.orDie(Effect.provide(BetterAuth.createDemoSession, client))
  const users = Array.from({ length: 4 }, (_, i) => ({ user: `user${i}`, token: `token-${i}` }))
  for (const { token, user } of users) {
    yield* query(
      (sql) => sql`insert into "user" (id, name, email, "emailVerified") values (${user}, ${user}, ${user}, true)`
    )
    yield* query(
      (sql) => sql`insert into session (id, token, "userId", "expiresAt")
      values (${token}, ${token}, ${user}, now() + interval '1 day')`
    )
  }

  const model = yield* ModelServer.make
  yield* model.otherwise((request) => {
    const { added, titles } = wishes(request.body)
    const reply = added
      ? replies.text(`Added ${titles.join(" ")}`)
      : replies.calls(titles.map((title) => ({ name: "add_task", arguments: { title } })))
    return Effect.delay(Effect.succeed(reply), below(200))
  })

  const env = {
    DATABASE_URL: postgres.url,
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: model.baseUrl,
    RATE_LIMIT: "off",
    LOG_LEVEL: "Error",
    SHUTDOWN_GRACE: "5 seconds"
  }
  const starting = start(env)
  const instances: Array<Service> = yield* Effect.replicateEffect(starting, 3, { concurrency: 3 })

  const ledger: Array<Entry> = []
  let running = true
  const broken: Array<string> = []

  /** One request to any instance; a refused connection and a 503 are tried elsewhere, as a balancer does. */
  const send = (entry: Entry): Effect.Effect<Answer | undefined> =>
    Effect.suspend(() => {
      const instance = instances[below(instances.length)]
      return instance === undefined
        ? Effect.undefined
        : http(
            "POST",
            `${instance.url}/api/v1/users/${entry.user}/chat`,
            entry.token,
            { message: entry.titles.join(" ") },
            {
              "idempotency-key": entry.key
            }
          ).pipe(
            Effect.timeout("40 seconds"),
            Effect.catchCause(() => Effect.undefined)
          )
    })

  const untilKnown = Effect.fnUntraced(function* (entry: Entry) {
    for (let tries = 0; tries < 400; tries++) {
      const answer = yield* send(entry)
      if (answer?.status === 200) {
        entry.bodies.push(answer.text)
        return
      }
      if (answer?.status === 502 && answer.json.retryable === false) {
        entry.failed = true
        return
      }
      if (answer !== undefined && ![409, 502, 503].includes(answer.status)) {
        const log = instances.map((instance) => linesAbout(instance.output(), answer.json.request_id)).join("")
        broken.push(`${entry.key} was answered ${answer.status}: ${answer.text}\n${log}`)
        return
      }
      yield* Effect.sleep(50 + below(300))
    }
    broken.push(`${entry.key} never came to an end`)
  })

  const worker = (id: number) =>
    Effect.gen(function* () {
      for (let n = 0; running; n++) {
        const { token, user } = users[id % users.length] ?? { user: "", token: "" }
        // The users share their keys: each one's are its own.
        const entry: Entry = {
          user,
          token,
          key: `worker${Math.floor(id / users.length)}-${n}`,
          titles: Array.from({ length: 1 + below(3) }, (_, i) => `chaos-${user}-${id}-${n}-${i}`),
          bodies: [],
          failed: false
        }
        ledger.push(entry)
        yield* untilKnown(entry)
      }
    })
  const workers = yield* Effect.forEach(Array.from({ length: 12 }), (_, id) => Effect.forkChild(worker(id)))

  // While PostgreSQL is down an instance cannot start; whoever runs it starts it again.
  const startAgain: typeof starting = Effect.catchCause(starting, () =>
    Effect.delay(
      Effect.suspend(() => startAgain),
      "300 millis"
    )
  )
  const replace = Effect.fnUntraced(function* (signal: "SIGKILL" | "SIGTERM") {
    const index = below(instances.length)
    const fresh = yield* startAgain
    const old = instances[index]
    instances[index] = fresh
    if (old !== undefined) yield* old.end(signal)
    yield* count(signal === "SIGKILL" ? "kill -9 of an instance under load" : "SIGTERM of an instance under load")
  })
  const freeze = Effect.gen(function* () {
    const instance = instances[below(instances.length)]
    if (instance === undefined) return
    yield* instance.signal("SIGSTOP")
    yield* Effect.sleep("17 seconds")
    yield* instance.signal("SIGCONT")
    yield* count("an instance frozen past its lease, then woken")
  })
  const crash = Effect.gen(function* () {
    yield* Effect.promise(postgres.crash)
    yield* count("PostgreSQL stopped with immediate, and started again")
    yield* Effect.sleep(500 + below(1000))
  })
  const crowd = Effect.gen(function* () {
    const [first] = users
    if (first === undefined) return
    const key = `crowd-${done.get("the same key 50 times at once") ?? 0}`
    const entry: Entry = { ...first, key, titles: [`chaos-${first.user}-${key}`], bodies: [], failed: false }
    ledger.push(entry)
    yield* Effect.replicateEffect(untilKnown(entry), 50, { concurrency: "unbounded", discard: true })
    yield* count("the same key 50 times at once")
  })

  const phase = Effect.fnUntraced(function* <E, R>(name: string, fault: Effect.Effect<unknown, E, R>) {
    const end = performance.now() + seconds * 1000
    process.stderr.write(`${name} `)
    while (performance.now() < end) {
      yield* fault
      process.stderr.write(".")
    }
    process.stderr.write(` ${ledger.filter((entry) => entry.bodies.length > 0).length} turns answered so far\n`)
  })
  yield* phase("calm", Effect.sleep("1 second"))
  yield* phase("kill -9", replace("SIGKILL"))
  yield* phase("rolling deploy", replace("SIGTERM"))
  yield* phase("PostgreSQL crashes", crash)
  yield* phase("PostgreSQL crashes, and kills", Effect.all([crash, replace("SIGKILL")], { concurrency: 2 }))
  yield* phase("frozen instances", freeze)
  yield* phase("the same key at once", crowd)

  running = false
  process.stderr.write("the last answers\n")
  yield* Effect.forEach(workers, (fiber) => Fiber.join(fiber), { discard: true })

  // What was answered is answered again, byte for byte, by any instance.
  for (const entry of ledger.filter((entry) => entry.bodies.length > 0).slice(-200)) yield* untilKnown(entry)

  process.stderr.write("the check\n")
  const require = (holds: boolean, words: string) => {
    if (!holds) broken.push(words)
  }
  const wanted = new Map<string, number>()
  for (const entry of ledger) {
    require(new Set(entry.bodies).size <= 1, `${entry.key} of ${entry.user} was answered in several ways`)
    for (const title of entry.titles) wanted.set(`${entry.user} ${title}`, entry.bodies.length > 0 ? 1 : 0)
    for (const body of entry.bodies.slice(0, 1)) {
      const others = [...body.matchAll(/chaos-(user\d)/g)].filter(([, user]) => user !== entry.user)
      require(others.length === 0, `${entry.key} of ${entry.user} was told of someone else`)
    }
  }
  const tasks = decodeCount(yield* query((sql) => sql`select user_id, title, count(*)::int n from tasks group by 1, 2`))
  for (const { n, title, user_id } of tasks) {
    require(n === 1, `${user_id} has ${title} ${n} times`)
    require(wanted.has(`${user_id} ${title}`), `${user_id} has ${title}, which it never asked for`)
  }
  const there = new Set(tasks.map(({ title, user_id }) => `${user_id} ${title}`))
  for (const [task, n] of wanted) require(n === 0 || there.has(task), `${task} was answered, and is not there`)
  const said = decodeCount(
    yield* query(
      (sql) => sql`select user_id, content title, count(*)::int n from messages where role = 'user' group by 1, 2`
    )
  )
  for (const { n, title, user_id } of said) require(n === 1, `${user_id} said ${title} ${n} times`)
  const zero = Effect.fnUntraced(function* (what: string, rows: Effect.Effect<ReadonlyArray<unknown>>) {
    const found = yield* rows
    require(found.length === 0, `${what}: ${JSON.stringify(found.slice(0, 3))}`)
  })
  yield* zero(
    "gaps in seq",
    query(
      (sql) => sql`select conversation_id from messages group by user_id, conversation_id
    having count(*) <> max(seq) or min(seq) <> 1`
    )
  )
  yield* zero(
    "turns past their lease",
    query(
      (sql) => sql`select id from turns
    where status = 'running' and lease_until < now() - interval '15 seconds'`
    )
  )
  yield* zero(
    "completed turns without exactly one reply",
    query(
      (sql) => sql`select t.id from turns t
    left join messages m on m.user_id = t.user_id and m.turn_id = t.id and m.role = 'assistant'
    where t.status = 'completed' group by t.user_id, t.id having count(m.id) <> 1`
    )
  )
  yield* zero(
    "tasks without their call",
    query(
      (sql) => sql`select t.title from tasks t where not exists (
    select 1 from tool_calls c where c.user_id = t.user_id and c.status = 'success'
      and c.result::jsonb #>> '{task,id}' = t.id::text)`
    )
  )
  yield* zero(
    "calls without their task",
    query(
      (sql) => sql`select c.id from tool_calls c
    where c.tool_name = 'add_task' and c.status = 'success' and not exists (
      select 1 from tasks t where t.user_id = c.user_id and c.result::jsonb #>> '{task,id}' = t.id::text)`
    )
  )
  // The counter begins anew with each crash of the server: it tells of the time since the last one.
  yield* zero(
    "deadlocks",
    query(
      (sql) => sql`select deadlocks from pg_stat_database
    where datname = current_database() and deadlocks > 0`
    )
  )

  const answered = ledger.filter((entry) => entry.bodies.length > 0).length
  const failed = ledger.filter((entry) => entry.failed).length
  yield* Console.log(
    [
      ...[...done].map(([what, n]) => `${String(n).padStart(7)}  ${what}`),
      `${String(answered).padStart(7)}  turns answered, and ${failed} that failed for good, of ${ledger.length}`,
      ...broken.map((words) => `BROKEN  ${words}`),
      "",
      `seed ${values.seed}: ${broken.length === 0 ? "everything held" : `${broken.length} breaches`}`
    ].join("\n")
  )
  return broken.length
}).pipe(Effect.scoped)

const breaches = await Effect.runPromise(run).finally(postgres.stop)
process.exitCode = breaches === 0 ? 0 : 1
