import { Client } from "pg"
import { schema } from "./peers/common.ts"

/** Conversations of so many users: conversation n belongs to user n modulo the users. */
export interface Population {
  readonly users: number
  readonly conversations: number
  /** How many messages each has, an even number: half of them the user's. */
  readonly messages: number
}

export const userOf = (n: number) => `user${n}`
export const tokenOf = (n: number) => `token-${n}`
/** The id of conversation n. */
export const conversationOf = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

const conversationId = "('00000000-0000-7000-8000-' || lpad(to_hex(c), 12, '0'))::uuid"
const turnId = (c: string, t: string) =>
  `(lpad(to_hex(${t}), 8, '0') || '-0001-7000-8000-' || lpad(to_hex(${c}), 12, '0'))::uuid`
const words = "'Could you please add a task to buy milk, bread and a birthday present for Ada?'"
const reply = "'I have added ''Buy milk, bread and a birthday present for Ada'' to your list as task ' || t || '.'"

/** Runs statements on a database, one after the other. */
export const withClient = async <A>(url: string, use: (client: Client) => Promise<A>): Promise<A> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const run = (url: string, statements: ReadonlyArray<string>) =>
  withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement)
  })

/** Sessions as Better Auth makes them. */
const sessions = (users: number) => [
  `create table if not exists "user" (id text primary key, name text not null, email text not null unique,
    "emailVerified" boolean not null, image text, "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now())`,
  `create table if not exists session (id text primary key, "expiresAt" timestamptz not null, token text not null unique,
    "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now(),
    "ipAddress" text, "userAgent" text, "userId" text not null references "user" (id) on delete cascade)`,
  `insert into "user" (id, name, email, "emailVerified") select 'user' || n, 'Ada ' || n, 'user' || n || '@example.com', true
    from generate_series(0, ${users - 1}) n on conflict do nothing`,
  `insert into session (id, token, "userId", "expiresAt") select 'session' || n, 'token-' || n, 'user' || n,
    now() + interval '1 day' from generate_series(0, ${users - 1}) n on conflict do nothing`
]

/** The tables that Better Auth would have made, before the service starts. */
export const prepareTurnkeeper = (url: string, users: number): Promise<void> => run(url, sessions(users))

/**
 * Fills a database of this service, whose migrations have run, with conversations whose numbers begin with `first`. The
 * rows go in order of the primary keys, and unchecked, or ten million would take an hour.
 */
export const seedTurnkeeper = (url: string, { conversations, messages, users }: Population, first = 0): Promise<void> =>
  run(url, [
    "set session_replication_role = replica",
    "set maintenance_work_mem = '512MB'",
    `insert into conversations (user_id, id, title, next_seq, last_turn_id, created_at, updated_at)
      select 'user' || c % ${users}, ${conversationId}, 'Chat', ${messages + 1}, ${turnId("c", String(messages / 2))}, now(),
        now() - c * interval '1 second' from generate_series(${first}, ${first + conversations - 1}) c`,
    `insert into turns (user_id, id, conversation_id, request_hash, status, holder, lease_until, seq, context, response,
        created_at, finished_at)
      select 'user' || c % ${users}, ${turnId("c", "t")}, ${conversationId}, '', 'completed', ${turnId("c", "t")}, now(),
        2 * t - 1, '{}', '{}', now(), now()
      from generate_series(${first}, ${first + conversations - 1}) c, generate_series(1, ${messages / 2}) t`,
    `insert into messages (user_id, conversation_id, seq, id, turn_id, role, content, created_at)
      select 'user' || c % ${users}, ${conversationId}, 2 * t - r, gen_random_uuid(), ${turnId("c", "t")},
        case r when 1 then 'user' else 'assistant' end, case r when 1 then ${words} else ${reply} end, now()
      from generate_series(${first}, ${first + conversations - 1}) c, generate_series(1, ${messages / 2}) t, (values (1), (0)) v (r)`,
    "vacuum (analyze)"
  ])

/** Gives each of the first users so many tasks. */
export const seedTasks = (url: string, users: number, tasks: number): Promise<void> =>
  run(url, [
    `insert into tasks (user_id, id, title, created_at, updated_at) select 'user' || u, t, 'Buy milk', now(), now()
      from generate_series(0, ${users - 1}) u, generate_series(1, ${tasks}) t`,
    `insert into user_counters (user_id, next_task_id) select 'user' || u, ${tasks + 1} from generate_series(0, ${users - 1}) u`,
    "vacuum (analyze) tasks, user_counters"
  ])

/** Makes and fills a database of the peers. */
export const seedPeer = (url: string, { conversations, messages, users }: Population): Promise<void> =>
  run(url, [
    schema,
    `insert into sessions select 'token-' || n, 'user' || n, 'Ada', now() + interval '1 day' from generate_series(0, ${users - 1}) n`,
    `insert into conversations (id, user_id, title) select ${conversationId}, 'user' || c % ${users}, 'Chat'
      from generate_series(0, ${conversations - 1}) c`,
    `insert into messages (conversation_id, role, content, tool_calls)
      select ${conversationId}, case r when 1 then 'user' else 'assistant' end, case r when 1 then ${words} else ${reply} end,
        case r when 1 then null else '[]'::jsonb end
      from generate_series(0, ${conversations - 1}) c, generate_series(1, ${messages / 2}) t, (values (1), (0)) v (r)
      order by c, t, r desc`,
    "analyze"
  ])
