import { Effect } from "effect"
import type { UserId } from "./model/User.ts"

/** Places to work at, of which one user gets only some: whatever a user asks for beyond those waits, and others pass it. */
export interface Places {
  /** Takes a place for the user if there is one. */
  readonly takeIfFree: (userId: UserId) => boolean
  /** Waits for a place, behind those who came before and could have had it. */
  readonly take: (userId: UserId) => Effect.Effect<void>
  /** Gives a place of the user's back. */
  readonly release: (userId: UserId) => Effect.Effect<void>
}

/** So many places in all, and so many for one user. */
export const makePlaces = (all: number, each: number): Places => {
  const taken = new Map<UserId, number>()
  const waiting = new Set<{ readonly userId: UserId; readonly goOn: () => void }>()
  let free = all

  // Nobody waits who could have a place, so whoever comes passes nobody by taking one.
  const takeIfFree = (userId: UserId): boolean => {
    const his = taken.get(userId) ?? 0
    if (free <= 0 || his >= each) return false
    free--
    taken.set(userId, his + 1)
    return true
  }

  return {
    takeIfFree,
    take: (userId) =>
      Effect.callback((resume) => {
        if (takeIfFree(userId)) {
          resume(Effect.void)
          return
        }
        const waiter = { userId, goOn: () => resume(Effect.void) }
        waiting.add(waiter)
        return Effect.sync(() => waiting.delete(waiter))
      }),
    release: (userId) =>
      Effect.sync(() => {
        free++
        const left = (taken.get(userId) ?? 0) - 1
        if (left > 0) taken.set(userId, left)
        else taken.delete(userId)
        for (const waiter of waiting) {
          if (takeIfFree(waiter.userId)) {
            waiting.delete(waiter)
            waiter.goOn()
            return
          }
        }
      })
  }
}
