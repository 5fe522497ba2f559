import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { betterAuth } from "better-auth"
import { getMigrations } from "better-auth/db/migration"
import { toNodeHandler } from "better-auth/node"
import { bearer, jwt } from "better-auth/plugins"
import { Effect, type Scope } from "effect"
import { Pool } from "pg"

/** What Better Auth gives to somebody who has signed up. */
export interface SignedUp {
  readonly id: string
  /** The session's token as it stands in the table. */
  readonly raw: string
  /** The same with its signature, as a client of the bearer plugin gets it. */
  readonly signed: string
  /** The signed token as it stands in the cookie. */
  readonly cookie: string
  readonly jwt: string
  readonly signOut: Effect.Effect<void>
}

/** A site that people sign in to by Better Auth. */
export interface Site {
  readonly url: string
  readonly secret: string
  /** What the service must be told to take its tokens. */
  readonly env: Record<string, string>
  readonly signUp: (name: string) => Effect.Effect<SignedUp>
}

/** Runs the real Better Auth, with its JWT plugin, on the database of this URL; it ends with the scope. */
export const startSite = (databaseUrl: string): Effect.Effect<Site, never, Scope.Scope> =>
  Effect.gen(function* () {
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => new Pool({ connectionString: databaseUrl, max: 2 })),
      (pool) => Effect.promise(() => pool.end())
    )
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const secret = "a secret that is long enough for anybody"
    const auth = betterAuth({
      database: pool,
      secret,
      baseURL: url,
      emailAndPassword: { enabled: true },
      plugins: [jwt(), bearer()],
      rateLimit: { enabled: false },
      telemetry: { enabled: false }
    })
    yield* Effect.promise(async () => (await getMigrations(auth.options)).runMigrations())
    server.on("request", toNodeHandler(auth))

    const call = async (method: string, path: string, headers: Record<string, string>, body?: object) => {
      const response = await fetch(`${url}/api/auth/${path}`, {
        method,
        headers: { "content-type": "application/json", origin: url, ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) })
      })
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
      return response
    }
    const signUp = async (name: string): Promise<SignedUp> => {
      const person = { name, email: `${name.toLowerCase()}@example.com`, password: "correct horse battery staple" }
      await call("POST", "sign-up/email", {}, person)
      const response = await call("POST", "sign-in/email", {}, person)
      const { token, user } = (await response.json()) as { token: string; user: { id: string } }
      const signed = response.headers.get("set-auth-token") ?? ""
      const cookie = /session_token=([^;]+)/.exec(response.headers.get("set-cookie") ?? "")?.[1] ?? ""
      const authorization = `Bearer ${signed}`
      const issued = (await (await call("GET", "token", { authorization })).json()) as { token: string }
      return {
        id: user.id,
        raw: token,
        signed,
        cookie,
        jwt: issued.token,
        signOut: Effect.promise(() => call("POST", "sign-out", { authorization }))
      }
    }
    return {
      url,
      secret,
      env: {
        DATABASE_URL: databaseUrl,
        BETTER_AUTH_SECRET: secret,
        JWKS_URL: `${url}/api/auth/jwks`,
        JWT_ISSUER: url,
        JWT_AUDIENCE: url
      },
      signUp: (name) => Effect.promise(() => signUp(name))
    }
  })
