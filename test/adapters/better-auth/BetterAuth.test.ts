import { createHmac } from "node:crypto"
import { PgClient } from "@effect/sql-pg"
import { assert, it, layer } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Option, Redacted, String } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as BetterAuth from "../../../src/adapters/better-auth/BetterAuth.ts"
import * as PgDatabase from "../../../src/adapters/postgres/PgDatabase.ts"
import { type User, UserId } from "../../../src/domain/model/User.ts"
import { Auth } from "../../../src/ports/Auth.ts"
import * as AuthContract from "../../../src/testing/AuthContract.ts"
import { databaseOptions, freshDatabase, postgres } from "../../support/database.ts"

const hex = /^[0-9a-f]{32}$/

const secret = "a secret that only the tests know"
const signature = (token: string, key = secret) => createHmac("sha256", key).update(token).digest("base64")

const ada: User = { id: UserId.make("550e8400-e29b-41d4-a716-446655440000"), name: "Ada" }
const bob: User = { id: UserId.make("Bob_1-x"), name: "Bob" }

const addUser = Effect.fnUntraced(function* (id: string, name: string, token: string, expires: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`insert into "user" (id, name, email, "emailVerified") values (${id}, ${name}, ${`${id}@example.com`}, true)`
  yield* sql`insert into session (id, token, "userId", "expiresAt")
    values (${token}, ${token}, ${id}, now() + ${expires}::interval)`
})

const database = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* BetterAuth.createDemoSession
    yield* addUser(ada.id, ada.name, "ada-token", "1 hour")
    yield* addUser(bob.id, bob.name, "bob-token", "1 hour")
    yield* addUser("late", "Late", "late-token", "-1 second")
    yield* addUser("no such id!", "Odd", "odd-token", "1 hour")
  })
).pipe(Layer.provideMerge(postgres()))

const options: BetterAuth.Options = {
  names: BetterAuth.defaultNames,
  secret: Option.none(),
  requireSigned: false
}
const signing: BetterAuth.Options = { ...options, secret: Option.some(Redacted.make(secret)) }
const auth = (options: BetterAuth.Options) => BetterAuth.layer(options).pipe(Layer.provide(database))

AuthContract.suite("Better Auth, raw tokens", auth(options), {
  users: [
    ["ada-token", ada],
    ["bob-token", bob]
  ],
  refused: ["late-token", "odd-token"],
  unreachable: BetterAuth.layer(options).pipe(
    Layer.provide(PgDatabase.layer(databaseOptions("postgres://postgres@127.0.0.1:1/x")))
  )
})
AuthContract.suite("Better Auth, signed tokens", auth({ ...signing, requireSigned: true }), {
  users: [
    [`ada-token.${signature("ada-token")}`, ada],
    [`bob-token.${encodeURIComponent(signature("bob-token"))}`, bob]
  ],
  refused: ["ada-token", `late-token.${signature("late-token")}`, `ada-token.${signature("bob-token")}`]
})

/** A client by which an application has columns renamed both ways for its own statements. */
const renaming = Layer.unwrap(
  Effect.map(PgClient.PgClient, ({ config }) =>
    PgClient.layer({
      ...config,
      transformQueryNames: String.camelToSnake,
      transformResultNames: String.toUpperCase
    })
  )
).pipe(Layer.provide(database))
AuthContract.suite("Better Auth, columns renamed", BetterAuth.layer(options).pipe(Layer.provide(renaming)), {
  users: [
    ["ada-token", ada],
    ["bob-token", bob]
  ],
  refused: ["late-token", "odd-token"]
})

const authenticate = Effect.fnUntraced(function* (options: BetterAuth.Options, token: string) {
  const result = yield* Effect.result(
    Effect.provide(
      Effect.flatMap(Auth, (auth) => auth.authenticate(Redacted.make(token))),
      BetterAuth.layer(options)
    )
  )
  return result._tag === "Success" ? result.success.id : result.failure._tag
})

it.effect("signs out within three seconds, and looks a token up once in them", () =>
  Effect.gen(function* () {
    const { authenticate } = yield* Auth
    const sql = yield* SqlClient.SqlClient
    const token = Redacted.make("ada-token")
    assert.deepStrictEqual(yield* authenticate(token), ada)
    yield* sql`delete from session where token = 'ada-token'`
    yield* TestClock.adjust("2999 millis")
    assert.deepStrictEqual(yield* authenticate(token), ada)
    yield* TestClock.adjust("1 millis")
    assert.strictEqual((yield* Effect.flip(authenticate(token)))._tag, "InvalidToken")
    // Who signs in again is let in at once.
    yield* sql`insert into session (id, token, "userId", "expiresAt")
      values ('again', 'ada-token', ${ada.id}, now() + interval '1 hour')`
    assert.deepStrictEqual(yield* authenticate(token), ada)
  }).pipe(Effect.provide(BetterAuth.layer(options).pipe(Layer.provideMerge(database))))
)

layer(renaming, { excludeTestServices: true, timeout: "60 seconds" })("BetterAuth, columns renamed", (it) => {
  it.effect("knows its tables, and the demo's session", () =>
    Effect.gen(function* () {
      yield* BetterAuth.requireTables(BetterAuth.defaultNames)
      const { token } = yield* BetterAuth.createDemoSession
      assert.strictEqual(yield* authenticate(options, token), "demo")
    })
  )
})

layer(database, { excludeTestServices: true, timeout: "60 seconds" })("BetterAuth", (it) => {
  it.effect("refuses a session that has expired, and a user whom the service cannot name", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* authenticate(options, "late-token"), "InvalidToken")
      assert.strictEqual(yield* authenticate(options, "odd-token"), "InvalidToken")
    })
  )

  it.effect("takes a signed token for its raw form when it does not know the secret", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* authenticate(options, `ada-token.${signature("ada-token")}`), ada.id)
    })
  )

  it.effect("checks signatures when it knows the secret", () =>
    Effect.gen(function* () {
      const wrong = [
        `ada-token.${signature("ada-token", "another secret")}`,
        `ada-token.${signature("bob-token")}`,
        "ada-token.",
        "ada-token.AAAA",
        `.${signature("")}`
      ]
      for (const token of wrong) assert.strictEqual(yield* authenticate(signing, token), "InvalidToken", token)
      assert.strictEqual(yield* authenticate(signing, `ada-token.${signature("ada-token")}`), ada.id)
      assert.strictEqual(yield* authenticate(signing, "ada-token"), ada.id)
      assert.strictEqual(yield* authenticate({ ...signing, requireSigned: true }, "ada-token"), "InvalidToken")
    })
  )

  it.effect("lets nobody in, and refuses nobody, when the database is out of reach", () =>
    Effect.gen(function* () {
      const nowhere = PgClient.layer({ url: Redacted.make("postgres://x@127.0.0.1:1/x") })
      const error = yield* Effect.flatMap(Auth, (auth) => auth.authenticate(Redacted.make("ada-token"))).pipe(
        Effect.provide(BetterAuth.layer(options).pipe(Layer.provide(nowhere))),
        Effect.flip
      )
      assert.strictEqual(error._tag, "AuthUnavailable")
    })
  )

  it.effect("makes a demo session once, with a token that cannot be guessed", () =>
    Effect.gen(function* () {
      const first = yield* BetterAuth.createDemoSession
      assert.match(first.token, hex)
      assert.deepStrictEqual(yield* BetterAuth.createDemoSession, first)
      assert.strictEqual(yield* authenticate(options, first.token), first.userId)
    })
  )

  it.effect("works with tables of other names, and misses those that are not there", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const names: BetterAuth.Names = {
        ...BetterAuth.defaultNames,
        session: "auth.user session",
        "session.userId": "user_id",
        "session.expiresAt": "expires_at",
        user: "auth.people"
      }
      const missing = yield* Effect.flip(BetterAuth.requireTables(names))
      assert(missing._tag === "AuthTablesMissing")
      assert.deepStrictEqual(missing.tables, [names.session, names.user])
      yield* sql`create schema auth`
      yield* sql`create table auth.people (id text, name text)`
      yield* sql`create table auth."user session" (token text, user_id text, expires_at timestamptz)`
      yield* sql`insert into auth.people values ('cid', 'Cid')`
      yield* sql`insert into auth."user session" values ('cid-token', 'cid', now() + interval '1 hour')`
      yield* BetterAuth.requireTables(names)
      assert.strictEqual(yield* authenticate({ ...options, names }, "cid-token"), "cid")
      yield* BetterAuth.requireTables(BetterAuth.defaultNames)
    })
  )

  it.effect("misses the tables in a database without Better Auth", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase()
      const error = yield* BetterAuth.requireTables(BetterAuth.defaultNames).pipe(
        Effect.provide(PgClient.layer({ url: databaseOptions(url).url })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "AuthTablesMissing")
    })
  )

  it.effect("are looked up by what the application is configured with", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const userOf = (token: string, environment: Record<string, string>) =>
        Effect.flatMap(Auth, (auth) => auth.authenticate(Redacted.make(token))).pipe(
          Effect.provide(
            BetterAuth.layerConfig({
              names: Config.succeed(BetterAuth.defaultNames),
              secret: Config.option(Config.Redacted("SECRET")),
              requireSigned: Config.Boolean("SIGNED")
            })
          ),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(environment)),
          Effect.provideService(SqlClient.SqlClient, sql)
        )
      const signed = `bob-token.${signature("bob-token")}`
      assert.deepStrictEqual(yield* userOf(signed, { SECRET: secret, SIGNED: "true" }), bob)
      const refused = yield* Effect.flip(userOf(signed, { SECRET: "another", SIGNED: "true" }))
      assert.strictEqual(refused._tag, "InvalidToken")
      const missing = yield* Effect.flip(userOf(signed, { SECRET: secret }))
      assert.strictEqual(missing._tag, "ConfigError")
    })
  )
})
