import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Fiber, Layer, Redacted, Schedule, Schema, Scope } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import * as PgliteDatabase from "../../src/adapters/pglite/PgliteDatabase.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import * as Postgres from "../../src/adapters/postgres/Postgres.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { ModelServer } from "../support/model-server.ts"
import { startPostgres } from "../support/postgres.ts"
import { demoOf, http, type Service, start, temporaryFolder } from "../support/service.ts"
import { check, overdue } from "./check.ts"
import { type ChaosUser, Clients, diceOf, modelReply, passingFaults, sharedTasks } from "./clients.ts"
import { makeNetwork } from "./proxy.ts"
import { stoppedLine, stops } from "./stops.ts"

/**
 * `npm run chaos -- [--scale N] [--seed N] [--only NAMES] [--stepped] [--minutes N]`: real processes of the service on a real PostgreSQL
 * (fsync on), a stand-in for the model, and a network in front of both; clients that retry until they know; and each fault
 * as often as the table says, times the scale. Then a checker reads the database and asks again.
 */
const { values } = parseArgs({
  options: {
    scale: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    stepped: { type: "boolean", default: false },
    minutes: { type: "string", default: "120" }
  }
})
const scale = Number(values.scale)
const dice = diceOf(Number(values.seed))
const begun = performance.now()
const end = begun + Number(values.minutes) * 60_000

const instanceCount = 3
const workerCount = 24
const entryPoint = fileURLToPath(new URL("instance.ts", import.meta.url))

/** How often each fault is to happen, and has happened. */
const faults = {
  calm: "seconds of load without a fault",
  stop: "a stop at a commit of the protocol, then kill -9",
  kill: "kill -9 of an instance under load",
  crash: "PostgreSQL stopped with immediate, together with a kill -9",
  commit: "the connection cut after COMMIT was sent, before its answer came",
  answer: "the connection cut after a statement was sent, before its answer came",
  network: "seconds of latency, resets and black holes, all mixed",
  freeze: "an instance frozen past its lease, then woken",
  crowd: "the same key 50 times at once, over 3 instances",
  rush: "100 messages at once to one conversation",
  deploy: "SIGTERM of an instance under load, and no request fails",
  embedded: "kill -9 of the embedded service while it works",
  down: "the model down, and back"
}
type Fault = keyof typeof faults
const goals: { readonly [F in Fault]: number } = {
  calm: 60,
  stop: 20 * stops.length,
  kill: 300,
  crash: 50,
  commit: 200,
  answer: 200,
  network: 1200,
  freeze: 50,
  crowd: 200,
  rush: 100,
  deploy: 50,
  embedded: 50,
  down: 10
}
const done = new Map<string, number>()
const times = (what: string) => done.get(what) ?? 0
const count = (what: string, n = 1) => Effect.sync(() => void done.set(what, times(what) + n))
const eachStop = Math.max(1, Math.ceil(20 * scale))
const goal = (fault: Fault) =>
  fault === "stop" ? eachStop * stops.length : Math.max(1, Math.ceil(goals[fault] * scale))
const only = values.only?.split(",")
const wanted = (...names: ReadonlyArray<Fault>) => only === undefined || names.some((name) => only.includes(name))

const postgres = await startPostgres(18, true)

/** By how many milliseconds the clock of a new instance is off. */
const clockOffset = () => ["0", "0", "60000", "-60000"][dice(4)] ?? "0"
const countClock = (clock: string) => (clock === "0" ? Effect.void : count("instances whose clock is off by 60 s"))

const decodeOverdue = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ id: Schema.String, handed_back: Schema.Boolean }))
)

/** What was checked, and held if nothing else is said. */
const checked: Array<string> = []

/** What was answered is answered again, byte for byte, by any instance; and what failed for good fails again. */
const askAgain = (clients: Clients) => {
  const known = clients.ledger.filter((entry) => entry.bodies.length + entry.failures.length > 0)
  return Effect.andThen(
    Effect.forEach(known, (entry) => clients.untilKnown(entry), { concurrency: workerCount, discard: true }),
    count("answers asked for again", known.length)
  )
}

const settled = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const until = performance.now() + 45_000
  while (performance.now() < until) {
    const rows = yield* sql`select 1 from turns where status = 'running'`
    if (rows.length === 0) return
    yield* Effect.sleep("500 millis")
  }
})

const run = Effect.gen(function* () {
  const databaseNetwork = yield* makeNetwork(Number(new URL(postgres.url).port))
  const model = yield* ModelServer.makeForgetful
  const modelNetwork = yield* makeNetwork(Number(new URL(model.baseUrl).port))
  const mood = { delay: 150, faulty: true, down: false }
  yield* model.otherwise((request) => {
    const reply =
      mood.down || (mood.faulty && dice(30) === 0)
        ? (passingFaults[mood.down ? 2 : dice(passingFaults.length)] ?? modelReply(request, dice))
        : modelReply(request, dice)
    return Effect.delay(Effect.succeed(reply), dice(mood.delay + 1))
  })

  const options = { url: Redacted.make(postgres.url), connections: 2, prepare: true }
  const client = Layer.orDie(PgDatabase.layer(options))
  yield* PgDatabase.migrate(options)
  const users = Array.from({ length: 4 }, (_, i): ChaosUser => ({ user: `user${i}`, token: `token-${i}` }))
  yield* Effect.provide(
    Effect.gen(function* () {
      yield* BetterAuth.createDemoSession
      const sql = yield* SqlClient.SqlClient
      const tasks = yield* TaskTools
      for (const { token, user } of users) {
        yield* sql`insert into "user" (id, name, email, "emailVerified") values (${user}, ${user}, ${user}, true)`
        yield* sql`insert into session (id, token, "userId", "expiresAt")
          values (${token}, ${token}, ${user}, now() + interval '1 day')`
        for (let i = 0; i < sharedTasks; i++) {
          yield* tasks.add(UserId.make(user), { title: `chaos-${user}-shared-${i}`, description: null }, null)
        }
      }
    }),
    Layer.provideMerge(Postgres.layer(), client)
  )

  const behind = (url: string, port: number) => {
    const changed = new URL(url)
    changed.port = String(port)
    return changed.href
  }
  const env = {
    DATABASE_URL: behind(postgres.url, databaseNetwork.port),
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: behind(model.baseUrl, modelNetwork.port),
    // More than anybody does, so that they are counted and never reached.
    RATE_LIMIT: "1000000",
    TURNS_AT_ONCE: "1000",
    MAX_CONVERSATIONS: "1000000",
    MAX_TASKS: "1000000",
    LOG_LEVEL: "Error",
    TURN_TIMEOUT: "8 seconds",
    SHUTDOWN_GRACE: "5 seconds"
  }
  let launched = 0
  /** Starts an instance, of which every second carries out a step call by call (all of them if `stepped`), whose clock may be wrong by a minute; while the database is away it cannot, and tries again. */
  const launch = (more: Record<string, string> = {}) => {
    const clock = clockOffset()
    const stepped = values.stepped || launched++ % 2 === 0 ? { CHAOS_STEPPED: "1" } : {}
    const attempt: Effect.Effect<Service, never, Scope.Scope> = Effect.catchCause(
      Effect.timeout(start({ ...env, CHAOS_CLOCK: clock, ...stepped, ...more }, entryPoint), "30 seconds"),
      () =>
        Effect.delay(
          Effect.suspend(() => attempt),
          "300 millis"
        )
    )
    return Effect.tap(attempt, () => countClock(clock))
  }

  /** Each instance has a scope of its own, or the ended ones would pile up. */
  const members: Array<Service> = []
  const scopes = new Map<Service, Scope.Closeable>()
  let oldLogs = ""
  const enter = Effect.fnUntraced(function* (more: Record<string, string> = {}) {
    const scope = yield* Scope.make()
    const service = yield* Scope.provide(launch(more), scope)
    scopes.set(service, scope)
    members.push(service)
    return service
  })
  const leave = Effect.fnUntraced(function* (service: Service, signal: NodeJS.Signals) {
    const at = members.indexOf(service)
    if (at !== -1) members.splice(at, 1)
    yield* service.end(signal)
    oldLogs = (oldLogs + service.output()).slice(-2_000_000)
    const scope = scopes.get(service)
    scopes.delete(service)
    if (scope !== undefined) yield* Scope.close(scope, Exit.void)
  })
  yield* Effect.addFinalizer(() =>
    Effect.forEach([...members], (service) => leave(service, "SIGKILL"), { discard: true })
  )
  const clients = new Clients(
    dice,
    () => members.map((service) => service.url),
    () => oldLogs + members.map((service) => service.output()).join("")
  )

  /** Makes a fault happen as often as it is to, and shows how far it is. */
  const phase = Effect.fnUntraced(function* <E, R>(fault: Fault, once: Effect.Effect<unknown, E, R>, concurrency = 1) {
    if (!wanted(fault)) return
    const from = performance.now()
    const show = Effect.sync(() => {
      const seconds = Math.round((performance.now() - from) / 1000)
      process.stderr.write(
        `\r${faults[fault]}: ${times(faults[fault])} of ${goal(fault)}, ${seconds} s, ${clients.answered()} turns answered `
      )
    })
    const showing = yield* Effect.forkChild(Effect.repeat(show, Schedule.spaced("1 second")))
    const again = Effect.gen(function* () {
      while (times(faults[fault]) < goal(fault) && performance.now() < end) yield* once
    })
    yield* Effect.replicateEffect(again, concurrency, { concurrency, discard: true })
    yield* Fiber.interrupt(showing)
    yield* show
    process.stderr.write("\n")
  })
  const random = () => members[dice(members.length)]

  yield* Effect.replicateEffect(enter(), instanceCount, { concurrency: 3, discard: true })
  const workers = yield* Effect.forEach(Array.from({ length: workerCount }), (_, id) =>
    Effect.forkChild(clients.worker(users[id % users.length] ?? { user: "", token: "" }, Math.floor(id / users.length)))
  )

  /** Kills one and starts another first, or there would be none to answer. */
  const kill = Effect.gen(function* () {
    const victim = random()
    yield* enter()
    if (victim === undefined) return
    yield* leave(victim, "SIGKILL")
    yield* count(faults.kill)
  })

  /** A member more than the others, which stops at a place and is killed there. */
  const stopAt = Effect.fnUntraced(function* (place: string) {
    const handsBack = place.endsWith("handBack")
    const often = ["begin", "step", "complete"].some((operation) => place.endsWith(operation))
    const service = yield* enter({
      CHAOS_STOP: `${place} ${often ? 1 + dice(20) : 1}`,
      ...(handsBack && { SHUTDOWN_GRACE: "10 millis" })
    })
    if (handsBack) {
      yield* Effect.sleep(300 + dice(300))
      yield* service.signal("SIGTERM")
    }
    const stopped = Effect.gen(function* () {
      while (!service.output().includes(stoppedLine)) yield* Effect.sleep("10 millis")
      yield* count(faults.stop)
      yield* count(`  ${place}`)
    })
    yield* Effect.timeoutOrElse(stopped, { duration: "25 seconds", orElse: () => Effect.void })
    yield* leave(service, "SIGKILL")
  })
  let turn = 0
  const stopSome = Effect.suspend(() => {
    const left = stops.filter((place) => times(`  ${place}`) < eachStop)
    const place = left[turn++ % Math.max(1, left.length)]
    return place === undefined ? Effect.void : stopAt(place)
  })
  // Somebody takes up what was left behind, though no client may ask for it again.
  let watching = true
  const watch = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let handedBack = new Map<string, number>()
    while (true) {
      yield* Effect.sleep("2 seconds")
      const rows = watching ? decodeOverdue(yield* sql.unsafe(overdue)) : []
      const now = performance.now()
      const seen = new Map(rows.map((row) => [row.id, handedBack.get(row.id) ?? now]))
      for (const row of rows) {
        // The lease of a turn that was handed back is over since ever: from the first look that saw it, it has its 15 s.
        const late = row.handed_back ? now - (seen.get(row.id) ?? now) > 15_000 : true
        if (late && watching) clients.broken.push(`a turn past its lease: ${JSON.stringify(row)}`)
      }
      handedBack = seen
      yield* count("looks for turns past their lease")
    }
  })
  yield* Effect.forkChild(Effect.provide(watch, Layer.fresh(client)))

  yield* phase("calm", Effect.andThen(Effect.sleep("1 second"), count(faults.calm)))
  clients.manners.deadly = true
  yield* phase("stop", stopSome, 4)
  const beforeKills = clients.answered()
  yield* phase("kill", kill)
  // The kills are to fall on so many turns.
  while (wanted("kill") && clients.answered() - beforeKills < 10_000 * scale && performance.now() < end) yield* kill
  if (wanted("kill")) yield* count("turns answered meanwhile", clients.answered() - beforeKills)

  // From here on the database is away at times, or nobody reaches it.
  watching = false
  const crash = Effect.gen(function* () {
    const victim = random()
    yield* Effect.all([Effect.promise(postgres.crash), victim === undefined ? Effect.void : leave(victim, "SIGKILL")], {
      concurrency: 2
    })
    yield* count(faults.crash)
    if (victim !== undefined) yield* enter()
    yield* Effect.sleep(dice(500))
  })
  yield* phase("crash", crash)

  const cut = (fault: "commit" | "answer", bytes: string) =>
    Effect.gen(function* () {
      databaseNetwork.cut(bytes, 1)
      const until = performance.now() + 5000
      while (databaseNetwork.cutsLeft() > 0 && performance.now() < until) yield* Effect.sleep("5 millis")
      if (databaseNetwork.cutsLeft() === 0) yield* count(faults[fault])
      databaseNetwork.cut("", 0)
      yield* Effect.sleep(dice(100))
    })
  if (wanted("commit")) {
    // Whichever instances are left, one of them carries steps out as transactions, or nothing would say COMMIT.
    const makesWay = random()
    yield* enter({ CHAOS_STEPPED: "1" })
    if (makesWay !== undefined) yield* leave(makesWay, "SIGTERM")
  }
  yield* phase("commit", cut("commit", "COMMIT\0"))
  yield* phase("answer", cut("answer", "SELECT 1\0"))

  const freeze = Effect.gen(function* () {
    const victim = random()
    if (victim === undefined) return
    yield* victim.signal("SIGSTOP")
    yield* Effect.sleep("16 seconds")
    yield* victim.signal("SIGCONT")
    yield* count(faults.freeze)
    yield* Effect.sleep("500 millis")
  })
  const disturb = Effect.gen(function* () {
    const network = dice(3) === 0 ? modelNetwork : databaseNetwork
    const link = [...network.links][dice(Math.max(1, network.links.size))]
    const kind = dice(20)
    if (kind === 0) {
      network.partition()
      yield* Effect.sleep(500 + dice(3000))
      network.heal()
      yield* count("  partitions of a network")
    } else if (link !== undefined && kind < 4) {
      link.fallSilent()
      yield* count("  black holes")
    } else if (link !== undefined && kind < 10) {
      link.reset()
      yield* count("  resets")
    } else if (link !== undefined) {
      link.late = dice(300)
      yield* count("  connections made late")
    }
    const pause = 200 + dice(1600)
    yield* Effect.sleep(pause)
  })
  if (wanted("network", "freeze")) {
    // They go away after all sorts of times, or a frozen instance would keep them.
    clients.manners.patience = () => 200 + dice(dice(4) === 0 ? 1000 : 12_000)
    const since = performance.now()
    const elapsed = Effect.suspend(() => {
      done.set(faults.network, Math.floor((performance.now() - since) / 1000))
      return Effect.void
    })
    yield* Effect.all([phase("network", Effect.andThen(disturb, elapsed)), phase("freeze", freeze)], { concurrency: 2 })
    clients.manners.patience = () => 30_000
    for (const network of [databaseNetwork, modelNetwork]) for (const link of network.links) link.reset()
  }

  const down = Effect.gen(function* () {
    mood.down = true
    yield* Effect.sleep("3 seconds")
    mood.down = false
    yield* Effect.sleep("1 second")
    yield* count(faults.down)
  })
  yield* phase("down", down)

  // What comes at once is load enough.
  clients.resting = true
  mood.delay = 0
  let crowds = 0
  const crowd = Effect.gen(function* () {
    const user = users[dice(users.length)] ?? { user: "", token: "" }
    const entry = clients.entry(user, `crowd-${++crowds}`, `crowd${crowds}`)
    yield* Effect.replicateEffect(clients.untilKnown(entry), 50, { concurrency: "unbounded", discard: true })
    yield* count(faults.crowd)
  })
  yield* phase("crowd", crowd)

  // Where many messages wait for one conversation, one that the model fails three times is closed by the next.
  mood.faulty = false
  let rushes = 0
  const rush = Effect.gen(function* () {
    const user = users[dice(users.length)] ?? { user: "", token: "" }
    const name = `rush${++rushes}`
    const conversation = yield* clients.untilKnown(clients.entry(user, name, name))
    if (conversation === undefined) return
    const entries = Array.from({ length: 100 }, (_, i) =>
      clients.entry(user, `${name}-${i}`, `${name}-${i}`, conversation, true)
    )
    yield* Effect.forEach(entries, (entry) => clients.untilKnown(entry), { concurrency: "unbounded", discard: true })
    yield* count(faults.rush)
  })
  yield* phase("rush", rush, Math.min(12, goal("rush")))

  clients.resting = false
  if (wanted("deploy")) {
    mood.faulty = false
    mood.delay = 150
    // Nothing of the earlier faults is left that could be seen.
    yield* Effect.sleep("20 seconds")
    clients.manners.strict = true
    clients.manners.deadly = false
    watching = true
    const deploy = Effect.gen(function* () {
      const [oldest] = members
      yield* enter()
      if (oldest === undefined) return
      // The balancer goes on sending requests to it until they are refused.
      const code = yield* Effect.timeoutOrElse(oldest.end("SIGTERM"), {
        duration: "30 seconds",
        orElse: () => Effect.succeed("still there after 30 s")
      })
      if (code !== 0) clients.broken.push(`an instance ended with ${code} by SIGTERM`)
      yield* leave(oldest, "SIGKILL")
      yield* count(faults.deploy)
    })
    yield* phase("deploy", deploy)
    clients.manners.strict = false
  }

  process.stderr.write("the last answers\n")
  clients.working = false
  yield* Effect.forEach(workers, (fiber) => Fiber.join(fiber), { discard: true })
  clients.manners.deadly = false
  mood.faulty = false
  mood.delay = 0
  // What nobody asks for any more comes to its end by itself: a lease, 15 seconds, and a turn's time.
  yield* Effect.provide(settled, Layer.fresh(client))
  // Every conversation goes on: the model's API takes its prompt.
  const last = new Map(
    clients.ledger.flatMap((entry) => {
      const id = entry.bodies[0] === undefined ? undefined : String(JSON.parse(entry.bodies[0]).conversation_id)
      return id === undefined ? [] : [[id, entry] as const]
    })
  )
  let n = 0
  yield* Effect.forEach(
    last,
    ([conversation, { token, user }]) =>
      clients.untilKnown(clients.entry({ user, token }, `last-${++n}`, `last-${n}`, conversation)),
    { concurrency: workerCount, discard: true }
  )
  yield* count("conversations that went on at the end", last.size)
  yield* count("answers that came as streams of events", clients.watched)
  yield* count("of these asked for again from some place on", clients.resumed)
  // What was answered is answered again, byte for byte, by any instance.
  yield* askAgain(clients)

  process.stderr.write("the check\n")
  checked.push(...(yield* check(clients, users, client, true)))
  checked.push("no turn past its lease and 15 s, in calm, stops, kills and deploys", "no deadlock in PostgreSQL's log")
  if (postgres.deadlocks() > 0) clients.broken.push(`PostgreSQL has counted ${postgres.deadlocks()} deadlocks`)
  return clients
}).pipe(Effect.scoped)

/** The embedded service, killed again and again while it works. */
const runEmbedded = Effect.gen(function* () {
  const folder = join(yield* temporaryFolder, "data")
  const model = yield* ModelServer.makeForgetful
  yield* model.otherwise((request) => Effect.delay(Effect.succeed(modelReply(request, dice)), dice(30)))
  const env = {
    DATA_DIR: folder,
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: model.baseUrl,
    // More than anybody does, so that they are counted and never reached.
    RATE_LIMIT: "1000000",
    TURNS_AT_ONCE: "1000",
    MAX_CONVERSATIONS: "1000000",
    MAX_TASKS: "1000000",
    LOG_LEVEL: "Error"
  }
  let service: Service | undefined
  let logs = ""
  const clients = new Clients(
    dice,
    () => (service === undefined ? [] : [service.url]),
    () => logs + (service?.output() ?? "")
  )
  const starting = Effect.suspend(() => {
    const clock = clockOffset()
    return Effect.tap(start({ ...env, CHAOS_CLOCK: clock }, entryPoint), () => countClock(clock))
  })
  service = yield* starting
  const user = demoOf(service.output())
  clients.manners.deadly = true
  for (let i = 0; i < sharedTasks; i++) {
    const title = `chaos-${user.user}-shared-${i}`
    yield* http("POST", `${service.url}/api/v1/users/${user.user}/tasks`, user.token, { title })
  }
  const workers = yield* Effect.forEach(Array.from({ length: 8 }), (_, id) =>
    Effect.forkChild(clients.worker(user, id))
  )
  process.stderr.write("\n")
  while (times(faults.embedded) < goal("embedded") && performance.now() < end) {
    yield* Effect.sleep(300 + dice(1500))
    const old = service
    service = undefined
    yield* old.end("SIGKILL")
    logs += old.output()
    yield* count(faults.embedded)
    service = yield* starting
    process.stderr.write(
      `\r${faults.embedded}: ${times(faults.embedded)} of ${goal("embedded")}, ${clients.answered()} turns answered `
    )
  }
  process.stderr.write("\nthe last answers, and the check\n")
  clients.working = false
  yield* Effect.forEach(workers, (fiber) => Fiber.join(fiber), { discard: true })
  yield* askAgain(clients)
  // What nobody asks for any more comes to its end.
  yield* Effect.sleep("5 seconds")
  yield* service.end("SIGTERM")
  const inSchema = Layer.effectDiscard(Effect.flatMap(SqlClient.SqlClient, (sql) => sql`set search_path to turnkeeper`))
  const database: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> = Layer.orDie(
    inSchema.pipe(Layer.provideMerge(PgliteDatabase.layer({ dataDir: folder })))
  )
  checked.push(...(yield* check(clients, [], database, false)).map((words) => `embedded: ${words}`))
  return clients
}).pipe(Effect.scoped)

const all = Effect.gen(function* () {
  const parts: Array<Clients> = []
  if (only?.join() !== "embedded") parts.push(yield* run)
  if (wanted("embedded")) parts.push(yield* runEmbedded)
  const broken = parts.flatMap((clients) => clients.broken)
  const short = (Object.keys(faults) as Array<Fault>).filter(
    (fault) => wanted(fault) && times(faults[fault]) < goal(fault)
  )
  const rows = [...done].map(([what, n]) => `${String(n).padStart(7)}  ${what}`)
  const total = parts.flatMap((clients) => clients.ledger)
  const answered = total.filter((entry) => entry.bodies.length > 0).length
  const failed = total.filter((entry) => entry.failures.length > 0).length
  yield* Console.log(
    [
      ...rows,
      `${String(answered).padStart(7)}  turns answered, and ${failed} that failed for good, of ${total.length}`,
      ...checked.map((words) => `checked  ${words}`),
      ...broken.slice(0, 20).map((words) => `BROKEN  ${words}`),
      ...short.map((fault) => `SHORT   ${faults[fault]}: ${times(faults[fault])} of ${goal(fault)}`),
      "",
      `seed ${values.seed}, ${Math.round((performance.now() - begun) / 1000)} s: ${
        broken.length === 0 ? "everything held" : `${broken.length} breaches`
      }`
    ].join("\n")
  )
  return broken.length === 0 && short.length === 0
}).pipe(Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)))))

const main = all.pipe(
  Effect.flatMap((held) => (held ? Effect.void : Effect.fail("it did not hold"))),
  Effect.ensuring(Effect.promise(postgres.stop))
)
NodeRuntime.runMain(main, { disableErrorReporting: true })
