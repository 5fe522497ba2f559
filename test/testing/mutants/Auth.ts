import { Effect, Layer, Redacted } from "effect"
import * as MemoryAuth from "../../../src/adapters/memory/MemoryAuth.ts"
import { AuthUnavailable, InvalidToken } from "../../../src/domain/model/Errors.ts"
import { type User, UserId } from "../../../src/domain/model/User.ts"
import { Auth } from "../../../src/ports/Auth.ts"
import type { Tokens } from "../../../src/testing/AuthObligations.ts"
import type { Mutant } from "./Mutant.ts"

const ada: User = { id: UserId.make("ada"), name: "Ada" }
const bob: User = { id: UserId.make("bob"), name: "Bob" }

export const tokens: Tokens = {
  users: [
    ["ada-token", ada],
    ["bob-token", bob]
  ],
  refused: ["late-token"]
}

export const right = MemoryAuth.layer(new Map(tokens.users))

const mutant = (
  name: string,
  breaks: ReadonlyArray<string>,
  breaking: (auth: Auth["Service"]) => Auth["Service"]
): Mutant<Auth> => ({
  name,
  breaks,
  layer: Layer.effect(Auth, Effect.map(Auth, breaking)).pipe(Layer.provide(right))
})

/** For each obligation at least one mutant that it catches. */
export const mutants: ReadonlyArray<Mutant<Auth>> = [
  mutant("knows everybody by one name", ["knows whose a token is"], ({ authenticate }) => ({
    authenticate: (token) => Effect.map(authenticate(token), (user) => ({ ...user, name: "User" }))
  })),
  mutant("takes a token that is over", ["refuses whatever else is sent, and all of it alike"], ({ authenticate }) => ({
    authenticate: (token) => (Redacted.value(token) === "late-token" ? Effect.succeed(ada) : authenticate(token))
  })),
  mutant("takes a token in capitals", ["refuses whatever else is sent, and all of it alike"], ({ authenticate }) => ({
    authenticate: (token) => authenticate(Redacted.make(Redacted.value(token).toLowerCase()))
  })),
  mutant("stumbles over odd bytes", ["refuses whatever else is sent, and all of it alike"], ({ authenticate }) => ({
    authenticate: (token) =>
      Redacted.value(token).includes("\0") ? Effect.die("invalid byte sequence") : authenticate(token)
  }))
]

const unavailable = new AuthUnavailable({ operation: "Auth.authenticate" })

export const rightOutOfReach = Layer.succeed(Auth, { authenticate: () => Effect.fail(unavailable) })

export const mutantsOutOfReach: ReadonlyArray<Mutant<Auth>> = [
  {
    name: "refuses whom it cannot look up",
    breaks: ["fails with AuthUnavailable while nobody can tell whose a token is"],
    layer: Layer.succeed(Auth, { authenticate: () => Effect.fail(new InvalidToken()) })
  },
  {
    name: "lets in whom it cannot look up",
    breaks: ["fails with AuthUnavailable while nobody can tell whose a token is"],
    layer: Layer.succeed(Auth, { authenticate: () => Effect.succeed(ada) })
  }
]
