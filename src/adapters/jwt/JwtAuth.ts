import { Config, DateTime, Effect, Layer, Option, Redacted, Schema } from "effect"
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify
} from "jose"
import { AuthUnavailable, InvalidToken } from "../../domain/model/Errors.ts"
import { UserId } from "../../domain/model/User.ts"
import { Auth } from "../../ports/Auth.ts"

/**
 * The signatures that are taken (RFC 7518, section 3.1; RFC 8037): those with a public key only, since a secret that
 * stands in a key set is none. Better Auth signs with EdDSA unless told otherwise.
 */
export const Algorithm = Schema.Literals([
  "EdDSA",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512"
])
export type Algorithm = typeof Algorithm.Type

export interface Options {
  /** Where the issuer publishes its public keys (RFC 7517). */
  readonly jwksUrl: URL
  /** Who must have issued a token (`iss`). */
  readonly issuer: string
  /** For whom it must be meant (`aud`): a token for another service opens nothing here. */
  readonly audience: string
  /** Which signatures are taken, all of `Algorithm` by default. */
  readonly algorithms?: ReadonlyArray<Algorithm>
}

/** By how much the issuer's clock may be off, in seconds; `exp` and `nbf` are stretched by that. */
const clockSkewSeconds = 30

/** How long keys are used without asking for them again, and how soon an unknown one may make us ask, in milliseconds. */
const keysMaxAge = 600_000
const keysCooldown = 5000
const keysTimeout = 5000

const longest = 8192
const shape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

/** Whether a token has the form of a signed JWT (RFC 7515, section 3.1): three parts, which no session token has. */
export const isJwt = (token: Redacted.Redacted): boolean => shape.test(Redacted.value(token))

const isUnavailable = Schema.is(AuthUnavailable)

/** What tells that a token names no key of the issuer's. Anything else that goes wrong with the keys is not the token's fault. */
const isNoKey = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported

const isKeySet = (text: string): boolean => Option.isSome(decodeKeySet(text))
const decodeKeySet = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ keys: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) }))
)

/**
 * Fetches keys, but not again for a while after that has failed: else whoever sends tokens that name keys at random has us
 * ask a server that is down for each.
 */
const patientFetch = (): FetchImplementation => {
  let failed: { readonly until: number; readonly cause: unknown } | undefined
  const fail = (cause: unknown) => {
    failed = { until: performance.now() + keysCooldown, cause }
  }
  // @effect-diagnostics-next-line asyncFunction:off -- jose asks for one
  return async (url, options) => {
    if (failed !== undefined && performance.now() < failed.until) throw failed.cause
    try {
      // @effect-diagnostics-next-line globalFetch:off -- see above
      const response = await fetch(url, options)
      if (response.status === 200 && isKeySet(await response.clone().text())) return response
      fail(new Error(`The keys were answered ${response.status} and no key set`))
      return response
    } catch (error) {
      fail(error)
      throw error
    }
  }
}

/** A token that names no key may be of any that fits: each is tried. */
const verifyByAny = (token: string, getKey: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<JWTVerifyResult> =>
  // @effect-diagnostics-next-line asyncFunction:off -- what is tried is a list of promises
  jwtVerify(token, getKey, options).catch(async (error: unknown) => {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    let last: unknown = error
    for await (const key of error) {
      try {
        return await jwtVerify(token, key, options)
      } catch (failure) {
        last = failure
      }
    }
    throw last
  })

const decodeClaims = Schema.decodeUnknownOption(
  Schema.Struct({ sub: UserId, name: Schema.optionalKey(Schema.Unknown) })
)

/**
 * `Auth` by JWTs (RFC 7519) that are checked against the issuer's published keys: signature and algorithm, `iss`, `aud`,
 * `exp`, which must be there, and `nbf`. The user is `sub`, addressed by `name`.
 *
 * A token is good until it expires, whoever signs out: how long that is, is for the issuer to say. Keys that cannot be
 * fetched make it `AuthUnavailable`.
 */
export const make = (options: Options): Effect.Effect<Auth["Service"]> =>
  Effect.sync(() => {
    const keys = createRemoteJWKSet(options.jwksUrl, {
      cacheMaxAge: keysMaxAge,
      cooldownDuration: keysCooldown,
      timeoutDuration: keysTimeout,
      [customFetch]: patientFetch()
    })
    const getKey: JWTVerifyGetKey = (header, token) =>
      keys(header, token).catch((error: unknown) => {
        throw isNoKey(error) ? error : new AuthUnavailable({ operation: "Auth.authenticate", cause: error })
      })
    const algorithms = [...(options.algorithms ?? Algorithm.literals)]
    const verify = (token: string, now: DateTime.Utc) =>
      verifyByAny(token, getKey, {
        algorithms,
        issuer: options.issuer,
        audience: options.audience,
        clockTolerance: clockSkewSeconds,
        currentDate: DateTime.toDateUtc(now),
        requiredClaims: ["exp", "sub"]
      })

    return Auth.of({
      authenticate: Effect.fnUntraced(function* (redacted) {
        const token = Redacted.value(redacted)
        if (token.length > longest || !shape.test(token)) return yield* new InvalidToken()
        const now = yield* DateTime.now
        const { payload } = yield* Effect.tryPromise({
          try: () => verify(token, now),
          catch: (error) => (isUnavailable(error) ? error : new InvalidToken())
        })
        return yield* Option.match(decodeClaims(payload), {
          // A user whose id is not one that this service can name has no access to it either.
          onNone: () => Effect.fail(new InvalidToken()),
          onSome: ({ name, sub }) => Effect.succeed({ id: sub, name: typeof name === "string" ? name : "" })
        })
      })
    })
  })

export const layer = (options: Options): Layer.Layer<Auth> => Layer.effect(Auth, make(options))

/**
 * The same, with options that are read from the application's `ConfigProvider`. Fails with `ConfigError` where one is missing
 * there, or is wrong.
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Auth, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
