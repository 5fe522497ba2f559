import { Effect } from "effect"
import type { UserId } from "./model/User.ts"

/** Places to work at, of which one user gets only some: whatever a user asks for beyond those waits, and others pass it. */
export interface Places {
  /** Takes a place for the user if there is one. */
  readonly takeIfFree: (userId: UserId) => boolean
  /** Waits for a place: a user's requests in their order, and the users in turn. */
  readonly take: (userId: UserId) => Effect.Effect<void>
  /** Gives a place of the user's back. */
  readonly release: (userId: UserId) => Effect.Effect<void>
}

/** So many places in all, and so many for one user. */
export const makePlaces = (all: number, each: number): Places => {
  const taken = new Map<UserId, number>()
  const waiting = new Map<UserId, Set<() => void>>()
  let free = all

  // Nobody waits who could have a place, so whoever comes passes nobody by taking one.
  const takeIfFree = (userId: UserId): boolean => {
    const his = taken.get(userId) ?? 0
    if (free <= 0 || his >= each) return false
    free--
    taken.set(userId, his + 1)
    return true
  }

  /** Lets the user's next waiter have a place, if there is one for this user. */
  const seat = (userId: UserId): boolean => {
    const waiters = waiting.get(userId)
    const [next] = waiters ?? []
    if (waiters === undefined || next === undefined || !takeIfFree(userId)) return false
    waiters.delete(next)
    // Behind the others, who have their turn before this user has another.
    waiting.delete(userId)
    if (waiters.size > 0) waiting.set(userId, waiters)
    // Not at once: what goes on now may give its place back at once, and so on, until the stack is full.
    queueMicrotask(next)
    return true
  }

  const give = (userId: UserId): void => {
    const wasFull = free === 0
    free++
    const left = (taken.get(userId) ?? 0) - 1
    if (left > 0) taken.set(userId, left)
    else taken.delete(userId)
    // Where there were places left, only this user was kept from one.
    if (!wasFull) seat(userId)
    else for (const user of waiting.keys()) if (seat(user)) return
  }

  return {
    takeIfFree,
    take: (userId) =>
      Effect.callback((resume) => {
        if (takeIfFree(userId)) {
          resume(Effect.void)
          return
        }
        const waiters = waiting.get(userId) ?? new Set()
        const goOn = () => resume(Effect.void)
        waiters.add(goOn)
        waiting.set(userId, waiters)
        return Effect.sync(() => {
          // Whoever goes just when there is a place gives it to the next.
          if (!waiters.delete(goOn)) give(userId)
          else if (waiters.size === 0) waiting.delete(userId)
        })
      }),
    release: (userId) => Effect.sync(() => give(userId))
  }
}
