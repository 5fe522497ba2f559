import { Effect, type Scope } from "effect"
import { type Answer, type Client, makeClient, type Request } from "./client.ts"
import { diceOf } from "./dice.ts"
import { type Belongings, type Draft, draftOf, requestOf, vary } from "./draft.ts"
import { mutate } from "./mutations.ts"
import { fieldsOf, isTelling, naughtyStrings, requestIdField } from "./naughty.ts"
import { documentOf, type Operation, operationsOf, type Parts } from "./operations.ts"
import { type Case, makeJudge } from "./oracle.ts"
import type { FuzzService, FuzzUser } from "./service.ts"

/** What is to be sent. */
export interface Options {
  readonly seed: number
  /** How many valid and invalid requests an operation gets together. */
  readonly requests: number
  /** Which naughty strings: each so-manieth, in every field. */
  readonly naughtyStep: number
  /** The operations; all of them if there is nothing. */
  readonly only?: ReadonlyArray<string> | undefined
  /** How many requests are under way at once. */
  readonly concurrency: number
  /** Tells how far it is. */
  readonly progress?: (line: string) => void
}

/** What became of the requests of one operation. */
export interface Tally {
  readonly operation: string
  valid: number
  invalid: number
  naughty: number
  broken: number
  readonly statuses: Map<number, number>
  readonly ways: Map<string, number>
}

export interface Report {
  readonly tallies: ReadonlyArray<Tally>
  /** What did not hold, each with the request that shows it. */
  readonly breaches: ReadonlyArray<string>
  /** How many breaches there were, those that are not told included. */
  readonly broken: number
}

const chunk = 200
/** How large values are, chunk by chunk: most are short, and some are as long as they may be. */
const sizes = [8, 40, 3, 300, 1, 2500]
const toldOfOneKind = 3
const told = 100

const jsonOf = (answer: Answer): unknown => (answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString()))

const at = (value: unknown, ...names: ReadonlyArray<string>): unknown =>
  names.reduce<unknown>(
    (inner, name) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, name) : undefined),
    value
  )

/** Gives every user conversations and tasks, and finds out what they are called and what cursors their lists give. */
const settle = (client: Client, operations: ReadonlyArray<Operation>, users: ReadonlyArray<FuzzUser>) => {
  const ask = (user: FuzzUser, method: string, path: string, json?: object) =>
    client.send({
      method,
      path,
      headers: [
        ["authorization", `Bearer ${user.token}`],
        ...(json === undefined ? [] : [["content-type", "application/json"] as const])
      ],
      body: json === undefined ? undefined : Buffer.from(JSON.stringify(json)),
      chunked: false
    })
  const lists = operations.filter(
    (operation) => operation.method === "GET" && operation.parameters.some(({ name }) => name === "after")
  )
  return Effect.forEach(
    users,
    Effect.fnUntraced(function* (user) {
      const root = `/api/v1/users/${user.id}`
      const conversations: Array<string> = []
      const tasks: Array<number> = []
      const turns: Array<string> = []
      for (const message of ["Hello", "Add a task to buy milk", "Add a task: call Ada"]) {
        const reply = jsonOf(yield* ask(user, "POST", `${root}/chat`, { message }))
        conversations.push(`${at(reply, "conversation_id")}`)
        turns.push(`${at(reply, "turn_id")}`)
      }
      for (const title of ["One", "Two", "Three"]) {
        tasks.push(Number(at(jsonOf(yield* ask(user, "POST", `${root}/tasks`, { title })), "id")))
      }
      const cursors = new Map<string, ReadonlyArray<string>>()
      for (const { id, path } of lists) {
        const filled = path
          .replace("{user_id}", user.id)
          .replace("{conversation_id}", conversations[0] ?? "")
          .replace("{chat_id}", conversations[0] ?? "")
          .replace("{task_id}", `${tasks[0]}`)
        const cursor = at(jsonOf(yield* ask(user, "GET", `${filled}?limit=1`)), "next_cursor")
        if (typeof cursor === "string") cursors.set(id, [cursor])
      }
      const belongings: Belongings = {
        user,
        values: new Map<string, ReadonlyArray<string | number>>([
          ["conversation_id", conversations],
          ["chat_id", [...conversations, "a chat"]],
          ["task_id", tasks],
          ["turn_id", turns]
        ]),
        cursors
      }
      return belongings
    }),
    { concurrency: 8 }
  )
}

const shown = 1500

/** A request as text from which it can be made again. */
const describe = ({ body, chunked, headers, method, path }: Request): string => {
  const text = body?.toString() ?? ""
  const same = body !== undefined && Buffer.from(text).equals(body)
  return JSON.stringify({
    method,
    path: path.length > shown ? `${path.slice(0, shown)}… (${path.length} characters)` : path,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, value.slice(0, 200)])),
    ...(body !== undefined && {
      [same ? "body" : "body in base64"]: (same ? text : body.toString("base64")).slice(0, shown),
      bytes: body.length
    }),
    ...(chunked && { chunked })
  })
}

const kinds = ["valid", "invalid", "naughty"] as const
type Kind = (typeof kinds)[number]

interface Made extends Case {
  readonly kind: Kind
  readonly how: string
}

/** Sends what the options say to a service, and judges every answer. */
export const fuzz = (service: FuzzService, options: Options): Effect.Effect<Report, string, Scope.Scope> =>
  Effect.gen(function* () {
    const document = documentOf()
    const all = operationsOf(document)
    const unknown = (options.only ?? []).filter((name) => all.every(({ id }) => id !== name))
    if (unknown.length > 0) return yield* Effect.fail(`There is no operation ${unknown.join(", ")}`)
    const operations = all.filter(({ id }) => options.only?.includes(id) ?? true)
    const judge = makeJudge(document, all)
    const client = yield* makeClient(service.port, options.concurrency)
    const breaches: Array<string> = []
    const seen = new Map<string, number>()
    let broken = 0
    let belongings: ReadonlyArray<Belongings> = []
    let removing = false

    const note = (tally: Tally, made: Made, fault: string, answer: Answer | undefined) => {
      broken++
      tally.broken++
      const kind = `${tally.operation} ${fault.slice(0, 120)}`
      const times = (seen.get(kind) ?? 0) + 1
      seen.set(kind, times)
      if (times > toldOfOneKind || breaches.length >= told) return
      const id = answer?.headers.get("x-request-id") ?? ""
      const log = service.logOf(id)
      breaches.push(
        [
          `${tally.operation}, ${made.kind} (${made.how}): ${fault}`,
          `  request ${describe(made.request)}`,
          ...(answer === undefined ? [] : [`  answer ${answer.status} ${answer.body.toString().slice(0, shown)}`]),
          ...(log === "" ? [] : [`  log ${log.slice(0, shown)}`])
        ].join("\n")
      )
    }

    const attempt = (tally: Tally, made: Made): Effect.Effect<void> =>
      client.send(made.request).pipe(
        Effect.tap((answer) =>
          Effect.sync(() => {
            tally.statuses.set(answer.status, (tally.statuses.get(answer.status) ?? 0) + 1)
            for (const fault of judge(made, answer)) note(tally, made, fault, answer)
          })
        ),
        Effect.catch((reason) => Effect.sync(() => note(tally, made, reason, undefined))),
        Effect.andThen(
          Effect.sync(() => {
            tally[made.kind]++
            tally.ways.set(made.how, (tally.ways.get(made.how) ?? 0) + 1)
          })
        )
      )

    const finish = (draft: Draft, kind: Kind, how: string): Made => ({
      kind,
      how,
      request: requestOf(draft),
      expects: draft.expects,
      secret: draft.secret
    })

    /** The parts of so many valid requests. */
    const partsOf = (operation: Operation, label: string, index: number, count: number) =>
      operation.sample(`${options.seed}/${label}/${index}`, count, sizes[index % sizes.length] ?? 8)

    const work = Effect.fnUntraced(function* (operation: Operation) {
      const tally: Tally = {
        operation: operation.id,
        valid: 0,
        invalid: 0,
        naughty: 0,
        broken: 0,
        statuses: new Map(),
        ways: new Map()
      }
      // What removes things wants some that are there, and leaves none to the next.
      if (belongings.length === 0 || removing || operation.method === "DELETE") {
        belongings = yield* settle(client, all, service.users)
      }
      removing = operation.method === "DELETE"
      const [first] = belongings
      if (first === undefined) return tally
      const draft = (parts: Parts, dice: ReturnType<typeof diceOf>, id: string) =>
        draftOf(operation, parts, dice.pickOr(belongings, first), dice, id)
      const sendAll = (cases: ReadonlyArray<Made>) =>
        Effect.forEach(cases, (made) => attempt(tally, made), { concurrency: options.concurrency, discard: true }).pipe(
          Effect.andThen(
            Effect.sync(() =>
              options.progress?.(
                `${operation.id}: ${tally.valid} valid, ${tally.invalid} invalid, ${tally.naughty} naughty, ${broken} breaches`
              )
            )
          )
        )
      for (let index = 0; index * chunk < options.requests; index++) {
        const count = Math.min(chunk, options.requests - index * chunk)
        const drawn = yield* partsOf(operation, "bulk", index, count)
        yield* sendAll(
          drawn.map((parts, i) => {
            const number = index * chunk + i
            const dice = diceOf(`${options.seed}/${operation.id}/${number}`)
            const made = draft(parts, dice, `${operation.id}-${number}`)
            if (number % 2 === 0) {
              vary(made, dice)
              return finish(made, "valid", "valid")
            }
            return finish(made, "invalid", mutate(made, dice))
          })
        )
      }
      const strings = naughtyStrings.filter((_, i) => (i + options.seed) % options.naughtyStep === 0)
      for (const [index, field] of fieldsOf(operation).entries()) {
        const drawn = yield* partsOf(operation, `naughty/${field.name}`, 0, strings.length)
        yield* sendAll(
          drawn.flatMap((parts, i) => {
            const text = strings[i] ?? ""
            const dice = diceOf(`${options.seed}/${operation.id}/${field.name}/${i}`)
            const made = draft(parts, dice, `${operation.id}-naughty-${index}-${i}`)
            made.expects = "any"
            // The id of a request is repeated if it is fit to be one.
            made.secret = isTelling(text) && field.name !== requestIdField ? text : undefined
            return field.put(made, text) ? [finish(made, "naughty", field.name)] : []
          })
        )
      }
      return tally
    })

    const tallies: Array<Tally> = []
    for (const operation of operations) tallies.push(yield* work(operation))
    if (service.errors() > 0 && broken === 0) {
      broken++
      breaches.push(`the service has logged ${service.errors()} errors`)
    }
    return { tallies, breaches, broken }
  })
