import {
  Cause,
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Random,
  References,
  Schema,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import * as Agent from "../domain/Agent.ts"
import * as Chat from "../domain/Chat.ts"
import { uuidV7 } from "../domain/Ids.ts"
import { ConversationId, MessageId, TurnId } from "../domain/model/Conversation.ts"
import { StorageUnavailable, type TurnFailed, type TurnNotFound } from "../domain/model/Errors.ts"
import { type Failure, IdempotencyKey, TurnReply } from "../domain/model/Turn.ts"
import { type User, UserId } from "../domain/model/User.ts"
import { defaultSettings, Settings } from "../domain/Settings.ts"
import * as Tool from "../domain/Tool.ts"
import * as Tools from "../domain/Tools.ts"
import * as TurnFeed from "../domain/TurnFeed.ts"
import { turnPolicy } from "../domain/TurnPolicy.ts"
import * as Turns from "../domain/Turns.ts"
import { ConversationRepo } from "../ports/ConversationRepo.ts"
import { type Completion, LLM, ModelFailed, type OnText, type Prompt } from "../ports/LLM.ts"
import { TaskTools } from "../ports/TaskTools.ts"
import { check, type Ledger, misled, show } from "./Checker.ts"
import * as Intercept from "./Intercept.ts"

/** What a simulation came to. */
export interface Outcome {
  readonly seed: number
  /** What was not as it must be; empty when all was well. */
  readonly violations: ReadonlyArray<string>
  /** How often each fault was done, and each answer given. */
  readonly counts: ReadonlyMap<string, number>
}

/** Dice that fall the same for the same seed (mulberry32). */
const makeDice = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    chance: (probability: number): boolean => next() < probability,
    /** A whole number from 0, below the bound. */
    below: (bound: number): number => Math.floor(next() * bound),
    pick: <A>(options: readonly [A, ...ReadonlyArray<A>]): A =>
      options[Math.floor(next() * options.length)] ?? options[0]
  }
}
type Dice = ReturnType<typeof makeDice>

/** An instance of the service, as a client reaches it. */
interface Instance {
  readonly chat: Chat.Chat["Service"]
  readonly feed: TurnFeed.TurnFeed["Service"]
  readonly clock: Clock.Clock
  readonly scope: Scope.Closeable
  /** Completes when the process is gone. */
  readonly death: Deferred.Deferred<void>
  readonly process: Process
}

/** What befalls one instance. A dead one does nothing any more; a frozen one does nothing until it wakes up. */
interface Process {
  dead: boolean
  frozenUntil: number
}

interface World {
  readonly dice: Dice
  /** The store's time, by which leases go. */
  readonly clock: Clock.Clock
  /** How much goes wrong, from 0 to 1; it calms down in the end. */
  turbulence: number
  /** How often the model makes a mistake. */
  readonly trouble: number
  readonly count: (what: string) => void
  readonly repo: ConversationRepo["Service"]
  readonly tools: TaskTools["Service"]
  readonly instances: Array<Instance>
  /** The keys of the calls that have arrived outside. */
  readonly sent: Set<string>
}

const lost = new StorageUnavailable({ operation: "simulation" })

/** What is simulated. */
export interface Options<E> {
  /** All that happens follows from it, and from what the store answers. */
  readonly seed: number
  /** The store: built anew for each simulation, and empty. It must live on simulated time, or nothing can be said of it. */
  readonly store: Layer.Layer<ConversationRepo | TaskTools, E>
}

/** The store does not live on simulated time: it waits for something outside of the process, or goes by a clock of its own. */
export class StoreNotSimulated extends Schema.TaggedError<StoreNotSimulated>()("StoreNotSimulated", {
  message: Schema.String
}) {}

/**
 * Runs several instances on one store, with clients that retry until they know, while every call of a port may be late,
 * fail, hang, or kill or freeze its instance, before its effect or after it. Afterwards a checker reads the store by its ports,
 * and looks for anything that happened twice, half, to somebody else, or not at all.
 *
 * Time is simulated. So the store must go by Effect's `Clock`, leases above all, and must answer without waiting for anything
 * but its own fibers: in memory, or synchronously. Fails with `StoreNotSimulated` where it does not.
 */
export const simulate = <E>({ seed, store }: Options<E>): Effect.Effect<Outcome, E | StoreNotSimulated> =>
  Effect.gen(function* () {
    yield* Random.withSeed(requireSimulated, "probe")
    yield* TestClock.setTime(Date.UTC(2026, 0, 19))
    const dice = makeDice(seed)
    const counts = new Map<string, number>()
    const world: World = {
      dice,
      clock: yield* Clock.Clock,
      turbulence: dice.pick([0, 0.3, 1, 1, 2]),
      trouble: dice.pick([0.02, 0.1, 0.5]),
      count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
      repo: yield* ConversationRepo,
      tools: yield* TaskTools,
      instances: [],
      sent: new Set()
    }
    const calm = world.turbulence === 0
    for (let i = 0; i < 1 + dice.below(3); i++) world.instances.push(yield* startInstance(world))

    const users = Array.from(
      { length: 1 + dice.below(2) },
      (_, i): User => ({ id: UserId.make(`user${i}`), name: `User ${i}` })
    )
    const ledgers = users.flatMap((user) =>
      Array.from({ length: 1 + dice.below(2) }, (_, i): Ledger => ({ user, name: `${user.id}c${i}`, sent: [] }))
    )
    const clients = yield* Effect.forEach(ledgers, (ledger) => Effect.forkChild(client(world, ledger)))
    const fates = yield* Effect.forkChild(fate(world))

    const over = Effect.sync(() => clients.every((fiber) => fiber.pollUnsafe() !== undefined))
    for (let seconds = 0; !(yield* over) && seconds < 1200; seconds++) {
      yield* TestClock.adjust("1 second")
      if (seconds === 300) world.turbulence = 0 // whatever was wrong, in the end it is mended
    }
    yield* Fiber.interrupt(fates)
    world.turbulence = 0
    const stuck = ledgers.flatMap((ledger, i) => {
      const exit = clients[i]?.pollUnsafe()
      if (exit === undefined) return [`the client ${ledger.name} never came to know`]
      return Exit.isSuccess(exit) ? [] : [`the client ${ledger.name} was told: ${Cause.pretty(exit.cause)}`]
    })
    const wronged = ledgers.flatMap((ledger) =>
      calm
        ? ledger.sent
            .filter((entry) => entry.ended === "abandoned")
            .map((entry) => `${entry.text} was abandoned, though nobody died`)
        : []
    )
    for (const fiber of clients) yield* Effect.forkChild(Fiber.interrupt(fiber))
    yield* Effect.forkChild(Effect.flatMap(Fiber.awaitAll(clients), () => Effect.void))
    if (world.instances.every((instance) => instance.process.dead)) world.instances.push(yield* startInstance(world))
    for (let i = 0; i < 45; i++) yield* TestClock.adjust("1 second") // a lease, and 15 s, and some

    const violations = [...stuck, ...wronged, ...(yield* check(ledgers, world))]
    for (const instance of world.instances) yield* Effect.forkChild(Scope.close(instance.scope, Exit.void))
    for (let i = 0; i < 10; i++) yield* TestClock.adjust("10 seconds")
    return { seed, violations, counts }
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(store.pipe(Layer.provideMerge(TestClock.layer())))),
    Effect.provideService(References.MinimumLogLevel, "None"),
    Random.withSeed(seed)
  )

/** Tries whether a turn's lease ends when simulated time has gone by, and whether the store answers without any. */
const requireSimulated = Effect.gen(function* () {
  const repo = yield* ConversationRepo
  const lease = 1000
  const userId = UserId.make("probe")
  const ids = yield* Effect.replicateEffect(uuidV7, 4)
  const [turnId = "", conversationId = "", messageId = "", holder = ""] = ids
  const ref = { userId, turnId: TurnId.make(turnId), conversationId: ConversationId.make(conversationId) }
  const probing = yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* repo.begin(
        {
          userId,
          turnId: ref.turnId,
          holder,
          idempotencyKey: Option.none(),
          fingerprint: "probe",
          conversationId: Option.none(),
          newConversationId: ref.conversationId,
          title: "probe",
          messageId: MessageId.make(messageId),
          content: "probe",
          context: { userName: "probe" },
          begun: false
        },
        { ...turnPolicy(settings), leaseMillis: lease }
      )
      const held = yield* repo.settled([ref], lease)
      yield* Effect.sleep(2 * lease)
      const settled = yield* repo.settled([ref], lease)
      yield* repo.eraseUser(userId)
      return held.length === 0 && settled.length === 1
    })
  )
  yield* TestClock.adjust(2 * lease)
  yield* TestClock.adjust(2 * lease)
  const exit = probing.pollUnsafe()
  if (exit === undefined) {
    yield* Effect.forkChild(Fiber.interrupt(probing))
    return yield* new StoreNotSimulated({ message: "The store waits for something that is not simulated." })
  }
  if (Exit.isSuccess(exit) && !exit.value) {
    return yield* new StoreNotSimulated({ message: "The store's leases do not go by the Clock." })
  }
})

const settings: Settings = { ...defaultSettings, turnsPerMinute: null }

/** A clock that is wrong by so many milliseconds, and otherwise goes as the true one. */
const skewed = (clock: Clock.Clock, millis: number): Clock.Clock => ({
  ...clock,
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis)
})

const startInstance = Effect.fnUntraced(function* (world: World): Effect.fn.Return<Instance> {
  const process: Process = { dead: false, frozenUntil: 0 }
  const skew = world.dice.chance(0.3) ? world.dice.pick([-60_000, 60_000]) : 0
  if (skew !== 0) world.count("clock off by a minute")
  const clock = skewed(world.clock, skew)
  const death = yield* Deferred.make<void>()
  const scope = yield* Scope.make()
  const kill = Effect.suspend(() => {
    process.dead = true
    return Deferred.succeed(death, undefined)
  })
  const faulty = faults(world, process, kill)
  const context = yield* Layer.merge(Chat.layer, TurnFeed.layer).pipe(
    Layer.provideMerge(Turns.layer),
    Layer.provide(Agent.layer),
    Layer.provide(Layer.orDie(Tools.layerWith(sending(world, faulty)))),
    Layer.provide(
      Layer.mergeAll(
        Layer.succeed(ConversationRepo, faultyRepo(world, faulty)),
        Layer.succeed(TaskTools, faultyTools(world, faulty)),
        Layer.succeed(LLM, { complete: model(world, process) })
      )
    ),
    Layer.provide(Layer.succeed(Settings, settings)),
    Layer.fresh,
    (layer) => Layer.buildWithScope(layer, scope),
    Effect.provideService(Clock.Clock, clock)
  )
  return {
    chat: Context.get(context, Chat.Chat),
    feed: Context.get(context, TurnFeed.TurnFeed),
    clock,
    scope,
    death,
    process
  }
})

interface Faults {
  /** A call of a port, to which anything may happen. */
  readonly call: Intercept.Around<string>
  /** A call inside a transaction: whoever dies or freezes there is thrown out by the store, which rolls back. */
  readonly inside: Intercept.Around<string>
}

const faults = (world: World, process: Process, kill: Effect.Effect<unknown>): Faults => {
  const { count, dice } = world
  /** Nothing comes back to a dead process, and to a frozen one not yet. */
  const alive = Effect.suspend((): Effect.Effect<void> => {
    if (process.dead) return Effect.never
    return Effect.flatMap(world.clock.currentTimeMillis, (now) =>
      process.frozenUntil > now
        ? Effect.flatMap(Effect.sleep(Math.ceil(process.frozenUntil - now) + 1), () => alive)
        : Effect.void
    )
  })
  const freeze = Effect.map(world.clock.currentTimeMillis, (now) => {
    process.frozenUntil = now + 1000 + dice.below(40_000)
  })
  const fail = Effect.fail(lost)
  return {
    call: <A, E, R>(name: string, port: Effect.Effect<A, E, R>) =>
      Effect.suspend((): Effect.Effect<A, E | StorageUnavailable, R> => {
        const effect = Effect.provideService(port, Clock.Clock, world.clock)
        const fault = dice.chance(0.06 * world.turbulence) ? dice.pick(kinds) : dice.chance(0.5) ? "late" : "none"
        if (fault !== "none" && fault !== "late") count(`${fault}: ${name}`)
        switch (fault) {
          case "none":
            return effect
          case "late":
            return Effect.delay(effect, 1 + dice.below(200))
          case "fails before":
            return fail
          case "fails after":
            return Effect.andThen(Effect.exit(effect), fail)
          case "hangs before":
            return Effect.never
          case "hangs after":
            return Effect.andThen(Effect.exit(effect), Effect.never)
          case "dies before":
            return Effect.andThen(kill, Effect.never)
          case "dies after":
            return Effect.andThen(Effect.exit(effect), Effect.andThen(kill, Effect.never))
          case "freezes before":
            return Effect.andThen(freeze, Effect.andThen(alive, effect))
          case "freezes after":
            return Effect.tap(effect, () => freeze)
        }
      }).pipe((called) =>
        Effect.andThen(
          alive,
          Effect.flatMap(Effect.exit(called), (exit) => Effect.andThen(alive, exit))
        )
      ),
    inside: (name, effect) =>
      Effect.suspend(() => {
        const fault = dice.chance(0.04 * world.turbulence) ? dice.pick(["fails", "dies", "freezes"]) : "none"
        if (fault !== "none") count(`${fault} in the transaction: ${name}`)
        switch (fault) {
          case "fails":
            return Effect.andThen(effect, fail)
          case "dies":
            return Effect.andThen(effect, Effect.andThen(kill, fail))
          case "freezes":
            return Effect.andThen(effect, Effect.andThen(freeze, Effect.andThen(Effect.sleep(2000), fail)))
          default:
            return effect
        }
      })
  }
}

const kinds = [
  "fails before",
  "fails after",
  "hangs before",
  "hangs after",
  "dies before",
  "dies after",
  "freezes before",
  "freezes after"
] as const

const faultyRepo = ({ repo }: World, { call }: Faults): ConversationRepo["Service"] =>
  Intercept.conversationRepo(repo, call)

const faultyTools = ({ tools }: World, { inside }: Faults): TaskTools["Service"] => ({
  ...tools,
  add: (userId, task, limit) => inside("add", tools.add(userId, task, limit)),
  complete: (userId, taskId) => inside("complete", tools.complete(userId, taskId))
})

/** A tool outside of the store, which anything may befall as well; each call that arrives is written down by its key. */
const sending = ({ sent }: World, { call }: Faults) =>
  Tool.make({
    name: "send",
    description: "Sends it.",
    parameters: Schema.Struct({}),
    result: Schema.Struct({}),
    kind: "external",
    handler: (_, { key }) =>
      call(
        "send",
        Effect.sync(() => {
          sent.add(key)
          return {}
        })
      )
  })

const usage = { promptTokens: 10, completionTokens: 5 }

type Call = Completion["toolCalls"][number]

const says = (text: string): Completion => ({ text, toolCalls: [], finishReason: "stop", usage })
const asks = (...toolCalls: ReadonlyArray<Call>): Completion => ({
  text: "",
  toolCalls,
  finishReason: "tool_calls",
  usage
})

/** A model, which takes its time, and makes whatever mistakes models make. */
const model =
  ({ count, dice, trouble }: World, process: Process) =>
  (prompt: Prompt, onText?: OnText): Effect.Effect<Completion, ModelFailed> =>
    Effect.suspend(() => {
      if (process.dead) return Effect.never
      const answer = (completion: Completion) => {
        const time = dice.chance(0.1) ? dice.below(20_000) : dice.below(3000)
        if (onText === undefined) return Effect.delay(Effect.succeed(completion), time)
        const half = dice.below(completion.text.length + 1)
        return Effect.gen(function* () {
          yield* Effect.sleep(time / 2)
          onText(completion.text.slice(0, half))
          yield* Effect.sleep(time / 2)
          onText(completion.text.slice(half))
          return completion
        })
      }
      if (!dice.chance(trouble)) return answer(doAsTold(dice, prompt))
      const fault = dice.pick(modelFaults)
      count(`model: ${fault}`)
      switch (fault) {
        case "hangs":
          return Effect.never
        case "says half":
          return Effect.delay(Effect.fail(new ModelFailed({ reason: "unreachable" })), 500).pipe((failure) =>
            Effect.andThen(
              Effect.sync(() => onText?.("Added ")),
              failure
            )
          )
        case "says nothing":
          return answer(says(" "))
        case "is cut":
          return answer({ ...asks({ id: "x", name: "add_task", arguments: "{" }), finishReason: "length" })
        case "asks for more":
          return answer(
            asks({ id: "", name: "no such tool", arguments: "]" }, { id: "", name: "list_tasks", arguments: "" })
          )
        default:
          return Effect.fail(new ModelFailed({ reason: fault }))
      }
    })

/**
 * What a model does that does as it is told: each word of the message is a task to add, those before a "|" at once and
 * then those behind it, and in the end it names them all. No two of its answers are alike: it may do one thing after the
 * other, look at the list in between, or say it in other words.
 */
const doAsTold = (dice: Dice, prompt: Prompt): Completion => {
  const last = prompt.messages.findLastIndex((message) => message.role === "user")
  const text = prompt.messages[last]?.content ?? ""
  const asked = prompt.messages
    .slice(last)
    .flatMap((message) => (message.role === "assistant" ? message.toolCalls.map((call) => call.arguments) : []))
  const isLeft = (title: string) => !asked.some((args) => args.includes(`"${title}"`))
  const steps = text.split("|").map((part) => part.trim().split(" ").filter(isLeft))
  const step = steps.find((step) => step.length > 0)
  if (step !== undefined) {
    const titles = dice.chance(0.3) ? step.slice(0, 1) : step
    return asks(
      ...(dice.chance(0.1) ? [{ id: "send", name: "send", arguments: "{}" }] : []),
      ...titles.map((title, i) => ({
        id: `call_${i}`,
        name: "add_task",
        arguments: JSON.stringify({ title, user_id: "user0" })
      }))
    )
  }
  return asked.length < 6 && dice.chance(0.2)
    ? asks({ id: "again", name: "list_tasks", arguments: "{}" })
    : says(`Added ${text} (${dice.below(1_000_000)})`)
}

const modelFaults = [
  "rate_limited",
  "overloaded",
  "timed_out",
  "unreachable",
  "bad_answer",
  "refused",
  "context_too_long",
  "hangs",
  "says half",
  "says nothing",
  "is cut",
  "asks for more"
] as const

/** Ends and replaces instances, now and then, and lets them drain as a deploy would. */
const fate = Effect.fnUntraced(function* (world: World): Effect.fn.Return<void> {
  const { count, dice, instances } = world
  while (true) {
    yield* Effect.sleep(500 + dice.below(20_000))
    for (let i = 0; i < instances.length; i++) {
      const instance = instances[i]
      if (instance?.process.dead === true) {
        instances[i] = yield* startInstance(world)
        yield* Effect.forkDetach(Effect.ignore(Scope.close(instance.scope, Exit.void)))
      } else if (instance !== undefined && dice.chance(0.1 * world.turbulence)) {
        count("drained and replaced")
        instances[i] = yield* startInstance(world)
        yield* Effect.forkDetach(Effect.ignore(Scope.close(instance.scope, Exit.void)))
      }
    }
  }
})

const decodeReply = Schema.decodeUnknownSync(Schema.fromJsonString(TurnReply))

/** Sends its messages one after the other, each with a key, and again until it knows what became of it. */
const client = Effect.fnUntraced(function* (world: World, ledger: Ledger): Effect.fn.Return<void> {
  const { count, dice } = world
  let conversationId: Option.Option<ConversationId> = Option.none()
  for (let n = 0; n < 1 + dice.below(4); n++) {
    const names = Array.from({ length: 1 + dice.below(3) }, (_, i) => `${ledger.name}m${n}t${i}`)
    const text = names.length > 1 && dice.chance(0.5) ? names.join("|") : names.join(" ")
    const entry: Ledger["sent"][number] = {
      // The users share their keys: each one's are its own.
      key: IdempotencyKey.make(`${ledger.name.slice(5)}k${n}`),
      text,
      conversationId,
      bodies: [],
      ended: undefined,
      screen: { turnId: undefined, place: undefined, text: "", calls: [], step: [] },
      unseen: []
    }
    ledger.sent.push(entry)
    yield* insist(world, ledger, entry)
    count(`answered: ${entry.ended}`)
    const [body] = entry.bodies
    if (body !== undefined) conversationId = Option.some(decodeReply(body).conversationId)
    // What was answered is told again, whenever it is asked for; and what was given up may be asked for later.
    const earlier = dice.pick([entry, ...ledger.sent])
    if (dice.chance(0.5)) yield* attempt(world, ledger, earlier)
  }
})

/** Sends or follows until it is known how the turn ended; whoever follows may have enough of it. */
const insist = Effect.fnUntraced(function* (
  world: World,
  ledger: Ledger,
  entry: Ledger["sent"][number]
): Effect.fn.Return<void> {
  const { dice } = world
  const watches = dice.chance(0.3)
  if (watches && dice.chance(0.3)) yield* Effect.forkChild(stopping(world, ledger, entry))
  while (entry.ended === undefined) {
    const send = watches ? watching(world, ledger, entry) : attempt(world, ledger, entry)
    yield* !watches && dice.chance(0.2) ? Effect.all([send, send], { concurrency: 2, discard: true }) : send
    if (entry.ended === undefined) yield* Effect.sleep(50 + dice.below(5000))
  }
})

const noteAnswer = (entry: Ledger["sent"][number], body: string): Effect.Effect<void> =>
  Effect.sync(() => {
    entry.bodies.push(body)
    entry.ended = "completed"
  })

const requestOf = ({ user }: Ledger, entry: Ledger["sent"][number]): Chat.ChatRequest => ({
  user,
  message: entry.text,
  conversationId: entry.conversationId,
  idempotencyKey: Option.some(entry.key)
})

/** What may be tried again is tried again, mostly. */
const noteFailure = (
  { dice }: World,
  entry: Ledger["sent"][number],
  { failure, retryable }: { readonly failure: Failure; readonly retryable: boolean }
): void => {
  if (failure.code === "abandoned") entry.ended ??= "abandoned"
  else if (!retryable) entry.ended ??= "failed"
  else if (dice.chance(0.3)) entry.ended ??= "given up"
}

/** Sends the request once, to any instance. */
const attempt = (world: World, ledger: Ledger, entry: Ledger["sent"][number]): Effect.Effect<void> =>
  atOne(world, ({ chat }) =>
    Effect.flatMap(chat.send(requestOf(ledger, entry)), ({ body }) => noteAnswer(entry, body)).pipe(
      Effect.catchTag("TurnFailed", (error) => Effect.sync(() => noteFailure(world, entry, error)))
    )
  )

/** Follows the turn at any instance from where it was followed last, once it is known which one it is. */
const watching = (world: World, ledger: Ledger, entry: Ledger["sent"][number]): Effect.Effect<void> =>
  atOne(world, ({ chat, feed }) =>
    Effect.gen(function* () {
      const { screen } = entry
      // What failed is begun again by the request alone.
      const { turnId } = yield* chat.open(requestOf(ledger, entry))
      screen.turnId = turnId
      yield* Stream.runForEach(
        Stream.unwrap(feed.follow(ledger.user.id, turnId, Option.fromUndefinedOr(screen.place))),
        (event) => {
          show(screen, event)
          if (event._tag === "Failed") noteFailure(world, entry, event.turn)
          if (event._tag !== "Completed" && event._tag !== "Stopped") return Effect.void
          world.count(`followed to its end: ${event._tag}`)
          entry.unseen.push(...misled(screen, event.body))
          return noteAnswer(entry, event.body)
        }
      )
    }).pipe(Effect.catchTag("TurnFailed", (error) => Effect.sync(() => noteFailure(world, entry, error))))
  )

/** Stops the turn at some time, at any instance. */
const stopping = Effect.fnUntraced(function* (world: World, ledger: Ledger, entry: Ledger["sent"][number]) {
  yield* Effect.sleep(world.dice.below(10_000))
  const { turnId } = entry.screen
  if (turnId === undefined) return
  yield* atOne(world, ({ feed }) =>
    Effect.flatMap(feed.stop(ledger.user.id, turnId), ({ body, status }) => {
      world.count(`stopped: ${status}`)
      return body === null ? Effect.void : noteAnswer(entry, body)
    })
  )
})

type Refusal = Exclude<Chat.ChatError, TurnFailed> | TurnNotFound

/** Asks any instance for something; the client may lose its patience or its connection. */
const atOne = (world: World, ask: (instance: Instance) => Effect.Effect<void, Refusal>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { dice, instances } = world
    const [first, ...others] = instances
    if (first === undefined) return Effect.void
    const instance = dice.pick([first, ...others])
    const answer = ask(instance).pipe(
      Effect.provideService(Clock.Clock, instance.clock),
      Effect.catchTags({
        TurnNotFound: () => Effect.die(new Error("its own turn is not found")),
        IdempotencyKeyReused: () => Effect.die(new Error("its own key is said to be another's")),
        ConversationNotFound: () => Effect.die(new Error("its own conversation is not found")),
        RateLimited: () => Effect.die(new Error("there is no rate limit")),
        TooManyConversations: () => Effect.die(new Error("there is room for any number of conversations")),
        TooManyTurns: () => Effect.void,
        ConversationBusy: () => Effect.void,
        TurnInProgress: () => Effect.void,
        ShuttingDown: () => Effect.void,
        StorageUnavailable: () => Effect.void
      })
    )
    const patience = dice.chance(0.2) ? 100 + dice.below(3000) : 120_000
    return Effect.raceFirst(answer, Effect.raceFirst(Deferred.await(instance.death), Effect.sleep(patience)))
  })
