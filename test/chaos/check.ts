import { Effect, Layer, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { http } from "../support/service.ts"
import type { ChaosUser, Clients, Entry } from "./clients.ts"

const decodeCounts = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ user_id: Schema.String, title: Schema.String, n: Schema.Int }))
)
const decodeTalks = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ conversation_id: Schema.String, contents: Schema.Array(Schema.String) }))
)
const decodeAnswer = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({
      tool_calls: Schema.Array(
        Schema.Struct({
          tool_name: Schema.String,
          status: Schema.String,
          arguments: Schema.Struct({
            title: Schema.optionalKey(Schema.String),
            task_id: Schema.optionalKey(Schema.Int),
            user_id: Schema.String
          })
        })
      )
    })
  )
)
const decodeTurns = Schema.decodeUnknownSync(
  Schema.Array(
    Schema.Struct({
      user_id: Schema.String,
      idempotency_key: Schema.String,
      response: Schema.String,
      conversation_id: Schema.String,
      message_id: Schema.String,
      content: Schema.String
    })
  )
)
const decodeReply = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({ conversation_id: Schema.String, message_id: Schema.String, message: Schema.String })
  )
)
const decodePage = Schema.decodeUnknownSync(
  Schema.Struct({
    data: Schema.Array(Schema.Struct({ id: Schema.Union([Schema.String, Schema.Int]) })),
    has_more: Schema.Boolean,
    next_cursor: Schema.NullOr(Schema.String)
  })
)

/** The turns that run past their lease and 15 seconds more: somebody should have taken them up. */
export const overdue =
  "select id, lease_until = '-infinity' handed_back from turns where status = 'running' and lease_until < clock_timestamp() - interval '15 seconds'"

/** What must be nothing, whatever has happened: a name, and what finds the rows that should not be. */
const nothing: ReadonlyArray<readonly [name: string, query: string]> = [
  [
    "gaps in seq",
    `select conversation_id from messages group by user_id, conversation_id
      having count(*) <> max(seq) or min(seq) <> 1`
  ],
  [
    "conversations whose next seq is wrong",
    `select c.id from conversations c where c.next_seq <>
      (select count(*) + 1 from messages m where m.user_id = c.user_id and m.conversation_id = c.id)`
  ],
  [
    "replies that do not follow their message",
    `select r.id from messages r where r.role = 'assistant' and not exists (select 1 from messages m
      where m.user_id = r.user_id and m.conversation_id = r.conversation_id and m.turn_id = r.turn_id
        and m.role = 'user' and m.seq = r.seq - 1)`
  ],
  ["turns that still run, though no client asks for them any more", "select id from turns where status = 'running'"],
  [
    "turns without exactly one message, or with a wrong number of replies",
    `select t.id from turns t
      left join messages m on m.user_id = t.user_id and m.turn_id = t.id
      group by t.user_id, t.id, t.status
      having count(*) filter (where m.role = 'user') <> 1
        or count(*) filter (where m.role = 'assistant') <> (case when t.status = 'completed' then 1 else 0 end)`
  ],
  [
    "turns whose steps do not add up",
    `select t.id from turns t where t.steps <> (select count(*) from steps s
      where s.user_id = t.user_id and s.conversation_id = t.conversation_id and s.turn_id = t.id)`
  ],
  [
    "tasks without exactly one call",
    `select t.title from tasks t left join tool_calls c on c.user_id = t.user_id and c.status = 'success'
        and (c.result::jsonb #>> '{task,id}')::int = t.id and c.arguments::jsonb ->> 'title' = t.title
      where t.title not like '%-shared-%' group by t.user_id, t.id, t.title having count(c.id) <> 1`
  ],
  [
    "calls without exactly one task",
    `select c.id from tool_calls c left join tasks t on t.user_id = c.user_id
        and (c.result::jsonb #>> '{task,id}')::int = t.id and c.arguments::jsonb ->> 'title' = t.title
      where c.tool_name = 'add_task' group by c.user_id, c.id having count(t.id) <> 1`
  ],
  [
    "messages that tell of someone else",
    `select id from messages where replace(content, 'chaos-' || user_id || '-', '') like '%chaos-user%'`
  ],
  [
    "tasks of someone else's",
    "select title from tasks where title like 'chaos-%' and title not like 'chaos-' || user_id || '-%'"
  ],
  [
    "prompts that the model's API refused",
    "select id from turns where failure is not null and failure::jsonb ->> 'reason' = 'misconfigured'"
  ]
]

/** Holds where the database's clock does: that of an embedded one is its instance's. */
const nothingByClock: ReadonlyArray<readonly [name: string, query: string]> = [
  [
    "tasks that are not as their last change left them",
    `select t.title, t.description from tasks t where t.title like '%-shared-%' and exists (select 1 from tool_calls c
        where c.user_id = t.user_id and c.tool_name = 'update_task' and c.arguments::jsonb ->> 'task_id' = t.id::text)
      and not exists (
        select 1 from (select c.result, rank() over (order by s.created_at desc) from tool_calls c
          join steps s on s.user_id = c.user_id and s.conversation_id = c.conversation_id and s.seq = c.seq and s.step = c.step
          where c.user_id = t.user_id and c.tool_name = 'update_task' and c.status = 'success'
            and c.arguments::jsonb ->> 'task_id' = t.id::text) l
        where l.rank = 1 and l.result::jsonb #>> '{task,description}' = t.description)`
  ]
]

/** Reads what is stored and what is answered, and tells what does not hold; the clients have come to rest. */
export const check = Effect.fnUntraced(function* (
  clients: Clients,
  users: ReadonlyArray<ChaosUser>,
  client: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>,
  clockHolds: boolean
) {
  const { broken, ledger } = clients
  const require = (holds: boolean, words: () => string) => {
    if (!holds) broken.push(words())
  }
  const sql = yield* Layer.build(client).pipe(Effect.flatMap((context) => Effect.provide(SqlClient.SqlClient, context)))
  const query = (text: string) => Effect.orDie(sql.unsafe(text))

  const queries = [...nothing, ...(clockHolds ? nothingByClock : [])]
  for (const [name, text] of queries) {
    const rows = yield* query(text)
    require(rows.length === 0, () => `${rows.length} ${name}: ${JSON.stringify(rows.slice(0, 3))}`)
  }

  const tasks = yield* Effect.map(
    query("select user_id, title, count(*)::int n from tasks group by 1, 2"),
    decodeCounts
  )
  const stored = new Map(tasks.map(({ n, title, user_id }) => [`${user_id} ${title}`, n]))
  const said = yield* Effect.map(
    query("select user_id, content title, count(*)::int n from messages where role = 'user' group by 1, 2"),
    decodeCounts
  )
  const messages = new Map(said.map(({ n, title, user_id }) => [`${user_id} ${title}`, n]))

  for (const entry of ledger) checkEntry(entry, stored, messages, require)
  const turns = yield* Effect.map(
    query(`select t.user_id, t.idempotency_key, t.response, t.conversation_id::text, m.id::text message_id, m.content
      from turns t join messages m on m.user_id = t.user_id and m.turn_id = t.id and m.role = 'assistant'
      where t.idempotency_key is not null`),
    decodeTurns
  )
  const replies = new Map(turns.map((turn) => [`${turn.user_id} ${turn.idempotency_key}`, turn]))
  for (const { bodies, key, user } of ledger) {
    const [body] = bodies
    if (body === undefined) continue
    const turn = replies.get(`${user} ${key}`)
    const reply = decodeReply(body)
    require(turn?.response === body &&
      turn.content === reply.message &&
      turn.message_id === reply.message_id &&
      turn.conversation_id === reply.conversation_id, () => `${key} of ${user} was told what is not stored: ${body}`)
  }
  const wanted = new Set(ledger.flatMap((entry) => entry.titles.map((title) => `${entry.user} ${title}`)))
  for (const task of stored.keys()) {
    require(wanted.has(task) || task.includes("-shared-"), () => `${task} was never asked for`)
  }
  const sent = new Set(ledger.map((entry) => `${entry.user} ${entry.message}`))
  for (const message of messages.keys()) require(sent.has(message), () => `${message} was never sent`)

  // What one client said one after the other is in that order; what came at once is in some.
  const order = new Map(ledger.map((entry, i) => [entry.message, i]))
  const sequential = (message: string) => /chaos-\w+-w\d+/.test(message)
  const talks = yield* Effect.map(
    query(`select conversation_id::text, array_agg(content order by seq) contents from messages
      where role = 'user' group by user_id, conversation_id`),
    decodeTalks
  )
  for (const { contents, conversation_id } of talks) {
    const places = contents.filter(sequential).map((content) => order.get(content) ?? -1)
    require(places.every((place, i) => i === 0 || place > (places[i - 1] ?? 0)), () =>
      `${conversation_id} has its messages in another order than they were sent`)
  }

  for (const user of users) yield* checkLists(clients, user, require)
  return [
    ...queries.map(([name]) => `no ${name}`),
    `${ledger.length} messages there once, or not at all where nobody was told of them`,
    `${replays(ledger)} answers given again byte for byte, and equal to what is stored`,
    `${talks.length} conversations with their messages in the order in which they were sent`,
    `the lists of ${users.length} users without anything of someone else's`
  ]
}, Effect.scoped)

const replays = (ledger: ReadonlyArray<Entry>) =>
  ledger.reduce((sum, { bodies, failures }) => sum + Math.max(0, bodies.length + failures.length - 1), 0)

/** Nobody's lists hold what is someone else's. */
const checkLists = Effect.fnUntraced(function* (
  clients: Clients,
  { token, user }: ChaosUser,
  require: (holds: boolean, words: () => string) => void
) {
  const base = `${clients.addresses()[0]}/api/v1/users/${user}`
  const look = Effect.fnUntraced(function* (path: string) {
    const { json, status, text } = yield* http("GET", `${base}/${path}`, token)
    require(status === 200, () => `${path} of ${user} was answered ${status}: ${text}`)
    const foreign = [...text.matchAll(/chaos-(user\d+)-/g)].filter(([, owner]) => owner !== user)
    require(foreign.length === 0, () => `${path} of ${user} holds ${foreign[0]?.[0]}`)
    return decodePage(json)
  })
  for (const list of ["tasks", "conversations"]) {
    let after = ""
    while (true) {
      const page = yield* look(`${list}?limit=100${after}`)
      if (list === "conversations") {
        for (const { id } of page.data) yield* look(`conversations/${id}/messages?limit=200`)
      }
      if (!page.has_more) break
      after = `&after=${encodeURIComponent(page.next_cursor ?? "")}`
    }
  }
})

const isOwn =
  (entry: Entry) =>
  ({ arguments: args, status, tool_name }: ReturnType<typeof decodeAnswer>["tool_calls"][number]): boolean =>
    status === "success" &&
    args.user_id === entry.user &&
    (tool_name === "add_task" ? entry.titles.includes(args.title ?? "") : entry.touched.includes(args.task_id ?? 0))

/** One message: done once if it was acknowledged, else at most once; and all of its tasks that it was told of. */
const checkEntry = (
  entry: Entry,
  stored: ReadonlyMap<string, number>,
  messages: ReadonlyMap<string, number>,
  require: (holds: boolean, words: () => string) => void
) => {
  const name = `${entry.key} of ${entry.user}`
  const [body] = entry.bodies
  const [failure] = entry.failures
  require(new Set(entry.bodies).size <= 1, () => `${name} was answered in several ways`)
  require(new Set(entry.failures).size <= 1, () => `${name} failed in several ways: ${entry.failures.join(" ")}`)
  require(body === undefined || failure === undefined, () => `${name} was answered, and failed: ${failure}`)
  const said = messages.get(`${entry.user} ${entry.message}`) ?? 0
  const text = body ?? failure
  require(said === 1 || (said === 0 && text === undefined), () => `${name} is there ${said} times`)
  const told = text === undefined ? [] : decodeAnswer(text).tool_calls
  const foreign = [...(text ?? "").matchAll(/chaos-(user\d+)-/g)].some(([, owner]) => owner !== entry.user)
  require(!foreign, () => `${name} was told of someone else: ${text}`)
  require(told.every(isOwn(entry)), () => `${name} was told of a call that is not its own: ${text}`)
  const touches = told.filter((call) => call.tool_name === "update_task").map((call) => call.arguments.task_id)
  require(body === undefined || touches.join() === entry.touched.join(), () =>
    `${name} has changed ${touches.join()} and not ${entry.touched.join()}`)
  for (const title of entry.titles) {
    const calls = told.filter((call) => call.arguments.title === title).length
    const times = stored.get(`${entry.user} ${title}`) ?? 0
    require(times <= 1, () => `${entry.user} has ${title} ${times} times`)
    if (body !== undefined)
      require(calls === 1 && times === 1, () => `${name} was told of ${calls} ${title} of ${times}`)
    if (failure !== undefined) require(calls === times, () => `${name} failed with ${calls} ${title} of ${times}`)
  }
}
