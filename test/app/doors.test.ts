import { createHmac } from "node:crypto"
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { SqlClient, Statement } from "effect/sql"
import { SignJWT } from "jose"
import * as BetterAuth from "../../src/adapters/better-auth/BetterAuth.ts"
import { Api } from "../../src/adapters/http/Api.ts"
import * as PgDatabase from "../../src/adapters/postgres/PgDatabase.ts"
import { UserId } from "../../src/domain/model/User.ts"
import { ConversationRepo } from "../../src/ports/ConversationRepo.ts"
import { TaskTools } from "../../src/ports/TaskTools.ts"
import { type Adapters, appConfig, serveApp } from "../support/app.ts"
import { databaseOptions, freshDatabase } from "../support/database.ts"
import { type Building, type Owner, tryDoors } from "../support/doors.ts"
import { audience, encoded, issuer, makeKey, nowSeconds, sign, startKeys } from "../support/keys.ts"
import { initialize, send } from "../support/mcp.ts"
import { http } from "../support/service.ts"

const secret = "a secret that nobody knows"
const signed = (token: string) => `${token}.${createHmac("sha256", secret).update(token).digest("base64")}`

const key = await makeKey("key")
const stranger = await makeKey("key")

const bob = UserId.make("bob")

const withRepo =
  (change: (repo: ConversationRepo["Service"]) => ConversationRepo["Service"]) =>
  (adapters: Adapters): Adapters =>
    Layer.provideMerge(Layer.effect(ConversationRepo, Effect.map(ConversationRepo, change)), adapters)
const withTasks =
  (change: (tasks: TaskTools["Service"]) => TaskTools["Service"]) =>
  (adapters: Adapters): Adapters =>
    Layer.provideMerge(Layer.effect(TaskTools, Effect.map(TaskTools, change)), adapters)

/** An API whose one endpoint asks for no token. */
class Leaky extends HttpApi.make("leaky").add(
  HttpApiGroup.make("leaky").add(
    HttpApiEndpoint.get("tasks", "/api/v1/users/:user_id/tasks", {
      params: { user_id: Schema.String },
      success: Schema.Struct({ of: Schema.String })
    })
  )
) {}

/** The service as it is configured, on a database of its own; its ports are as `change` makes them. */
const open = Effect.fnUntraced(function* (change: (adapters: Adapters) => Adapters = (adapters) => adapters) {
  const url = yield* freshDatabase()
  const database = PgDatabase.layer(databaseOptions(url, 1))
  yield* Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* BetterAuth.createDemoSession
    for (const name of ["ada", "bob"]) {
      yield* sql`insert into "user" (id, name, email, "emailVerified") values (${name}, ${name}, ${name}, true)`
      for (const [token, left] of [
        [name, "1 hour"],
        [`${name}-expired`, "-1 second"],
        [`${name}-revoked`, "1 hour"]
      ] as const) {
        yield* sql`insert into session (id, token, "userId", "expiresAt")
          values (${token}, ${token}, ${name}, now() + ${left}::interval)`
      }
    }
    yield* sql`delete from session where token = 'ada-revoked'`
  }).pipe(Effect.provide(database))
  const keys = yield* startKeys(key)
  const config = appConfig(url, {
    auth: {
      names: BetterAuth.defaultNames,
      secret: Option.some(Redacted.make(secret)),
      requireSigned: false,
      sessions: true,
      jwt: Option.some({ jwksUrl: keys.url, issuer, audience })
    }
  })
  let asked: Array<string> = []
  const base = yield* serveApp(config, change).pipe(
    Effect.provideService(Statement.CurrentTransformer, (statement) =>
      Effect.sync(() => {
        asked.push(statement.compile()[0])
        return statement
      })
    )
  )
  // Tasks are counted by user: those of one must have other numbers than those of the other.
  yield* Effect.provide(
    Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql`insert into user_counters (user_id, next_task_id) values ('bob', 1000)`
    ),
    database
  )

  const owner = (id: string, token: string): Owner => ({
    id,
    token,
    belongings: Effect.gen(function* () {
      const task = yield* http("POST", `${base}/api/v1/users/${id}/tasks`, token, { title: `A task of ${id}'s` })
      const turn = yield* http("POST", `${base}/api/v1/users/${id}/chat`, token, { message: "Hello" })
      return {
        conversation_id: turn.json.conversation_id,
        chat_id: turn.json.conversation_id,
        task_id: String(task.json.id),
        turn_id: turn.json.turn_id
      }
    })
  })
  const jwt = yield* Effect.promise(() => sign(key, { sub: "ada" }))
  const [header = "", payload = "", signature = ""] = jwt.split(".")
  const building: Building = {
    url: base,
    ada: owner("ada", signed("ada")),
    bob: owner("bob", yield* Effect.promise(() => sign(key, { sub: "bob" }))),
    wrongTokens: {
      "no token": undefined,
      "an empty token": "",
      "an unknown session": "nobody",
      "an expired session": "ada-expired",
      "a revoked session": "ada-revoked",
      "a session under another's signature": `ada.${signed("bob").split(".")[1]}`,
      "a session that was tampered with": signed("ada").replace("ada.", "bob."),
      "an expired JWT": yield* Effect.promise(() => sign(key, { sub: "ada", exp: nowSeconds() - 3600 })),
      "a JWT that was tampered with": `${header}.${encoded({ sub: "ada", iss: issuer, aud: audience, exp: nowSeconds() + 99 })}.${signature}`,
      "a JWT by a stranger's key": yield* Effect.promise(() => sign(stranger, { sub: "ada" })),
      "a JWT by another algorithm": yield* Effect.promise(() =>
        new SignJWT({ sub: "ada", iss: issuer, aud: audience, exp: nowSeconds() + 99 })
          .setProtectedHeader({ alg: "HS256", kid: "key" })
          .sign(new TextEncoder().encode(secret.padEnd(32, "x")))
      ),
      "a JWT by none": `${encoded({ alg: "none" })}.${payload}.`
    },
    statements: () => {
      const all = asked
      asked = []
      return all.filter((text) => !askedAnyhow.test(text))
    }
  }
  return building
})

/** What is asked every few seconds whoever comes: whose a token is, and what an instance does for its turns. */
const askedAnyhow = /"session"|\bturns_(?:renew|abandoned|settled|hand_back)\b|^\s*delete from/

describe("every door", () => {
  it.live(
    "opens to its owner alone, whatever is tried",
    () =>
      Effect.gen(function* () {
        const building = yield* open()
        const { breaches, operations, requests } = yield* tryDoors(Api, building)
        assert.deepStrictEqual(breaches, [])
        assert.isAtLeast(operations, 13)
        assert.isAtLeast(requests, operations * 50)
        process.stdout.write(`${operations} operations, ${requests} requests\n`)
      }).pipe(Effect.scoped),
    120_000
  )

  it.live(
    "of the Model Context Protocol opens to a good token, and a session to its owner",
    () =>
      Effect.gen(function* () {
        const { ada, bob, statements, url, wrongTokens } = yield* open()
        const call = {
          jsonrpc: "2.0",
          id: 1,
          method: "tools/call",
          params: { name: "add_task", arguments: { title: "Milk", user_id: "bob" } }
        }
        const session = (yield* send(`${url}/mcp`, ada.token, initialize())).headers["mcp-session-id"] ?? ""
        const ask = (token: string | undefined, id = session) =>
          Effect.map(
            send(`${url}/mcp`, token, call, { "mcp-session-id": id }),
            ({ status, text }) => `${status} ${text}`
          )
        statements()
        for (const [wrong, token] of Object.entries(wrongTokens)) assert.match(yield* ask(token), /^401 /, wrong)
        const foreign = yield* ask(bob.token)
        assert.match(foreign, /^404 /)
        assert.strictEqual(yield* ask(bob.token, "none"), foreign)
        assert.deepStrictEqual(statements(), [])
        assert.match(yield* ask(ada.token), /^200 .*Milk/)
        const tasks = (owner: Owner) => http("GET", `${url}/api/v1/users/${owner.id}/tasks`, owner.token)
        assert.deepStrictEqual([(yield* tasks(ada)).json.data.length, (yield* tasks(bob)).json.data.length], [1, 0])
      }).pipe(Effect.scoped),
    120_000
  )

  /** What is wrong on purpose, and the operation at which it must be found. */
  const bugs: Readonly<Record<string, readonly [where: string, change: (adapters: Adapters) => Adapters]>> = {
    "a conversation by its id alone": [
      "GET /api/v1/users/:user_id/conversations/:conversation_id:",
      withRepo((repo) => ({
        ...repo,
        get: (user, id) => Effect.catchTag(repo.get(user, id), "ConversationNotFound", () => repo.get(bob, id))
      }))
    ],
    "messages of whoever": [
      "GET /api/v1/users/:user_id/conversations/:conversation_id/messages:",
      withRepo((repo) => ({
        ...repo,
        messages: (user, id, query) =>
          Effect.catchTag(repo.messages(user, id, query), "ConversationNotFound", () => repo.messages(bob, id, query))
      }))
    ],
    "a turn in whoever's conversation": [
      "POST /api/v1/users/:user_id/chat:",
      withRepo((repo) => ({
        ...repo,
        begin: (request, policy) =>
          repo.begin(request, policy).pipe(
            Effect.filterOrElse(
              (outcome) => outcome._tag !== "NotFound",
              () => repo.begin({ ...request, userId: bob }, policy)
            )
          )
      }))
    ],
    "a chat of whoever": [
      "GET /api/v1/users/:user_id/chat/ui/:chat_id/messages:",
      withRepo((repo) => ({
        ...repo,
        messages: (user, id, query) =>
          Effect.catchTag(repo.messages(user, id, query), "ConversationNotFound", () => repo.messages(bob, id, query))
      }))
    ],
    "a message into whoever's chat": [
      "POST /api/v1/users/:user_id/chat/ui:",
      withRepo((repo) => ({
        ...repo,
        begin: (request, policy) =>
          request.startIfAbsent === true && request.userId !== bob
            ? repo.begin({ ...request, userId: bob }, policy)
            : repo.begin(request, policy)
      }))
    ],
    "a task is removed by its number alone": [
      "DELETE /api/v1/users/:user_id/tasks/:task_id:",
      withTasks((tasks) => ({
        ...tasks,
        remove: (user, id) => Effect.catchTag(tasks.remove(user, id), "TaskNotFound", () => tasks.remove(bob, id))
      }))
    ],
    "one more statement where there is something of somebody else's": [
      "GET /api/v1/users/:user_id/tasks/:task_id:",
      withTasks((tasks) => ({
        ...tasks,
        get: (user, id) =>
          Effect.catchTag(tasks.get(user, id), "TaskNotFound", (error) =>
            Effect.andThen(
              id >= 1000 && id < 2000 ? Effect.ignore(tasks.get(bob, id)) : Effect.void,
              Effect.fail(error)
            )
          )
      }))
    ]
  }
  it.live.each(Object.entries(bugs))(
    "is seen to be open: %s",
    ([, [where, change]]) =>
      Effect.gen(function* () {
        const { breaches } = yield* tryDoors(Api, yield* open(change))
        assert.isNotEmpty(breaches)
        assert.isTrue(
          breaches.some((breach) => breach.startsWith(where)),
          breaches.join("\n")
        )
      }).pipe(Effect.scoped),
    120_000
  )

  it.live(
    "is seen to be open: an endpoint without its middleware",
    () =>
      Effect.gen(function* () {
        const building = yield* open()
        const server = yield* Layer.build(
          HttpRouter.serve(
            Layer.provide(
              HttpApiBuilder.layer(Leaky),
              HttpApiBuilder.group(Leaky, "leaky", (handlers) =>
                handlers.handleAll({ tasks: ({ params }) => Effect.succeed({ of: params.user_id }) })
              )
            ),
            { disableLogger: true, disableListenLog: true }
          ).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })))
        )
        const { address } = Context.get(server, HttpServer.HttpServer)
        const { breaches } = yield* tryDoors(Leaky, { ...building, url: HttpServer.formatAddress(address) })
        assert.include(breaches.join("\n"), "GET /api/v1/users/:user_id/tasks: no token: 200")
      }).pipe(Effect.scoped),
    120_000
  )
})
