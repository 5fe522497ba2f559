/*
 * What the peers share: the tables, the tools and the prompt of a service as people write it by hand. No idempotency, no
 * fence, no transactions: a crash in the middle leaves what it leaves.
 */

export const schema = `
  create table sessions (token text primary key, user_id text not null, user_name text not null, expires_at timestamptz not null);
  create table conversations (id uuid primary key, user_id text not null, title text not null,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now());
  create index on conversations (user_id, updated_at desc);
  create table messages (id bigint generated always as identity primary key, conversation_id uuid not null
    references conversations (id) on delete cascade, role text not null, content text not null, tool_calls jsonb,
    created_at timestamptz not null default now());
  create index on messages (conversation_id, id desc);
  create table tasks (id bigint generated always as identity primary key, user_id text not null, title text not null,
    description text, completed boolean not null default false,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now());
  create index on tasks (user_id, id);
`

export const system =
  "You manage the to-do list of the user. Use the tools for whatever concerns tasks, confirm what you did, and ask back when a request is unclear."

const tool = (name: string, description: string, properties: object, required: ReadonlyArray<string>) => ({
  type: "function" as const,
  function: { name, description, parameters: { type: "object", properties, required, additionalProperties: false } }
})
const taskId = { task_id: { type: "integer", minimum: 1 } }
const words = { title: { type: "string" }, description: { type: "string" } }

export const tools = [
  tool("add_task", "Adds a task to the user's list.", words, ["title"]),
  tool(
    "list_tasks",
    "Lists the user's tasks.",
    { status: { type: "string", enum: ["all", "pending", "completed"] } },
    []
  ),
  tool("complete_task", "Marks a task as completed.", taskId, ["task_id"]),
  tool("update_task", "Changes the title or the description of a task.", { ...taskId, ...words }, ["task_id"]),
  tool("delete_task", "Deletes a task for good.", taskId, ["task_id"])
]

export interface ToolCall {
  readonly id: string
  readonly type: "function"
  readonly function: { readonly name: string; readonly arguments: string }
}

export type ModelMessage =
  | { readonly role: "system" | "user"; readonly content: string }
  | { readonly role: "assistant"; readonly content: string | null; readonly tool_calls?: Array<ToolCall> }
  | { readonly role: "tool"; readonly tool_call_id: string; readonly content: string }

export const env = (name: string): string => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is missing`)
  return value
}

export interface TaskRow {
  readonly id: string
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
  readonly created_at: Date
  readonly updated_at: Date
}

/** What was done by a tool, as it is answered and stored. */
export interface DoneCall {
  readonly id: string
  readonly tool_name: string
  readonly status: "success"
  readonly arguments: object
  readonly result: object
}
