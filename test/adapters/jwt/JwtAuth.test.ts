import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Redacted, type Scope } from "effect"
import { exportJWK, exportSPKI, SignJWT } from "jose"
import { afterEach, vi } from "vitest"
import * as JwtAuth from "../../../src/adapters/jwt/JwtAuth.ts"
import { UserId } from "../../../src/domain/model/User.ts"
import { Auth } from "../../../src/ports/Auth.ts"
import * as AuthContract from "../../../src/testing/AuthContract.ts"
import {
  audience,
  type Claims,
  encoded,
  issuer,
  makeKey,
  nowMillis,
  nowSeconds,
  sign,
  startKeys
} from "../../support/keys.ts"

const tagOf = Effect.fnUntraced(function* (auth: Auth["Service"], token: string) {
  const result = yield* Effect.result(auth.authenticate(Redacted.make(token)))
  return result._tag === "Success" ? result.success.id : result.failure._tag
})

const key = await makeKey("first")
const other = await makeKey("first") // another pair under the same name
const rsa = await makeKey("rsa", "RS256")

const authOf = (
  keys: { readonly url: URL },
  more: Partial<JwtAuth.Options> = {}
): Effect.Effect<Auth["Service"], never, Scope.Scope> => JwtAuth.make({ jwksUrl: keys.url, issuer, audience, ...more })

AuthContract.suite(
  "JWTs",
  Layer.unwrap(
    Effect.gen(function* () {
      const keys = yield* startKeys(key, rsa)
      return JwtAuth.layer({ jwksUrl: keys.url, issuer, audience })
    })
  ),
  {
    users: [
      [await sign(key), { id: UserId.make("ada"), name: "Ada" }],
      [await sign(rsa, { sub: "Bob_1-x", name: undefined }), { id: UserId.make("Bob_1-x"), name: "" }]
    ],
    refused: [await sign(other), await sign(key, { exp: nowSeconds() - 3600 })],
    unreachable: JwtAuth.layer({ jwksUrl: new URL("http://127.0.0.1:1/jwks"), issuer, audience })
  }
)

describe("JWTs", () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it.live("are taken as long as they are good, by half a minute of difference between the clocks", () =>
    Effect.gen(function* () {
      const auth = yield* authOf(yield* startKeys(key))
      const now = nowSeconds()
      for (const claims of [
        { exp: now - 20 },
        { nbf: now + 20 },
        { aud: ["https://other.example", audience] },
        { name: 7 }
      ]) {
        assert.strictEqual(yield* tagOf(auth, yield* Effect.promise(() => sign(key, claims))), "ada")
      }
    }).pipe(Effect.scoped)
  )

  it.live("are refused when anything about them is wrong, and nobody is asked for keys in vain", () =>
    Effect.gen(function* () {
      const keys = yield* startKeys(key, rsa)
      const auth = yield* authOf(keys, { algorithms: ["EdDSA"] })
      const now = nowSeconds()
      const wrong: Record<string, Claims> = {
        expired: { exp: now - 60 },
        "not yet good": { nbf: now + 60 },
        "another issuer": { iss: "https://evil.example" },
        "no issuer": { iss: undefined },
        "another audience": { aud: "https://other.example" },
        "no audience": { aud: undefined },
        "no end": { exp: undefined },
        "an end that is no number": { exp: "tomorrow" },
        "no user": { sub: undefined },
        "a user that cannot be": { sub: "../admin" },
        "a user that is a list": { sub: ["ada"] }
      }
      for (const [what, claims] of Object.entries(wrong)) {
        assert.strictEqual(yield* tagOf(auth, yield* Effect.promise(() => sign(key, claims))), "InvalidToken", what)
      }

      const good = yield* Effect.promise(() => sign(key))
      const [header = "", payload = "", signature = ""] = good.split(".")
      const claims = JSON.parse(Buffer.from(payload, "base64url").toString())
      const spki = yield* Effect.promise(() => exportSPKI(key.publicKey))
      const jwk = yield* Effect.promise(() => exportJWK(other.publicKey))
      const hmac = (secret: string) =>
        new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: key.kid }).sign(new TextEncoder().encode(secret))
      const forged: Record<string, string> = {
        "alg none": `${encoded({ alg: "none" })}.${payload}.`,
        "alg none, with a signature": `${encoded({ alg: "none", kid: key.kid })}.${payload}.${signature}`,
        "alg nOnE": `${encoded({ alg: "nOnE", kid: key.kid })}.${payload}.`,
        "no alg": `${encoded({ kid: key.kid })}.${payload}.${signature}`,
        "another user": `${header}.${encoded({ ...claims, sub: "eve" })}.${signature}`,
        "no signature": `${header}.${payload}.`,
        "a header that is no JSON": `${encoded("x")}.${payload}.${signature}`,
        "a payload that is no JSON": `${header}.${encoded("x")}.${signature}`,
        "the public key as a secret": yield* Effect.promise(() => hmac(spki)),
        "an algorithm that is not allowed": yield* Effect.promise(() => sign(rsa)),
        "another key of the same name": yield* Effect.promise(() => sign(other)),
        "a key that it brings": yield* Effect.promise(() => sign(other, {}, { jwk })),
        "a key from elsewhere": yield* Effect.promise(() => sign(other, {}, { jku: "https://evil.example/jwks" })),
        "an extension that must be understood": yield* Effect.promise(() =>
          sign(key, {}, { crit: ["x"], x: 1 }).catch(
            () => `${encoded({ alg: "EdDSA", crit: ["x"] })}.${payload}.${signature}`
          )
        ),
        "a token without an end": `${good}${"A".repeat(10_000)}`
      }
      for (const [what, token] of Object.entries(forged)) {
        assert.strictEqual(yield* tagOf(auth, token), "InvalidToken", what)
      }
      assert.strictEqual(yield* tagOf(auth, good), "ada")
      assert.strictEqual(keys.asked(), 1)
    }).pipe(Effect.scoped)
  )

  it.live(
    "of a new key are taken within five seconds, and those of a key that was withdrawn no more after ten minutes",
    () =>
      Effect.gen(function* () {
        const keys = yield* startKeys(key)
        const auth = yield* authOf(keys)
        const old = yield* Effect.promise(() => sign(key, { exp: nowSeconds() + 3600 }))
        const second = yield* Effect.promise(() => makeKey("second"))
        const fresh = yield* Effect.promise(() => sign(second, { exp: nowSeconds() + 3600 }))
        assert.strictEqual(yield* tagOf(auth, old), "ada")
        yield* keys.publish(second)
        // Whoever makes up names of keys does not make us ask for each.
        assert.strictEqual(yield* tagOf(auth, fresh), "InvalidToken")
        assert.strictEqual(keys.asked(), 1)
        vi.useFakeTimers({ toFake: ["Date"], now: nowMillis() + 5000 })
        assert.strictEqual(yield* tagOf(auth, fresh), "ada")
        assert.strictEqual(keys.asked(), 2)
        assert.strictEqual(yield* tagOf(auth, old), "InvalidToken")
      }).pipe(Effect.scoped)
  )

  it.live("that name no key are tried with each that fits", () =>
    Effect.gen(function* () {
      const second = yield* Effect.promise(() => makeKey("second"))
      const third = yield* Effect.promise(() => makeKey("third"))
      const auth = yield* authOf(yield* startKeys(key, second))
      const unnamed = (pair: typeof key) => Effect.promise(() => sign(pair, {}, { kid: undefined }))
      assert.strictEqual(yield* tagOf(auth, yield* unnamed(key)), "ada")
      assert.strictEqual(yield* tagOf(auth, yield* unnamed(second)), "ada")
      assert.strictEqual(yield* tagOf(auth, yield* unnamed(third)), "InvalidToken")
    }).pipe(Effect.scoped)
  )

  it.live.each([
    [500, ""],
    [200, "<html>"],
    [200, '{"keys":7}'],
    [200, '{"keys":[1]}']
  ] as const)(
    "that make names of keys up do not have a server asked again and again that is down: %s %s",
    ([status, body]) =>
      Effect.gen(function* () {
        const keys = yield* startKeys(key)
        keys.answer(status, body)
        const auth = yield* authOf(keys)
        for (let i = 0; i < 20; i++) {
          const token = yield* Effect.promise(() => sign({ ...other, kid: `made up ${i}` }))
          assert.strictEqual(yield* tagOf(auth, token), "AuthUnavailable")
        }
        assert.strictEqual(keys.asked(), 1)
      }).pipe(Effect.scoped)
  )

  it.live("cannot be told while the keys are out of reach, unless they are known", () =>
    Effect.gen(function* () {
      const keys = yield* startKeys(key)
      const token = yield* Effect.promise(() => sign(key, { exp: nowSeconds() + 3600 }))
      const known = yield* authOf(keys)
      assert.strictEqual(yield* tagOf(known, token), "ada")
      for (const [status, body] of [
        [500, undefined],
        [302, undefined],
        [200, "<html>"],
        [200, "{}"],
        [200, '{"keys":7}']
      ] as const) {
        keys.answer(status, body)
        assert.strictEqual(yield* tagOf(yield* authOf(keys), token), "AuthUnavailable", `${status} ${body}`)
      }
      const nowhere = yield* authOf({ url: new URL("http://127.0.0.1:1/jwks") })
      assert.strictEqual(yield* tagOf(nowhere, token), "AuthUnavailable")
      assert.strictEqual(yield* tagOf(known, token), "ada")
      // Ten minutes later nobody can tell whether the key has been withdrawn.
      vi.useFakeTimers({ toFake: ["Date"], now: nowMillis() + 600_001 })
      assert.strictEqual(yield* tagOf(known, token), "AuthUnavailable")
    }).pipe(Effect.scoped)
  )

  it.live("are checked by what the application is configured with", () =>
    Effect.gen(function* () {
      const keys = yield* startKeys(key)
      const token = Redacted.make(yield* Effect.promise(() => sign(key)))
      const user = (environment: Record<string, string>) =>
        Effect.flatMap(Auth, (auth) => auth.authenticate(token)).pipe(
          Effect.provide(
            JwtAuth.layerConfig({
              jwksUrl: Config.URL("KEYS"),
              issuer: Config.String("ISSUER"),
              audience: Config.succeed(audience)
            })
          ),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(environment))
        )
      assert.deepStrictEqual(yield* user({ KEYS: keys.url.href, ISSUER: issuer }), {
        id: UserId.make("ada"),
        name: "Ada"
      })
      const stranger = yield* Effect.flip(user({ KEYS: keys.url.href, ISSUER: "https://other.example" }))
      assert.strictEqual(stranger._tag, "InvalidToken")
      const missing = yield* Effect.flip(user({ KEYS: keys.url.href }))
      assert.strictEqual(missing._tag, "ConfigError")
    }).pipe(Effect.scoped)
  )
})
