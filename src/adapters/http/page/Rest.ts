import { makeEventReader } from "./EventStream.ts"
import type { PlacedEvent, Problem, Session, TurnEvent } from "./Wire.ts"

/** The service has answered with a problem. */
export class Refused extends Error {
  override readonly name = "Refused"
  readonly problem: Problem
  /** After how many milliseconds it may be worth trying again, if the service has said so. */
  readonly retryAfter: number | undefined

  constructor(problem: Problem, retryAfter?: number) {
    super(problem.detail)
    this.problem = problem
    this.retryAfter = retryAfter
  }
}

/** No answer came, or not all of it: what was asked may or may not have happened. */
export class Unreachable extends Error {
  override readonly name = "Unreachable"
}

/** A comment comes every 15 seconds: where nothing came for this long, nothing will. */
const silenceMillis = 40_000
const answerMillis = 30_000

const turnEvents: { readonly [Name in TurnEvent["name"]]: true } = {
  begun: true,
  text: true,
  restarted: true,
  step_done: true,
  tool_call_begun: true,
  tool_call_done: true,
  completed: true,
  stopped: true,
  failed: true,
  interrupted: true
}
/** A later version of the service may tell of more. */
const isTurnEvent = (name: string): name is TurnEvent["name"] => Object.hasOwn(turnEvents, name)

const isProblem = (body: Problem | null): body is Problem => typeof body?.error?.code === "string"

const refusedOf = async (response: Response): Promise<Refused> => {
  const seconds = Number(response.headers.get("retry-after"))
  const retryAfter = seconds > 0 ? seconds * 1000 : undefined
  const body: Problem | null = await response.json().catch(() => null)
  if (isProblem(body)) return new Refused(body, retryAfter)
  // It is not the service's answer, but that of something before it: whatever it says, a 404 say, is not of what was asked for.
  const detail = `Something before the service answered with status ${response.status}.`
  return new Refused({ status: 502, detail, error: { code: "unavailable" } }, retryAfter)
}

const reach = async (path: string, init: RequestInit): Promise<Response> => {
  let response: Response
  try {
    response = await fetch(path, { ...init, cache: "no-store", credentials: "omit", redirect: "error" })
  } catch (cause) {
    throw new Unreachable("The service cannot be reached.", { cause })
  }
  if (!response.ok) throw await refusedOf(response)
  return response
}

/** Tells of each event of a stream, and comes back when it has ended. */
const readEvents = async (response: Response, tell: (event: PlacedEvent) => void): Promise<void> => {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  const read = makeEventReader()
  let silence: ReturnType<typeof setTimeout> | undefined
  try {
    for (;;) {
      clearTimeout(silence)
      silence = setTimeout(() => reader?.cancel(), silenceMillis)
      // biome-ignore lint/performance/noAwaitInLoops: a piece comes after the one before
      const piece = await reader?.read()
      if (piece === undefined || piece.done) return
      for (const { name, data, id } of read(decoder.decode(piece.value, { stream: true }))) {
        if (isTurnEvent(name)) tell({ name, data: JSON.parse(data), id })
      }
    }
  } catch (cause) {
    throw new Unreachable("The connection was lost.", { cause })
  } finally {
    clearTimeout(silence)
  }
}

/** The user of a token. */
export const whoIs = async (token: string): Promise<Session> => {
  const response = await reach("/api/v1/me", {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(answerMillis)
  })
  const user: { readonly id: string; readonly name: string } = await response.json()
  return { ...user, token }
}

/** Asks the service as a user. */
export const makeRest = ({ id, token }: Session) => {
  const root = `/api/v1/users/${encodeURIComponent(id)}`
  const authorization = `Bearer ${token}`

  const ask = async (method: string, path: string, body?: object): Promise<Response> =>
    reach(root + path, {
      method,
      headers: { authorization, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(answerMillis)
    })

  const events = async (
    path: string,
    init: RequestInit & { readonly headers: Record<string, string> },
    tell: (event: PlacedEvent) => void
  ): Promise<void> => {
    const response = await reach(root + path, {
      ...init,
      headers: { ...init.headers, authorization, accept: "text/event-stream" }
    })
    await readEvents(response, tell)
  }

  return {
    /** What is at a path. */
    get: async <A>(path: string): Promise<A> => (await ask("GET", path)).json(),
    /** Changes what is at a path, and gives what it has become. */
    change: async <A>(method: "PATCH" | "POST", path: string, body?: object): Promise<A> =>
      (await ask(method, path, body)).json(),
    remove: async (path: string): Promise<void> => {
      await ask("DELETE", path)
    },
    /** Begins a turn, or finds the one that was begun under this key, and tells of it as it goes on. */
    chat: (
      message: { readonly key: string; readonly text: string; readonly conversationId: string | undefined },
      signal: AbortSignal,
      tell: (event: PlacedEvent) => void
    ): Promise<void> =>
      events(
        "/chat",
        {
          method: "POST",
          headers: { "content-type": "application/json", "idempotency-key": message.key },
          body: JSON.stringify({
            message: message.text,
            ...(message.conversationId !== undefined && { conversation_id: message.conversationId })
          }),
          signal
        },
        tell
      ),
    /** Tells of a turn that was begun, from behind an event, or from its beginning. */
    follow: (
      turnId: string,
      lastEventId: string,
      signal: AbortSignal,
      tell: (event: PlacedEvent) => void
    ): Promise<void> =>
      events(
        `/turns/${turnId}/events`,
        { headers: lastEventId === "" ? {} : { "last-event-id": lastEventId }, signal },
        tell
      )
  }
}

export type Rest = ReturnType<typeof makeRest>
