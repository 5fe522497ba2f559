import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import { exportJWK, type GenerateKeyPairResult, generateKeyPair, SignJWT } from "jose"

/** Who issues the tokens of the tests, and for whom. */
export const issuer = "https://issuer.example"
export const audience = "https://turnkeeper.example"

/** A pair of keys, and how it is published. */
export interface Key extends GenerateKeyPairResult {
  readonly kid: string
  readonly alg: string
}

/** Makes a pair of keys. */
export const makeKey = (kid: string, alg = "EdDSA"): Promise<Key> =>
  generateKeyPair(alg, { extractable: true }).then((pair) => ({ ...pair, kid, alg }))

/** Publishes public keys, or whatever else a key server may come to answer. */
export const startKeys = (...keys: ReadonlyArray<Key>) =>
  Effect.gen(function* () {
    let asked = 0
    let body = ""
    let status = 200
    const publish = (...published: ReadonlyArray<Key>) =>
      Effect.promise(async () => {
        const set = await Promise.all(
          published.map(async ({ alg, kid, publicKey }) => ({ ...(await exportJWK(publicKey)), alg, kid, use: "sig" }))
        )
        body = JSON.stringify({ keys: set })
      })
    yield* publish(...keys)
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((_, response) => {
          asked++
          response.writeHead(status, { "content-type": "application/json" }).end(body)
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    return {
      url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`),
      publish,
      asked: () => asked,
      answer: (newStatus: number, newBody = body) => {
        status = newStatus
        body = newBody
      }
    }
  })

// @effect-diagnostics-next-line globalDate:off -- the keys' ages go by the wall clock
export const nowMillis = () => Date.now()
export const nowSeconds = () => Math.floor(nowMillis() / 1000)

/** Claims, or fields of a header. */
export interface Claims {
  readonly [claim: string]: unknown
}

/** A token as the issuer makes it, but for what is said otherwise; a claim that is undefined is left out. */
export const sign = (key: Key, claims: Claims = {}, header: Claims = {}): Promise<string> =>
  new SignJWT({
    sub: "ada",
    name: "Ada",
    iss: issuer,
    aud: audience,
    exp: nowSeconds() + 900,
    ...claims
  })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
    .sign(key.privateKey)

/** A part of a token. */
export const encoded = (value: object | string) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
