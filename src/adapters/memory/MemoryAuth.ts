import { Effect, Layer, Redacted } from "effect"
import { InvalidToken } from "../../domain/model/Errors.ts"
import type { User } from "../../domain/model/User.ts"
import { Auth } from "../../ports/Auth.ts"

/** `Auth` over a fixed table: each token and its user. */
export const layer = (users: ReadonlyMap<string, User>): Layer.Layer<Auth> =>
  Layer.succeed(Auth, {
    authenticate: (token) => {
      const user = users.get(Redacted.value(token))
      return user === undefined ? Effect.fail(new InvalidToken()) : Effect.succeed(user)
    }
  })
