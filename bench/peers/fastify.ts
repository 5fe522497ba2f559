import { randomUUID } from "node:crypto"
import { fastify } from "fastify"
import { OpenAI } from "openai"
import { Pool } from "pg"
import { type DoneCall, env, type ModelMessage, system, type TaskRow, tools } from "./common.ts"

/*
 * The service as it is mostly written: Fastify with its schemas, `pg` with prepared statements, the `openai` SDK as it
 * comes.
 */
const pool = new Pool({ connectionString: env("DATABASE_URL"), max: 10 })
const openai = new OpenAI({ apiKey: "bench", baseURL: env("OPENAI_BASE_URL") })
const app = fastify({ logger: false, bodyLimit: 65_536 })

const statements = {
  session: "select user_id, user_name from sessions where token = $1 and expires_at > now()",
  conversation: "select id from conversations where id = $1 and user_id = $2",
  newConversation: "insert into conversations (id, user_id, title) values ($1, $2, $3)",
  history: "select role, content from messages where conversation_id = $1 order by id desc limit 20",
  message: "insert into messages (conversation_id, role, content, tool_calls) values ($1, $2, $3, $4) returning id",
  touch: "update conversations set updated_at = now() where id = $1",
  addTask: `insert into tasks (user_id, title, description) values ($1, $2, $3)
    returning id, title, description, completed, created_at, updated_at`,
  messages: `select id, role, content, tool_calls, created_at from messages where conversation_id = $1 and id > $2
    order by id limit $3`
}
const query = async <Row extends object>(name: keyof typeof statements, values: Array<unknown>): Promise<Array<Row>> =>
  (await pool.query<Row>({ name, text: statements[name], values })).rows

const authenticate = async (header: string | undefined, userId: string) => {
  const token = (header ?? "").slice("Bearer ".length)
  const [session] = await query<{ user_id: string; user_name: string }>("session", [token])
  if (session === undefined) return { status: 401 as const }
  return session.user_id === userId ? { status: 200 as const, name: session.user_name } : { status: 403 as const }
}

const run = async (userId: string, name: string, args: string): Promise<{ args: object; result: object }> => {
  const parsed = JSON.parse(args) as { title: string; description?: string }
  if (name !== "add_task") return { args: parsed, result: { success: false, error: "unknown tool" } }
  const [task] = await query<TaskRow>("addTask", [userId, parsed.title, parsed.description ?? null])
  return { args: { user_id: userId, ...parsed }, result: { success: true, task } }
}

const usageSchema = {
  type: "object",
  properties: {
    prompt_tokens: { type: "integer" },
    completion_tokens: { type: "integer" },
    total_tokens: { type: "integer" }
  }
}
const callSchema = {
  type: "object",
  properties: {
    id: { type: "string" },
    tool_name: { type: "string" },
    status: { type: "string" },
    arguments: { type: "object", additionalProperties: true },
    result: { type: "object", additionalProperties: true }
  }
}

app.post<{ Params: { user_id: string }; Body: { message: string; conversation_id?: string } }>(
  "/api/v1/users/:user_id/chat",
  {
    schema: {
      body: {
        type: "object",
        required: ["message"],
        properties: {
          message: { type: "string", minLength: 1, maxLength: 2000 },
          conversation_id: { type: "string", format: "uuid" }
        }
      },
      response: {
        200: {
          type: "object",
          properties: {
            conversation_id: { type: "string" },
            message_id: { type: "string" },
            message: { type: "string" },
            tool_calls: { type: "array", items: callSchema },
            usage: usageSchema
          }
        }
      }
    }
  },
  async (request, reply) => {
    const userId = request.params.user_id
    const { status } = await authenticate(request.headers.authorization, userId)
    if (status !== 200) return reply.code(status).send({ error: "not allowed" })
    let id = request.body.conversation_id
    if (id === undefined) {
      id = randomUUID()
      await query("newConversation", [id, userId, "Chat"])
    } else if ((await query("conversation", [id, userId])).length === 0) {
      return reply.code(404).send({ error: "not found" })
    }
    await query("message", [id, "user", request.body.message, null])
    const history = await query<{ role: "user" | "assistant"; content: string }>("history", [id])
    const talk: Array<ModelMessage> = [{ role: "system", content: system }, ...history.reverse()]
    const calls: Array<DoneCall> = []
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
    for (let i = 0; i < 10; i++) {
      const completion = await openai.chat.completions.create({
        model: "gpt-4",
        messages: talk,
        tools,
        temperature: 0.7,
        max_tokens: 1000
      })
      usage.prompt_tokens += completion.usage?.prompt_tokens ?? 0
      usage.completion_tokens += completion.usage?.completion_tokens ?? 0
      usage.total_tokens += completion.usage?.total_tokens ?? 0
      const message = completion.choices[0]?.message
      const asked = (message?.tool_calls ?? []).filter((call) => call.type === "function")
      if (asked.length === 0) {
        const text = message?.content ?? ""
        const [row] = await query<{ id: string }>("message", [id, "assistant", text, JSON.stringify(calls)])
        await query("touch", [id])
        return reply.send({ conversation_id: id, message_id: row?.id, message: text, tool_calls: calls, usage })
      }
      talk.push({ role: "assistant", content: message?.content ?? null, tool_calls: asked })
      for (const call of asked) {
        const { args, result } = await run(userId, call.function.name, call.function.arguments)
        calls.push({ id: call.id, tool_name: call.function.name, status: "success", arguments: args, result })
        talk.push({ role: "tool", tool_call_id: call.id, content: JSON.stringify(result) })
      }
    }
    return reply.code(502).send({ error: "too many steps" })
  }
)

app.get<{ Params: { user_id: string; id: string }; Querystring: { limit: number; after: string } }>(
  "/api/v1/users/:user_id/conversations/:id/messages",
  {
    schema: {
      querystring: {
        type: "object",
        properties: {
          limit: { type: "integer", minimum: 1, maximum: 200, default: 50 },
          after: { type: "string", default: "0" }
        }
      },
      response: {
        200: {
          type: "object",
          properties: {
            data: {
              type: "array",
              items: {
                type: "object",
                properties: {
                  id: { type: "string" },
                  role: { type: "string" },
                  content: { type: "string" },
                  tool_calls: { type: "array", items: callSchema },
                  created_at: { type: "string" }
                }
              }
            },
            has_more: { type: "boolean" },
            next_cursor: { type: ["string", "null"] }
          }
        }
      }
    }
  },
  async (request, reply) => {
    const { status } = await authenticate(request.headers.authorization, request.params.user_id)
    if (status !== 200) return reply.code(status).send({ error: "not allowed" })
    const { id, user_id } = request.params
    if ((await query("conversation", [id, user_id])).length === 0) return reply.code(404).send({ error: "not found" })
    const { after, limit } = request.query
    const rows = await query<{ id: string; role: string; content: string; tool_calls: unknown; created_at: Date }>(
      "messages",
      [id, after, limit + 1]
    )
    const data = rows.slice(0, limit).map((row) => ({
      id: row.id,
      role: row.role,
      content: row.content,
      tool_calls: row.tool_calls ?? [],
      created_at: row.created_at.toISOString()
    }))
    return reply.send({
      data,
      has_more: rows.length > limit,
      next_cursor: rows.length > limit ? data.at(-1)?.id : null
    })
  }
)

// @effect-diagnostics-next-line globalConsole:off -- whoever started it waits for this line
console.log(`listens on ${await app.listen({ port: 0, host: "127.0.0.1" })}`)
