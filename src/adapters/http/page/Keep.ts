import type { Outgoing } from "./Run.ts"

const isText = (value: unknown): boolean => typeof value === "string"
const isTextIfAny = (value: unknown): boolean => value === undefined || isText(value)

const isProblemIfAny = (value: unknown): boolean =>
  value === undefined || (isText(member(value, "detail")) && isText(member(member(value, "error"), "code")))

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** Others can write there too: an earlier version of the page, and whatever else this host serves. */
const isOutgoing = (value: unknown): value is Outgoing =>
  isText(member(value, "key")) &&
  isText(member(value, "text")) &&
  typeof member(value, "at") === "number" &&
  ["askedIn", "conversationId", "turnId"].every((name) => isTextIfAny(member(value, name))) &&
  isProblemIfAny(member(value, "problem"))

/** What of a user is kept in this browser: what they were writing, and what they have sent and not seen answered. */
export const makeKeep = (userId: string) => {
  const root = `turnkeeper:${userId}:`
  const sentRoot = `${root}sent:`
  const draftOf = (conversationId: string | undefined) => `${root}draft:${conversationId ?? "new"}`

  // A browser may forbid it or have no room; the page then goes on without.
  const attempt = <A>(use: () => A, otherwise: A): A => {
    try {
      return use()
    } catch {
      return otherwise
    }
  }
  const parsed = (text: string | null): ReadonlyArray<Outgoing> =>
    attempt(() => {
      const value: unknown = JSON.parse(text ?? "null")
      return isOutgoing(value) ? [value] : []
    }, [])

  return {
    draft: (conversationId: string | undefined): string =>
      attempt(() => localStorage.getItem(draftOf(conversationId)) ?? "", ""),
    keepDraft: (conversationId: string | undefined, text: string): void =>
      attempt(() => {
        if (text === "") localStorage.removeItem(draftOf(conversationId))
        else localStorage.setItem(draftOf(conversationId), text)
      }, undefined),
    /** All that was sent and not seen answered, by any tab of this browser, in its order. */
    sent: (): ReadonlyArray<Outgoing> =>
      attempt(() => Object.keys(localStorage), [])
        .filter((name) => name.startsWith(sentRoot))
        .flatMap((name) => parsed(attempt(() => localStorage.getItem(name), null)))
        .sort((one, other) => one.at - other.at),
    keepSent: (outgoing: Outgoing): void =>
      attempt(() => localStorage.setItem(sentRoot + outgoing.key, JSON.stringify(outgoing)), undefined),
    forgetSent: (key: string): void => attempt(() => localStorage.removeItem(sentRoot + key), undefined),
    /** Drafts are for nobody else to read; what was sent stays until it is answered. */
    forgetDrafts: (): void =>
      attempt(() => {
        for (const name of Object.keys(localStorage)) {
          if (name.startsWith(`${root}draft:`)) localStorage.removeItem(name)
        }
      }, undefined)
  }
}

export type Keep = ReturnType<typeof makeKeep>
