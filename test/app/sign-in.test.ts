import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freshDatabase } from "../support/database.ts"
import { http, start, startInVain } from "../support/service.ts"
import { startSite } from "../support/site.ts"

const statusOf = (instance: { readonly url: string }, userId: string, token: string) =>
  Effect.map(http("GET", `${instance.url}/api/v1/users/${userId}/tasks`, token), (answer) => answer.status)

describe("what the real Better Auth gives out", () => {
  it.live(
    "opens its user's path in every form, and nobody else's, until it is signed out",
    () =>
      Effect.gen(function* () {
        const site = yield* startSite(yield* freshDatabase())
        const [ada, bob] = yield* Effect.all([site.signUp("Ada"), site.signUp("Bob")])
        const instance = yield* start(site.env)
        const tokens = [ada.raw, ada.signed, ada.cookie, ada.jwt]
        assert.strictEqual(new Set(tokens).size, 4)
        for (const token of tokens) {
          assert.strictEqual(yield* statusOf(instance, ada.id, token), 200)
          assert.strictEqual(yield* statusOf(instance, bob.id, token), 403)
        }
        const forged = `${ada.raw}.${bob.signed.split(".")[1]}`
        assert.strictEqual(yield* statusOf(instance, ada.id, forged), 401)

        yield* ada.signOut
        // Within five seconds, of which this sees no more than that they end.
        for (const token of [ada.raw, ada.signed, ada.cookie]) {
          while ((yield* statusOf(instance, ada.id, token)) !== 401) yield* Effect.sleep("100 millis")
        }
        assert.strictEqual(yield* statusOf(instance, bob.id, bob.raw), 200)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "is taken signed alone where that is required",
    () =>
      Effect.gen(function* () {
        const site = yield* startSite(yield* freshDatabase())
        const ada = yield* site.signUp("Ada")
        const instance = yield* start({ ...site.env, REQUIRE_SIGNED_TOKENS: "on" })
        assert.strictEqual(yield* statusOf(instance, ada.id, ada.raw), 401)
        for (const token of [ada.signed, ada.cookie, ada.jwt]) {
          assert.strictEqual(yield* statusOf(instance, ada.id, token), 200)
        }
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "is taken as a JWT alone where sessions are off, with its tables or without",
    () =>
      Effect.gen(function* () {
        const site = yield* startSite(yield* freshDatabase())
        const ada = yield* site.signUp("Ada")
        const elsewhere = { ...site.env, DATABASE_URL: yield* freshDatabase() }
        const refused = yield* startInVain(elsewhere)
        assert.strictEqual(refused.code, 1)
        assert.include(refused.output, "SESSIONS=off")
        for (const env of [elsewhere, site.env]) {
          const instance = yield* start({ ...env, SESSIONS: "off" })
          assert.strictEqual(yield* statusOf(instance, ada.id, ada.jwt), 200)
          for (const token of [ada.raw, ada.signed]) assert.strictEqual(yield* statusOf(instance, ada.id, token), 401)
        }
        // Embedded there is no demo user then: its token would be good for nothing.
        const embedded = yield* start({ ...site.env, DATABASE_URL: "", SESSIONS: "off" })
        assert.strictEqual(yield* statusOf(embedded, ada.id, ada.jwt), 200)
        assert.notInclude(embedded.output(), "token")
      }).pipe(Effect.scoped),
    60_000
  )
})
