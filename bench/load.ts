import { Pool } from "undici"
import { conversationOf, type Population, tokenOf, userOf } from "./seed.ts"

/** One request of a load. */
export interface LoadRequest {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly token: string
  readonly body?: object
  readonly accept?: string
}

/** What came of a load. */
export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly perSecond: number
  /** Of the answers, in milliseconds. */
  readonly latency: { readonly p50: number; readonly p95: number; readonly p99: number }
}

/** The value below which so much of the sorted values lies. */
export const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

export const median = (values: ReadonlyArray<number>): number =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5
  )

/** Sends one request, and fails on any answer but 200. */
const send = async (pool: Pool, request: LoadRequest): Promise<string> => {
  const { body, statusCode } = await pool.request({
    path: request.path,
    method: request.method,
    headers: {
      authorization: `Bearer ${request.token}`,
      ...(request.body !== undefined && { "content-type": "application/json" }),
      ...(request.accept !== undefined && { accept: request.accept })
    },
    ...(request.body !== undefined && { body: JSON.stringify(request.body) })
  })
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`${request.method} ${request.path} was answered ${statusCode}: ${text}`)
  return text
}

/** One request, and how long its answer took in milliseconds. */
export const timed = async (url: string, request: LoadRequest): Promise<number> => {
  const at = performance.now()
  await send(single(url), request)
  return performance.now() - at
}

const pools = new Map<string, Pool>()
const single = (url: string): Pool => {
  const pool = pools.get(url) ?? new Pool(url, { connections: 1 })
  pools.set(url, pool)
  return pool
}

/** So many clients, each sending its next request when it has its answer, for so many seconds. */
export const runLoad = async (
  url: string,
  clients: number,
  seconds: number,
  next: (client: number, n: number) => LoadRequest
): Promise<LoadResult> => {
  const pool = new Pool(url, { connections: clients, pipelining: 1 })
  const begun = performance.now()
  const end = begun + seconds * 1000
  const latencies: Array<number> = []
  const client = async (id: number) => {
    for (let n = 0; performance.now() < end; n++) {
      const at = performance.now()
      await send(pool, next(id, n))
      latencies.push(performance.now() - at)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, id) => client(id)))
  const took = (performance.now() - begun) / 1000
  await pool.close()
  latencies.sort((a, b) => a - b)
  return {
    requests: latencies.length,
    seconds: took,
    perSecond: latencies.length / took,
    latency: { p50: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), p99: quantile(latencies, 0.99) }
  }
}

/** The next turn of a client: each has conversations of its own, or they would find one another busy. */
export const turnOf =
  ({ conversations }: Population, clients: number) =>
  (client: number, n: number): LoadRequest => {
    const c = ownConversation(conversations, clients, client, n)
    return {
      method: "POST",
      path: `/api/v1/users/${userOf(c)}/chat`,
      token: tokenOf(c),
      body: { message: "Add a task to buy groceries", conversation_id: conversationOf(c) }
    }
  }

/** The latest messages of a conversation. */
export const messagesOf =
  ({ conversations }: Population, clients: number) =>
  (client: number, n: number): LoadRequest => {
    const c = ownConversation(conversations, clients, client, n)
    return {
      method: "GET",
      path: `/api/v1/users/${userOf(c)}/conversations/${conversationOf(c)}/messages?limit=50`,
      token: tokenOf(c)
    }
  }

const ownConversation = (conversations: number, clients: number, client: number, n: number) =>
  (client + n * clients) % (conversations - (conversations % clients))
