import { Schema } from "effect"

/** The id of a user, as Better Auth makes them: 1 to 128 characters of `A-Z a-z 0-9 _ -`, not always a UUID. */
export const UserId = Schema.String.pipe(
  Schema.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,128}$/, { expected: "1 to 128 characters of A-Z a-z 0-9 _ -" })),
  Schema.brand("turnkeeper/UserId")
)
export type UserId = typeof UserId.Type

/** Who is talking: what a session tells of its user. */
export interface User {
  readonly id: UserId
  /** The name by which the agent addresses the user. */
  readonly name: string
}
