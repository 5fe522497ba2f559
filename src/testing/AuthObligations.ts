import assert from "node:assert/strict"
import { Effect, Redacted } from "effect"
import { InvalidToken } from "../domain/model/Errors.ts"
import type { User } from "../domain/model/User.ts"
import { Auth } from "../ports/Auth.ts"
import * as Expect from "./Expect.ts"
import { type Obligation, obligationsOf } from "./Obligation.ts"

/** Strings that no adapter may take for a token, nor stumble over. */
const nonsense = [
  "",
  " ",
  "unknown",
  "\0",
  "\ud800",
  "\u{1f600}",
  "a b",
  "'; drop table session; --",
  "%",
  "%00",
  "%zz",
  ".",
  "..",
  "a.b.c",
  "x".repeat(100_000)
]

const obligation = obligationsOf("Auth")

/** Tokens that an adapter is tried with. */
export interface Tokens {
  /** Two that are good, and whose they are. */
  readonly users: readonly [readonly [token: string, user: User], readonly [token: string, user: User]]
  /** Others that are not, though they look as if they were: expired, revoked, forged. */
  readonly refused?: ReadonlyArray<string>
}

/** What every adapter of `Auth` must do. */
export const obligations = ({ refused = [], users }: Tokens): ReadonlyArray<Obligation<Auth>> => [
  obligation(
    "knows whose a token is",
    Effect.gen(function* () {
      const auth = yield* Auth
      for (const [token, user] of users) {
        assert.deepStrictEqual(yield* auth.authenticate(Redacted.make(token)), user)
      }
    })
  ),

  obligation(
    "refuses whatever else is sent, and all of it alike",
    Effect.gen(function* () {
      const auth = yield* Auth
      const [[token]] = users
      const near = [token.slice(0, -1), `${token}x`, token.toUpperCase(), ` ${token}`, `${token}\0`]
      for (const sent of [...nonsense, ...near, ...refused]) {
        const error = yield* Expect.failureOf(auth.authenticate(Redacted.make(sent)))
        assert.deepStrictEqual(error, new InvalidToken(), JSON.stringify(sent.slice(0, 50)))
      }
    })
  )
]

/** What every adapter must do when nobody can tell whose tokens are, given one that is good. */
export const outOfReach = (token: string): ReadonlyArray<Obligation<Auth>> => [
  obligation(
    "fails with AuthUnavailable while nobody can tell whose a token is",
    Effect.gen(function* () {
      const auth = yield* Auth
      const error = yield* Expect.failureOf(auth.authenticate(Redacted.make(token)))
      assert.strictEqual(error._tag, "AuthUnavailable")
    })
  )
]
