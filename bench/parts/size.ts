import type { Plan } from "../../test/support/plans.ts"
import { scannedBy } from "../../test/support/statements.ts"
import type { Context } from "../context.ts"
import { median, timed } from "../load.ts"
import type { Server } from "../process.ts"
import { absoluteRow, type Row, ratioRow } from "../report.ts"
import { conversationOf, prepareTurnkeeper, seedTasks, seedTurnkeeper, tokenOf, userOf } from "../seed.ts"

interface Case {
  readonly server: Server
  readonly path: (n: number) => string
  readonly token: (n: number) => string
  readonly body?: (n: number) => object
}

const send = (given: Case, n: number) =>
  timed(given.server.url, {
    method: given.body === undefined ? "GET" : "POST",
    path: given.path(n),
    token: given.token(n),
    ...(given.body !== undefined && { body: given.body(n) })
  })

/** The medians of both, asked alternately by one client. */
const compare = async (a: Case, b: Case, times: number): Promise<readonly [number, number]> => {
  const millis: [Array<number>, Array<number>] = [[], []]
  for (let n = 0; n < times + 20; n++) {
    const [first, second] = [await send(a, n), await send(b, n)]
    if (n >= 20) {
      millis[0].push(first)
      millis[1].push(second)
    }
  }
  return [median(millis[0]), median(millis[1])]
}

const row = (what: string, target: number, [one, other]: readonly [number, number]) =>
  ratioRow(what, one / other, "at most", target, `${one.toFixed(2)} ms and ${other.toFixed(2)} ms`)

const api = (n: number) => `/api/v1/users/${userOf(n)}`
const turnIn = (server: Server, user: (n: number) => number, conversation: (n: number) => number): Case => ({
  server,
  path: (n) => `${api(user(n))}/chat`,
  token: (n) => tokenOf(user(n)),
  body: (n) => ({ message: "Add a task to buy groceries", conversation_id: conversationOf(conversation(n)) })
})
const pageOf = (server: Server, user: (n: number) => number, path: (n: number) => string): Case => ({
  server,
  path: (n) => `${api(user(n))}/${path(n)}`,
  token: (n) => tokenOf(user(n))
})

/** A turn in a long conversation, and the last page of long lists. */
export const long = async (context: Context) => {
  const { quick } = context
  const messages = quick ? 10_000 : 100_000
  const entries = quick ? 2000 : 20_000
  const times = quick ? 100 : 500
  const url = await context.database("long")
  await prepareTurnkeeper(url, 3)
  const server = await context.startTurnkeeper(url)
  await seedTurnkeeper(url, { users: 1, conversations: 1, messages }, 0)
  await seedTurnkeeper(url, { users: 1, conversations: 1, messages: 10 }, 1)
  // Nothing is said in this one: its pages are alike.
  await seedTurnkeeper(url, { users: 1, conversations: 1, messages }, 2)
  // The lists are those of a user of its own; the expression for a conversation's user is `c % users`, so an odd first.
  await seedTurnkeeper(url, { users: 2, conversations: 2 * entries, messages: 2 }, 1001)
  await seedTasks(url, 2, entries)
  const user = () => 0
  const rows = [
    row(
      `a turn in a conversation of ${messages.toLocaleString("en")} messages against one of 10`,
      1.2,
      await compare(
        turnIn(server, user, () => 0),
        turnIn(server, user, () => 1),
        times
      )
    )
  ]
  context.progress("the long conversation is done; now the last pages")
  const lists = [
    ["conversations", "conversations?limit=50", entries],
    ["messages", `conversations/${conversationOf(2)}/messages?limit=50`, messages],
    ["tasks", "tasks?limit=50", entries]
  ] as const
  for (const [name, path, length] of lists) {
    const who = name === "messages" ? 0 : 1
    const cursor = await lastCursor(server, who, path)
    rows.push(
      row(
        `the last page of ${length.toLocaleString("en")} ${name} against the first`,
        1.2,
        await compare(
          pageOf(
            server,
            () => who,
            () => `${path}&after=${encodeURIComponent(cursor)}`
          ),
          pageOf(
            server,
            () => who,
            () => path
          ),
          times
        )
      )
    )
  }
  await server.stop()
  await context.dropDatabase("long")
  return rows
}

/** The cursor of the last whole page, found page by page. */
const lastCursor = async (server: Server, user: number, path: string): Promise<string> => {
  const wide = path.replace("limit=50", path.includes("messages") ? "limit=200" : "limit=100")
  let [before, cursor] = ["", ""]
  while (true) {
    const after = cursor === "" ? "" : `&after=${encodeURIComponent(cursor)}`
    const response = await fetch(`${server.url}${api(user)}/${wide}${after}`, {
      headers: { authorization: `Bearer ${tokenOf(user)}` }
    })
    const page = (await response.json()) as { has_more: boolean; next_cursor: string | null }
    if (!page.has_more || page.next_cursor === null) return before === "" ? cursor : before
    before = cursor
    cursor = page.next_cursor
  }
}

/** A turn and a page of each list, in a large database against a small one. */
export const large = async (
  context: Context,
  conversations: number
): Promise<{ readonly rows: ReadonlyArray<Row>; readonly plans: ReadonlyArray<Plan> }> => {
  const small = 1000
  const perUser = 10
  const urls = { large: await context.database("large"), small: await context.database("small") }
  const serverOf = async (name: "large" | "small", count: number): Promise<Server> => {
    const users = count / perUser
    const url = urls[name]
    await prepareTurnkeeper(url, users)
    const server = await context.startTurnkeeper(url)
    const begun = performance.now()
    const part = 100_000
    for (let first = 0; first < count; first += part) {
      await seedTurnkeeper(url, { users, conversations: Math.min(part, count - first), messages: 10 }, first)
      context.progress(`${name}: ${Math.min(count, first + part)} of ${count} conversations`)
    }
    await seedTasks(url, users, perUser)
    context.progress(`${name} is filled, after ${((performance.now() - begun) / 1000).toFixed(0)} s`)
    return server
  }
  const servers = [await serverOf("large", conversations), await serverOf("small", small)] as const
  const times = 500
  // Spread over the whole database, and the same users again and again in neither.
  const userIn = (count: number) => (n: number) => (n * 7919) % (count / perUser)
  const cases = (kind: (server: Server, user: (n: number) => number) => Case) =>
    compare(kind(servers[0], userIn(conversations)), kind(servers[1], userIn(small)), times)
  const words = `in ${conversations.toLocaleString("en")} conversations and ${(conversations * 10).toLocaleString("en")} messages against ${small.toLocaleString("en")} conversations`
  const rows: Array<Row> = [
    row(`a turn ${words}`, 1.3, await cases((server, user) => turnIn(server, user, user))),
    row(
      "— a page of conversations",
      1.3,
      await cases((server, user) => pageOf(server, user, () => "conversations?limit=20"))
    ),
    row(
      "— a page of messages",
      1.3,
      await cases((server, user) =>
        pageOf(server, user, (n) => `conversations/${conversationOf(user(n))}/messages?limit=20`)
      )
    ),
    row("— a page of tasks", 1.3, await cases((server, user) => pageOf(server, user, () => "tasks?limit=20")))
  ]
  for (const server of servers) await server.stop()
  context.progress("the plans of every statement in the large database")
  const plans = await context.explain(urls.large)
  const scanning = plans.filter((plan) => scannedBy(plan).length > 0)
  rows.push(
    absoluteRow(
      "— plans that read a table from end to end",
      scanning.length,
      "",
      "at most",
      0,
      `of ${plans.length}, which touch ${Math.max(...plans.map((plan) => plan.pages))} pages at most`
    )
  )
  await context.dropDatabase("small")
  await context.dropDatabase("large")
  return { rows, plans }
}
