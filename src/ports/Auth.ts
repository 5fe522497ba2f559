import { Context, type Effect, type Redacted } from "effect"
import type { AuthUnavailable, InvalidToken } from "../domain/model/Errors.ts"
import type { User } from "../domain/model/User.ts"

/** Tells who a bearer token belongs to. */
export class Auth extends Context.Service<
  Auth,
  {
    /**
     * The user whose token this is.
     *
     * - fails with `InvalidToken` when the token is unknown, expired, revoked or malformed; an adapter must not tell
     *   these apart, and must not fail otherwise for any string
     * - fails with `AuthUnavailable` when nobody can tell at the moment: never let in, never refused as invalid
     */
    readonly authenticate: (token: Redacted.Redacted) => Effect.Effect<User, InvalidToken | AuthUnavailable>
  }
>()("turnkeeper/ports/Auth") {}
