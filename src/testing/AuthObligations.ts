import assert from "node:assert/strict"
import { Effect, Redacted } from "effect"
import type { User } from "../domain/model/User.ts"
import { Auth } from "../ports/Auth.ts"
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

/** Two tokens that are good, and whose they are. */
export type Users = readonly [readonly [token: string, user: User], readonly [token: string, user: User]]

/** What every adapter of `Auth` must do, given two tokens and whose they are. */
export const obligations = (tokens: Users): ReadonlyArray<Obligation<Auth>> => [
  obligation(
    "knows whose a token is",
    Effect.gen(function* () {
      const auth = yield* Auth
      for (const [token, user] of tokens) {
        assert.deepStrictEqual(yield* auth.authenticate(Redacted.make(token)), user)
      }
    })
  ),

  obligation(
    "refuses whatever else is sent, and all of it alike",
    Effect.gen(function* () {
      const auth = yield* Auth
      const [[token]] = tokens
      const near = [token.slice(0, -1), `${token}x`, token.toUpperCase(), ` ${token}`, `${token}\0`]
      for (const sent of [...nonsense, ...near]) {
        const error = yield* Effect.flip(auth.authenticate(Redacted.make(sent)))
        assert.strictEqual(error._tag, "InvalidToken", JSON.stringify(sent.slice(0, 50)))
      }
    })
  )
]
