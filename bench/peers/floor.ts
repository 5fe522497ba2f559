import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { OpenAI } from "openai"
import postgres from "postgres"
import { Pool } from "undici"
import { type DoneCall, env, type ModelMessage, system, type TaskRow, type ToolCall, tools } from "./common.ts"

/*
 * The floor of this runtime: node:http, statements pipelined by `postgres`, and the model asked through an undici pool.
 * SDK=on puts the `openai` SDK in between.
 */
const sql = postgres(env("DATABASE_URL"), { max: 10 })
const base = new URL(env("OPENAI_BASE_URL"))
const pool = new Pool(base.origin, { connections: 64 })
const pooledFetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
  const { body, headers, statusCode } = await pool.request({
    path: new URL(String(url)).pathname,
    method: "POST",
    headers: Object.fromEntries(new Headers(init?.headers)),
    body: String(init?.body)
  })
  return new Response(Readable.toWeb(body) as ReadableStream, {
    status: statusCode,
    headers: headers as Record<string, string>
  })
}
const openai =
  process.env["SDK"] === "on" ? new OpenAI({ apiKey: "bench", baseURL: base.href, fetch: pooledFetch }) : undefined

interface Completion {
  readonly choices: ReadonlyArray<{
    readonly message: { readonly content: string | null; readonly tool_calls?: ReadonlyArray<ToolCall> }
  }>
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number }
}

const complete = async (messages: Array<ModelMessage>): Promise<Completion> => {
  const request = { model: "gpt-4", messages, tools, temperature: 0.7, max_tokens: 1000 }
  if (openai !== undefined) return (await openai.chat.completions.create(request)) as Completion
  const { body } = await pool.request({
    path: `${base.pathname}/chat/completions`,
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer bench" },
    body: JSON.stringify(request)
  })
  return (await body.json()) as Completion
}

const chat = async (userId: string, token: string, body: { message: string; conversation_id?: string }) => {
  const id = body.conversation_id ?? randomUUID()
  const [[session], [conversation], history] = await Promise.all([
    sql`select user_id from sessions where token = ${token} and expires_at > now()`,
    sql`select id from conversations where id = ${id} and user_id = ${userId}`,
    sql<Array<{ role: "user" | "assistant"; content: string }>>`select role, content from messages
      where conversation_id = ${id} order by id desc limit 19`
  ])
  if (session?.["user_id"] !== userId) return [401, { error: "not allowed" }] as const
  if (conversation === undefined) return [404, { error: "not found" }] as const
  await sql`insert into messages (conversation_id, role, content) values (${id}, 'user', ${body.message})`
  const talk: Array<ModelMessage> = [
    { role: "system", content: system },
    ...history.map(({ content, role }) => ({ role, content })).reverse(),
    { role: "user", content: body.message }
  ]
  const calls: Array<DoneCall> = []
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
  while (true) {
    const completion = await complete(talk)
    usage.prompt_tokens += completion.usage.prompt_tokens
    usage.completion_tokens += completion.usage.completion_tokens
    usage.total_tokens += completion.usage.total_tokens
    const message = completion.choices[0]?.message
    const asked = message?.tool_calls ?? []
    if (asked.length === 0) {
      const text = message?.content ?? ""
      const [[row]] = await Promise.all([
        sql`insert into messages (conversation_id, role, content, tool_calls)
          values (${id}, 'assistant', ${text}, ${JSON.stringify(calls)}::text::jsonb) returning id`,
        sql`update conversations set updated_at = now() where id = ${id}`
      ])
      return [200, { conversation_id: id, message_id: row?.["id"], message: text, tool_calls: calls, usage }] as const
    }
    talk.push({ role: "assistant", content: message?.content ?? null, tool_calls: [...asked] })
    for (const call of asked) {
      const args = JSON.parse(call.function.arguments) as { title: string }
      const [task] = await sql<Array<TaskRow>>`insert into tasks (user_id, title) values (${userId}, ${args.title})
        returning id, title, description, completed, created_at, updated_at`
      const result = { success: true, task }
      calls.push({
        id: call.id,
        tool_name: call.function.name,
        status: "success",
        arguments: { user_id: userId, ...args },
        result
      })
      talk.push({ role: "tool", tool_call_id: call.id, content: JSON.stringify(result) })
    }
  }
}

const answer = (response: ServerResponse, status: number, body: object) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) })
  response.end(text)
}
const handle = (request: IncomingMessage, response: ServerResponse) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    const userId = (request.url ?? "").split("/")[4] ?? ""
    const token = (request.headers.authorization ?? "").slice(7)
    chat(userId, token, JSON.parse(Buffer.concat(chunks).toString())).then(
      ([status, body]) => answer(response, status, body),
      (error: unknown) => answer(response, 500, { error: String(error) })
    )
  })
}
const server = createServer(handle)
server.keepAliveTimeout = 75_000
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  // @effect-diagnostics-next-line globalConsole:off -- whoever started it waits for this line
  console.log(`listens on http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`)
})
