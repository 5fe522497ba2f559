import { type Keep, makeKeep } from "./Keep.ts"
import { type Listed, withBeginning, withNext } from "./Listed.ts"
import { makeRest, Refused, type Rest, Unreachable, whoIs } from "./Rest.ts"
import { afterEvent, failedRun, followed, nothingShown, type Outgoing, type Run, runOf } from "./Run.ts"
import type { Conversation, Message, Page, PlacedEvent, Session, Task } from "./Wire.ts"
import { wordsOf, wordsOfCall, wordsOfError } from "./Words.ts"

export interface State {
  readonly session: Session | undefined
  readonly signingIn: boolean
  /** Why nobody is signed in who tried to be. */
  readonly signInProblem: string | undefined
  readonly conversations: Listed<Conversation>
  /** The conversation that is open; absent for one that is still to begin. */
  readonly openId: string | undefined
  /** Its messages in their order; the cursor leads to older ones. */
  readonly messages: Listed<Message>
  readonly tasks: Listed<Task>
  /** The tasks that have changed just now. */
  readonly touched: ReadonlySet<number>
  readonly runs: ReadonlyArray<Run>
  readonly draft: string
  /** When the service is tried again, in milliseconds since 1970, where it is out of reach. */
  readonly lostUntil: number | undefined
  /** What went wrong and needs the user's attention. */
  readonly notice: string | undefined
  /** What is read out to those who do not see it. */
  readonly announcement: string
  /** Which part is shown where there is room for one. */
  readonly pane: "conversations" | "talk" | "tasks"
}

const nothing = { entries: [], cursor: null, loaded: false } as const

const nothingSaid = { ...nothing, loaded: true }

const initial: State = {
  session: undefined,
  signingIn: false,
  signInProblem: undefined,
  conversations: nothing,
  openId: undefined,
  messages: nothingSaid,
  tasks: nothing,
  touched: new Set(),
  runs: [],
  draft: "",
  lostUntil: undefined,
  notice: undefined,
  announcement: "",
  pane: "talk"
}

/** What one tab of a browser tells the others of the same user. */
interface Told {
  readonly user: string
  readonly what: "conversations" | "messages" | "tasks"
  readonly conversationId?: string | undefined
}

/** How long to wait before the nth attempt in a row, in milliseconds: growing, and not at the same time in every tab. */
const pauseBefore = (attempt: number): number => Math.min(15_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2)

/** Holds all that the page shows, and does what its user asks for. */
export const makeStore = () => {
  let state = initial
  const listeners = new Set<(inPieces: boolean) => void>()
  /** Changes what is shown; what comes in pieces may wait for the next frame. */
  const set = (change: Partial<State>, inPieces = false): void => {
    state = { ...state, ...change }
    for (const listener of listeners) listener(inPieces)
  }
  return {
    get: (): State => state,
    set,
    subscribe: (listener: (inPieces: boolean) => void): (() => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}
type Store = ReturnType<typeof makeStore>

const isHidden = (): boolean => document.visibilityState === "hidden"

/** What the user can do. */
export type Actions = ReturnType<typeof makeActions>

export const makeActions = (store: Store) => {
  let signedIn: ReturnType<typeof makeSignedIn> | undefined

  const enter = (session: Session): void => {
    store.set({ ...initial, session, pane: store.get().pane })
    signedIn = makeSignedIn(store, session, leave)
    signedIn.start()
  }
  const leave = (signInProblem: string | undefined): void => {
    signedIn?.end()
    signedIn = undefined
    store.set({ ...initial, signInProblem })
  }
  return {
    enter,
    /** Signs in by a token. */
    signIn: async (token: string): Promise<void> => {
      store.set({ signingIn: true, signInProblem: undefined })
      try {
        enter(await whoIs(token))
      } catch (error) {
        const unknown = error instanceof Refused && error.problem.status === 401
        store.set({
          signingIn: false,
          signInProblem: unknown
            ? "This token is not valid. Check that it was copied whole, or get a new one where you sign in."
            : wordsOfError(error)
        })
      }
    },
    signOut: (): void => {
      signedIn?.forgetDrafts()
      leave(undefined)
    },
    /** What can be done by whoever is signed in. */
    signedIn: (): ReturnType<typeof makeSignedIn> | undefined => signedIn
  }
}

export const makeSignedIn = (store: Store, session: Session, leave: (problem: string | undefined) => void) => {
  const rest = makeRest(session)
  const keep = makeKeep(session.id)
  const ended = new AbortController()
  const channel = new BroadcastChannel("turnkeeper")
  const tell = (what: Told["what"], conversationId?: string): void =>
    channel.postMessage({ user: session.id, what, conversationId } satisfies Told)

  const lists = makeLists(store, rest, { onMessages: () => runs.followRunning(), onGone: (id) => onGone(id) })
  const connection = makeConnection(store, ended.signal, lists.refreshAll, leave)
  const runs = makeRuns({ store, rest, keep, ended: ended.signal, lists, connection, tell, leave })

  /** Lets go of all that is kept of a conversation that is no more; what was not sent yet can be said in a new one. */
  const onGone = (id: string): void => {
    const unsent = [...runs.forget(id), keep.draft(id)].filter((text) => text.trim() !== "")
    keep.keepDraft(id, "")
    if (store.get().openId === undefined) unsent.forEach(putBack)
    else if (unsent.length > 0) keep.keepDraft(undefined, [keep.draft(undefined), ...unsent].join("\n").trim())
    if (store.get().openId !== id) return
    history.replaceState(null, "", location.pathname)
    open(undefined)
    store.set({ notice: "This conversation does not exist, or was deleted. You can begin a new one here." })
  }

  /** Does what the user has asked for; if it fails they are told, and can ask again. */
  const attempt = async (action: () => Promise<void>): Promise<boolean> => {
    try {
      await action()
      store.set({ notice: undefined })
      return true
    } catch (error) {
      if (error instanceof Refused && error.problem.status === 401) leave(wordsOf(error.problem))
      else store.set({ notice: wordsOfError(error) })
      return false
    }
  }

  const open = (openId: string | undefined): void => {
    const { openId: before } = store.get()
    store.set({
      openId,
      pane: "talk",
      notice: undefined,
      draft: keep.draft(openId),
      ...(before !== openId && { messages: openId === undefined ? nothingSaid : nothing })
    })
    if (openId !== undefined) connection.during(() => lists.refreshMessages())
  }

  const openFromAddress = (): void => open(location.hash.slice(1) || undefined)
  const onVisible = (): void => {
    if (!isHidden()) connection.during(lists.refreshAll)
  }
  const onOnline = (): void => connection.tryNow()
  channel.onmessage = ({ data }: MessageEvent<Told>) => {
    if (data.user !== session.id) return
    if (data.what === "tasks") connection.during(lists.refreshTasks)
    if (data.what === "conversations") connection.during(lists.refreshConversations)
    if (data.what === "messages" && data.conversationId === store.get().openId) {
      connection.during(() => lists.refreshMessages())
    }
  }

  const write = (draft: string): void => {
    keep.keepDraft(store.get().openId, draft)
    store.set({ draft })
  }
  /** Puts a message back into the box, below what is being written there. */
  const putBack = (text: string): void => {
    const { draft } = store.get()
    const isThere = draft === text || draft.endsWith(`\n${text}`)
    if (!isThere) write(draft.trim() === "" ? text : `${draft.trimEnd()}\n${text}`)
  }

  const changeTask = (id: number, change: object): Promise<boolean> =>
    attempt(async () => {
      lists.putTask(await rest.change<Task>("PATCH", `/tasks/${id}`, change))
      tell("tasks")
    })

  return {
    start: (): void => {
      addEventListener("hashchange", openFromAddress)
      addEventListener("online", onOnline)
      addEventListener("focus", onVisible)
      document.addEventListener("visibilitychange", onVisible)
      openFromAddress()
      connection.during(lists.refreshConversations)
      connection.during(lists.refreshTasks)
      runs.resume()
    },
    end: (): void => {
      ended.abort()
      channel.close()
      removeEventListener("hashchange", openFromAddress)
      removeEventListener("online", onOnline)
      removeEventListener("focus", onVisible)
      document.removeEventListener("visibilitychange", onVisible)
    },
    forgetDrafts: keep.forgetDrafts,
    /** Sends what is in the box. */
    send: (): void => {
      const { draft, openId } = store.get()
      if (draft.trim() === "") return
      keep.keepDraft(openId, "")
      store.set({ draft: "", notice: undefined })
      runs.send(draft.trim(), openId)
    },
    write,
    stop: runs.stop,
    retry: runs.retry,
    putBack,
    /** Puts a failed message back into the box, and lets go of its turn. */
    takeBack: (run: Run): void => {
      runs.dismiss(run)
      putBack(run.outgoing?.text ?? "")
    },
    tryNow: connection.tryNow,
    dismissNotice: (): void => store.set({ notice: undefined }),
    show: (pane: State["pane"]): void => store.set({ pane }),
    rename: (id: string, title: string): Promise<boolean> =>
      attempt(async () => {
        const renamed = await rest.change<Conversation>("PATCH", `/conversations/${id}`, { title })
        const { conversations } = store.get()
        store.set({
          conversations: {
            ...conversations,
            entries: conversations.entries.map((entry) => (entry.id === id ? renamed : entry))
          }
        })
        tell("conversations")
      }),
    remove: (id: string): Promise<boolean> =>
      attempt(async () => {
        await rest.remove(`/conversations/${id}`).catch(unlessGone)
        runs.forget(id)
        keep.keepDraft(id, "")
        const { conversations, openId } = store.get()
        store.set({
          conversations: { ...conversations, entries: conversations.entries.filter((entry) => entry.id !== id) },
          announcement: "The conversation was deleted."
        })
        if (openId === id) location.hash = ""
        tell("conversations")
      }),
    moreConversations: (): Promise<boolean> => attempt(lists.moreConversations),
    olderMessages: (): Promise<boolean> => attempt(lists.olderMessages),
    moreTasks: (): Promise<boolean> => attempt(lists.moreTasks),
    addTask: (title: string): Promise<boolean> =>
      attempt(async () => {
        lists.putTask(await rest.change<Task>("POST", "/tasks", { title }))
        store.set({ announcement: `Added the task ${title}.` })
        tell("tasks")
      }),
    completeTask: (task: Task, completed: boolean): Promise<boolean> => changeTask(task.id, { completed }),
    removeTask: (task: Task): Promise<boolean> =>
      attempt(async () => {
        await rest.remove(`/tasks/${task.id}`).catch(unlessGone)
        lists.dropTask(task.id)
        store.set({ announcement: `Deleted the task ${task.title}.` })
        tell("tasks")
      })
  }
}

export type SignedIn = ReturnType<typeof makeSignedIn>

/** What is to be gone, and is gone already, is as it should be. */
const unlessGone = (error: unknown): void => {
  if (!(error instanceof Refused && error.problem.status === 404)) throw error
}

/** The most recently active conversation comes first. */
const isOlder = (one: Conversation, other: Conversation): boolean =>
  one.updated_at === other.updated_at ? one.id < other.id : one.updated_at < other.updated_at

/** Messages are read from the last one, and shown from the first. */
const reversed = (messages: Listed<Message>): Listed<Message> => ({
  ...messages,
  entries: messages.entries.toReversed()
})

/** The lists of the page: loaded, refreshed, and changed where a change is known. */
const makeLists = (
  store: Store,
  rest: Rest,
  { onGone, onMessages }: { readonly onGone: (conversationId: string) => void; readonly onMessages: () => void }
) => {
  const conversationPath = "/conversations?limit=50"
  const taskPath = "/tasks?limit=200"
  const messagePath = (id: string) => `/conversations/${encodeURIComponent(id)}/messages?order=desc&limit=100`

  const page = async <Entry>(path: string, cursor: string | null = null): Promise<Page<Entry>> =>
    rest.get(cursor === null ? path : `${path}&after=${encodeURIComponent(cursor)}`)

  /** A list from its beginning, as far as it is shown. */
  const beginning = async <Entry>(path: string, shown: number): Promise<Page<Entry>> => {
    const data: Array<Entry> = []
    let cursor: string | null = null
    do {
      // biome-ignore lint/performance/noAwaitInLoops: a page tells where the next one begins
      const next: Page<Entry> = await page(path, cursor)
      data.push(...next.data)
      cursor = next.next_cursor
    } while (cursor !== null && data.length < shown)
    return { data, next_cursor: cursor }
  }

  const underWay = new Map<string, Promise<void>>()
  /** Goes on with a list, once at a time: a second click while a page is loaded asks for nothing. */
  const goOn = <Entry>(
    path: string,
    cursor: string | null,
    use: (data: ReadonlyArray<Entry>, cursor: string | null) => void
  ): Promise<void> => {
    if (cursor === null) return Promise.resolve()
    const loading =
      underWay.get(path) ??
      page<Entry>(path, cursor)
        .then(({ data, next_cursor }) => use(data, next_cursor))
        .finally(() => underWay.delete(path))
    underWay.set(path, loading)
    return loading
  }

  /** How often each list was asked for: an answer that has been overtaken by another is of no use. */
  const asked = { conversations: 0, messages: 0, tasks: 0 }
  /** How often a task was changed here: a list that was made meanwhile may not know of it. */
  let taskChanges = 0
  /** The tasks that are known to be deleted: no other gets their number. */
  const dropped = new Set<number>()

  const refreshConversations = async (): Promise<void> => {
    const turn = ++asked.conversations
    const { data, next_cursor } = await beginning<Conversation>(
      conversationPath,
      store.get().conversations.entries.length
    )
    if (turn !== asked.conversations) return
    store.set({ conversations: withBeginning(store.get().conversations, data, next_cursor, isOlder) })
  }
  const refreshTasks = async (): Promise<void> => {
    const [turn, changes] = [++asked.tasks, taskChanges]
    const { data, next_cursor } = await beginning<Task>(taskPath, store.get().tasks.entries.length)
    if (turn !== asked.tasks) return
    if (changes !== taskChanges) return refreshTasks()
    const known = store.get().tasks
    const before = new Map(known.entries.map((task) => [task.id, JSON.stringify(task)]))
    const changed = data.filter((task) => JSON.stringify(task) !== before.get(task.id)).map((task) => task.id)
    store.set({
      tasks: withBeginning(known, data, next_cursor, (task, last) => task.id > last.id),
      ...(known.loaded && { touched: new Set(changed) })
    })
  }
  const refreshMessages = async (): Promise<void> => {
    const id = store.get().openId
    if (id === undefined) return
    const turn = ++asked.messages
    try {
      const { data, next_cursor } = await page<Message>(messagePath(id))
      if (store.get().openId !== id || turn !== asked.messages) return
      const over = new Set(
        data.filter((message) => message.turn_status !== "running").map((message) => message.turn_id)
      )
      store.set({
        messages: reversed(
          withBeginning(reversed(store.get().messages), data, next_cursor, (message, last) => message.seq < last.seq)
        ),
        // What is stored takes the place of what was told.
        runs: store.get().runs.filter((run) => !(run.phase === "over" && over.has(run.turnId ?? "")))
      })
      onMessages()
    } catch (error) {
      if (!(error instanceof Refused && [400, 404].includes(error.problem.status))) throw error
      if (store.get().openId !== id) return
      onGone(id)
    }
  }

  /** A task as it is now. */
  const putTask = (task: Task): void => {
    taskChanges++
    const { entries, ...tasks } = store.get().tasks
    const others = entries.filter(({ id }) => id !== task.id)
    store.set({
      tasks: { ...tasks, entries: [...others, task].sort((one, other) => one.id - other.id) },
      touched: new Set([task.id])
    })
  }

  return {
    refreshConversations,
    refreshTasks,
    refreshMessages,
    refreshAll: async (): Promise<void> => {
      await Promise.all([refreshConversations(), refreshTasks(), refreshMessages()])
    },
    moreConversations: (): Promise<void> =>
      goOn<Conversation>(conversationPath, store.get().conversations.cursor, (data, cursor) =>
        store.set({ conversations: withNext(store.get().conversations, data, cursor) })
      ),
    olderMessages: (): Promise<void> => {
      const { messages, openId } = store.get()
      if (openId === undefined) return Promise.resolve()
      return goOn<Message>(messagePath(openId), messages.cursor, (data, cursor) => {
        if (store.get().openId !== openId) return
        store.set({ messages: reversed(withNext(reversed(store.get().messages), data, cursor)) })
      })
    },
    moreTasks: (): Promise<void> =>
      goOn<Task>(taskPath, store.get().tasks.cursor, (data, cursor) => {
        const { entries, ...tasks } = withNext(store.get().tasks, data, cursor)
        store.set({ tasks: { ...tasks, entries: entries.toSorted((one, other) => one.id - other.id) } })
      }),
    /** Finds out whether a conversation is still there. */
    lookFor: async (conversationId: string): Promise<void> => {
      try {
        await rest.get(`/conversations/${encodeURIComponent(conversationId)}`)
      } catch (error) {
        unlessGone(error)
        onGone(conversationId)
      }
    },
    putTask,
    /**
     * A task as it was when the agent had changed it. That may be long ago: a turn is told from its beginning to whoever comes
     * later. What has changed since is not undone, and what is not in the list may be new, or have been deleted.
     */
    putTold: async (task: Task): Promise<void> => {
      const known = store.get().tasks.entries.find(({ id }) => id === task.id)
      if (known !== undefined) {
        if (known.updated_at <= task.updated_at) putTask(task)
        return
      }
      try {
        const now = await rest.get<Task>(`/tasks/${task.id}`)
        // It may have been deleted while the answer was under way.
        if (!dropped.has(task.id)) putTask(now)
      } catch (error) {
        unlessGone(error)
      }
    },
    dropTask: (taskId: number): void => {
      taskChanges++
      dropped.add(taskId)
      const { tasks } = store.get()
      store.set({ tasks: { ...tasks, entries: tasks.entries.filter(({ id }) => id !== taskId) } })
    }
  }
}
type Lists = ReturnType<typeof makeLists>

/** Whether the service can be reached, and what to do until it can again. */
const makeConnection = (
  store: Store,
  ended: AbortSignal,
  refresh: () => Promise<void>,
  leave: (problem: string | undefined) => void
) => {
  const waiting = new Set<() => void>()
  let recovering = false

  /** Waits, but not past the moment at which somebody wants it tried now. */
  const pause = (millis: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => done(), millis)
      const done = () => {
        clearTimeout(timer)
        ended.removeEventListener("abort", done)
        waiting.delete(done)
        resolve()
      }
      ended.addEventListener("abort", done)
      waiting.add(done)
    })
  const wake = (): void => {
    for (const done of waiting) done()
  }

  const recover = async (): Promise<void> => {
    if (recovering) return
    recovering = true
    for (let attempt = 0; !ended.aborted; attempt++) {
      const millis = pauseBefore(attempt)
      store.set({ lostUntil: Date.now() + millis })
      try {
        // biome-ignore lint/performance/noAwaitInLoops: one attempt after the other
        await pause(millis)
        if (ended.aborted) break
        await refresh()
        break
      } catch (error) {
        if (!isPassing(error)) {
          refuse(error)
          break
        }
      }
    }
    recovering = false
    if (ended.aborted) return
    store.set({ lostUntil: undefined })
    // Those who wait by themselves need not any longer.
    wake()
  }
  const refuse = (error: unknown): void => {
    if (error instanceof Refused && error.problem.status === 401) leave(wordsOf(error.problem))
    else if (!ended.aborted) store.set({ notice: wordsOfError(error) })
  }
  return {
    pause,
    recover,
    tryNow: wake,
    /** Loads what nobody has asked for by hand: if it cannot be had now, it is as soon as it can. */
    during: (load: () => Promise<void>): void => {
      load().catch((error: unknown) => {
        if (ended.aborted) return
        if (isPassing(error)) void recover()
        else refuse(error)
      })
    }
  }
}
type Connection = ReturnType<typeof makeConnection>

/** Whether it may be otherwise in a moment: nothing was heard, or that the service is not available. */
const isPassing = (error: unknown): boolean =>
  error instanceof Unreachable ||
  (error instanceof DOMException && error.name !== "AbortError") ||
  (error instanceof Refused && error.problem.status >= 500 && error.problem.retryable === undefined)

interface RunTools {
  readonly store: Store
  readonly rest: Rest
  readonly keep: Keep
  readonly ended: AbortSignal
  readonly lists: Lists
  readonly connection: Connection
  readonly tell: (what: Told["what"], conversationId?: string) => void
  readonly leave: (problem: string | undefined) => void
}

/** The turns that this page sends or follows. */
const makeRuns = ({ store, rest, keep, ended, lists, connection, tell, leave }: RunTools) => {
  const find = (id: string): Run | undefined => store.get().runs.find((run) => run.id === id)
  const drop = (id: string): void => store.set({ runs: store.get().runs.filter((run) => run.id !== id) })
  const put = (run: Run, inPieces = false): void =>
    store.set({ runs: store.get().runs.map((known) => (known.id === run.id ? run : known)) }, inPieces)
  const change = (id: string, by: Partial<Run>): void => {
    const run = find(id)
    if (run !== undefined) put({ ...run, ...by })
  }

  const forgetSent = (run: Run): void => {
    if (run.outgoing !== undefined) keep.forgetSent(run.outgoing.key)
  }
  const letGo = (run: Run): void => {
    forgetSent(run)
    drop(run.id)
  }

  /** Keeps what is needed to go on with a message after a reload. */
  const remember = (run: Run): void => {
    if (run.outgoing === undefined) return
    const outgoing = {
      ...run.outgoing,
      conversationId: run.conversationId,
      turnId: run.turnId,
      problem: run.phase === "failed" ? run.problem : undefined
    }
    put({ ...run, outgoing })
    keep.keepSent(outgoing)
  }
  const onBegun = (run: Run, before: Run): void => {
    remember(run)
    const { draft, openId } = store.get()
    // The conversation that it begins is opened, once, and what is being written is said there.
    if (openId === undefined && before.conversationId === undefined && run.conversationId !== undefined) {
      keep.keepDraft(undefined, "")
      keep.keepDraft(run.conversationId, draft)
      location.hash = run.conversationId
    }
    connection.during(lists.refreshConversations)
    tell("conversations")
    tell("messages", run.conversationId)
  }

  const onCall = (event: PlacedEvent): void => {
    if (event.name !== "tool_call_done" || event.data.status !== "success") return
    const { task } = event.data.result ?? {}
    if (task === undefined) return
    if (event.data.tool_name === "delete_task") lists.dropTask(task.id)
    else connection.during(() => lists.putTold(task))
    store.set({ announcement: wordsOfCall(event.data) })
  }

  const onEnd = (run: Run): void => {
    // What was refused before its turn began stands nowhere else.
    if (run.phase === "failed" && (run.problem?.retryable === true || run.turnId === undefined)) remember(run)
    else forgetSent(run)
    const last = run.parts.findLast((part) => part.kind === "text")
    store.set({
      announcement:
        run.phase === "failed"
          ? "The turn failed. What you can do is told below your message."
          : `Agent: ${last?.kind === "text" ? last.text : "done"}`
    })
    connection.during(lists.refreshAll)
    tell("conversations")
    tell("messages", run.conversationId)
    tell("tasks")
  }

  const onEvent = (id: string, event: PlacedEvent): void => {
    const before = find(id)
    if (before === undefined) return
    const run = afterEvent(before, event)
    put(run, event.name === "text")
    if (event.name === "begun") onBegun(run, before)
    onCall(event)
    if (run.phase === "over" || run.phase === "failed") onEnd(run)
  }

  const isOver = (id: string): boolean => {
    const phase = find(id)?.phase
    return phase === undefined || phase === "over" || phase === "failed"
  }

  /** Asks for the events of a turn once, as long as the page is seen or the turn has not begun. */
  const watch = async (run: Run): Promise<void> => {
    const stream = new AbortController()
    const signal = AbortSignal.any([ended, stream.signal])
    // A browser has few connections to a host, for all its tabs: those that nobody sees would leave none to those that are seen.
    const letGoUnseen = (): void => {
      if (isHidden() && find(run.id)?.begun === true) stream.abort()
    }
    const tellOf = (event: PlacedEvent): void => {
      onEvent(run.id, event)
      letGoUnseen()
    }
    document.addEventListener("visibilitychange", letGoUnseen)
    try {
      if (run.begun && run.turnId !== undefined) await rest.follow(run.turnId, run.lastEventId, signal, tellOf)
      else if (run.outgoing !== undefined) {
        const { askedIn, key, text } = run.outgoing
        await rest.chat({ key, text, conversationId: askedIn }, signal, tellOf)
      }
    } catch (error) {
      if (!stream.signal.aborted) throw error
    } finally {
      document.removeEventListener("visibilitychange", letGoUnseen)
    }
  }

  /** Waits until the page is seen. */
  const seen = (): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (isHidden() && !ended.aborted) return
        document.removeEventListener("visibilitychange", look)
        ended.removeEventListener("abort", look)
        resolve()
      }
      document.addEventListener("visibilitychange", look)
      ended.addEventListener("abort", look)
      look()
    })

  /** What to do about an answer that is no stream: `again` after so many milliseconds, or nothing. */
  const afterRefusal = (run: Run, { problem, retryAfter }: Refused, attempt: number): number | undefined => {
    if (problem.status === 401) {
      leave(wordsOf(problem))
      return
    }
    if (problem.status === 409 || problem.status === 429) {
      change(run.id, { phase: "waiting", problem })
      // Another tab or device has a turn here: it is shown, and this message is sent when that one is over.
      connection.during(() => lists.refreshMessages())
      return problem.status === 409 ? Math.min(retryAfter ?? 1000, 1000 * (attempt + 1)) : (retryAfter ?? 5000)
    }
    if (isPassing(new Refused(problem))) return Math.max(retryAfter ?? 0, pauseBefore(attempt))
    if (run.outgoing === undefined || run.begun) {
      // The turn has gone with its conversation.
      letGo(run)
      connection.during(lists.refreshAll)
      return
    }
    const failed = failedRun(run, problem)
    put(failed)
    onEnd(failed)
    return
  }

  /** Watches a turn once, and tells how long to wait before it is watched again; nothing where it is not to be. */
  const watchOnce = async (run: Run, attempt: number): Promise<number | undefined> => {
    try {
      await watch(run)
      // If it ended before the turn did, somebody has gone away, and somebody else goes on; or the page is not seen.
      return isHidden() && find(run.id)?.begun === true ? 0 : pauseBefore(attempt)
    } catch (error) {
      if (ended.aborted) return
      if (isPassing(error)) void connection.recover()
      return error instanceof Refused ? afterRefusal(find(run.id) ?? run, error, attempt) : pauseBefore(attempt)
    }
  }

  /** Stays with a turn until it is over, through lost connections and services that are started again. */
  const drive = async (id: string): Promise<void> => {
    let attempt = 0
    while (!(isOver(id) || ended.aborted)) {
      // biome-ignore lint/performance/noAwaitInLoops: one attempt after the other
      if (find(id)?.begun === true) await seen()
      const run = find(id)
      if (run === undefined || isOver(id) || ended.aborted) return
      const millis = await watchOnce(run, attempt)
      if (millis === undefined || isOver(id)) return
      attempt = find(id)?.lastEventId === run.lastEventId ? attempt + 1 : 0
      await connection.pause(millis)
    }
  }

  const begin = (run: Run): void => {
    store.set({ runs: [...store.get().runs.filter(({ id }) => id !== run.id), run] })
    void drive(run.id)
  }

  const followOne = (known: Run | undefined, turnId: string, conversationId: string): void => {
    if (known === undefined) begin(followed(turnId, conversationId))
    // It is tried again, by another tab.
    else if (known.phase === "failed")
      begin({ ...known, ...nothingShown, phase: "running", begun: true, problem: undefined })
  }

  return {
    send: (text: string, openId: string | undefined): void => {
      const outgoing: Outgoing = {
        key: crypto.randomUUID(),
        text,
        at: Date.now(),
        askedIn: openId,
        conversationId: openId,
        turnId: undefined,
        problem: undefined
      }
      keep.keepSent(outgoing)
      begin(runOf(outgoing))
    },
    /** Goes on with what was sent before the page was loaded. */
    resume: (): void => {
      const sent = keep.sent()
      for (const outgoing of sent) begin(runOf(outgoing))
      // Where nothing is asked for any more, nothing tells that the conversation was deleted elsewhere.
      const failed = sent.filter(({ problem }) => problem !== undefined)
      for (const id of new Set(failed.map(({ conversationId }) => conversationId))) {
        if (id !== undefined) connection.during(() => lists.lookFor(id))
      }
    },
    /** Follows the turns of the open conversation that somebody else has begun. */
    followRunning: (): void => {
      const { messages, openId, runs } = store.get()
      if (openId === undefined) return
      for (const { role, turn_id, turn_status } of messages.entries) {
        if (role !== "user") continue
        const known = runs.find((run) => run.turnId === turn_id)
        if (turn_status === "running") followOne(known, turn_id, openId)
        else if (known?.phase === "failed" && turn_status !== "failed") letGo(known)
      }
    },
    stop: async (run: Run): Promise<void> => {
      if (run.turnId === undefined || !run.begun || run.phase === "stopping") return
      change(run.id, { phase: "stopping" })
      try {
        await rest.change("POST", `/turns/${run.turnId}/stop`)
      } catch (error) {
        if (find(run.id)?.phase === "stopping") change(run.id, { phase: "running" })
        store.set({ notice: `It could not be stopped. ${wordsOfError(error)}` })
      }
    },
    retry: (run: Run): void => begin({ ...run, ...nothingShown, phase: "sending", begun: false, problem: undefined }),
    dismiss: letGo,
    /** Lets go of the turns of a conversation that is no more, and gives what was said that has begun none. */
    forget: (conversationId: string): ReadonlyArray<string> => {
      const gone = store.get().runs.filter((run) => run.conversationId === conversationId)
      for (const run of gone) letGo(run)
      return gone.flatMap(({ outgoing, turnId }) => (turnId === undefined && outgoing ? [outgoing.text] : []))
    }
  }
}
