import * as MemoryAuth from "../../../src/adapters/memory/MemoryAuth.ts"
import { type User, UserId } from "../../../src/domain/model/User.ts"
import * as AuthContract from "../../../src/testing/AuthContract.ts"

const ada: User = { id: UserId.make("ada"), name: "Ada" }
const bob: User = { id: UserId.make("bob"), name: "Bob" }

AuthContract.suite(
  "memory",
  MemoryAuth.layer(
    new Map([
      ["ada-token", ada],
      ["bob-token", bob]
    ])
  ),
  {
    users: [
      ["ada-token", ada],
      ["bob-token", bob]
    ]
  }
)
