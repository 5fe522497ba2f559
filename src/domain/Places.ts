import { Context, Effect, Layer } from "effect"
import { TooMuchAtOnce } from "./model/Errors.ts"
import type { UserId } from "./model/User.ts"

/** What one request has of a user's places: nothing at first, or one. */
export interface Place {
  /** Takes a place if there is one for this user. */
  readonly takeIfFree: () => boolean
  /** Waits for a place: a user's requests in their order, and the users in turn. */
  readonly take: Effect.Effect<void>
  /** Gives it back, if there is one to give back: that may be asked for at any time. */
  readonly release: Effect.Effect<void>
}

/** Places to work at, of which one user gets only some: whatever a user asks for beyond those waits, and others pass it. */
export interface Places {
  /** Comes in for a place of the user's. */
  readonly of: (userId: UserId) => Place
}

/** So many places in all, and so many for one user. */
export const makePlaces = (all: number, each: number): Places => {
  const taken = new Map<UserId, number>()
  const waiting = new Map<UserId, Set<{ readonly seat: () => void }>>()
  let free = all

  const takeFor = (userId: UserId): boolean => {
    const his = taken.get(userId) ?? 0
    if (free <= 0 || his >= each) return false
    free--
    taken.set(userId, his + 1)
    return true
  }

  /** Lets the user's next waiter have a place, if there is one for this user. */
  const seatNext = (userId: UserId): boolean => {
    const waiters = waiting.get(userId)
    const [next] = waiters ?? []
    if (waiters === undefined || next === undefined || !takeFor(userId)) return false
    waiters.delete(next)
    // Behind the others, who have their turn before this user has another.
    waiting.delete(userId)
    if (waiters.size > 0) waiting.set(userId, waiters)
    next.seat()
    return true
  }

  const give = (userId: UserId): void => {
    const wasFull = free === 0
    free++
    const left = (taken.get(userId) ?? 0) - 1
    if (left > 0) taken.set(userId, left)
    else taken.delete(userId)
    // Where there were places left, only this user was kept from one.
    if (!wasFull) seatNext(userId)
    else for (const user of waiting.keys()) if (seatNext(user)) return
  }

  return {
    of: (userId) => {
      // Known from the very moment on: whoever is interrupted between that and the next step has it to give back.
      let held = false
      // Nobody waits who could have a place, so whoever comes passes nobody by taking one.
      const takeIfFree = () => {
        held = takeFor(userId)
        return held
      }
      return {
        takeIfFree,
        take: Effect.callback((resume) => {
          if (takeIfFree()) {
            resume(Effect.void)
            return
          }
          const waiters = waiting.get(userId) ?? new Set()
          const waiter = {
            seat: () => {
              held = true
              // Not at once: what goes on now may give its place back at once, and so on, until the stack is full.
              queueMicrotask(() => resume(Effect.void))
            }
          }
          waiters.add(waiter)
          waiting.set(userId, waiters)
          return Effect.sync(() => {
            if (waiters.delete(waiter) && waiters.size === 0) waiting.delete(userId)
          })
        }),
        release: Effect.sync(() => {
          if (!held) return
          held = false
          give(userId)
        })
      }
    }
  }
}

/** How many requests of one user an instance works on at once, those apart that wait for the agent. */
const requestsAtOnce = 4

/** Each user's share of what an instance works on, whichever way requests come in. */
export class FairShare extends Context.Service<
  FairShare,
  {
    /** Works on a request when its user has a place for it; fails with `TooMuchAtOnce` when there is none for 25 seconds. */
    readonly within: <A, E, R>(userId: UserId, work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TooMuchAtOnce, R>
  }
>()("turnkeeper/domain/Places/FairShare") {}

/** A place may take long behind a database that hangs, and is not worth waiting for longer than most clients do. */
const inTime = Effect.timeoutOrElse({ duration: "25 seconds", orElse: () => Effect.fail(new TooMuchAtOnce()) })

/** Adapters that are given this layer share the places, as long as they are built together. */
export const fairShare: Layer.Layer<FairShare> = Layer.sync(FairShare, () => {
  const places = makePlaces(Number.POSITIVE_INFINITY, requestsAtOnce)
  return FairShare.of({
    within: (userId, work) => {
      const place = places.of(userId)
      return Effect.ensuring(
        Effect.suspend(() => (place.takeIfFree() ? work : Effect.andThen(inTime(place.take), work))),
        place.release
      )
    }
  })
})
