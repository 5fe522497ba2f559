// @effect-diagnostics nodeBuiltinImport:off -- Node's own HMAC, and its comparison in constant time
import { createHmac, timingSafeEqual } from "node:crypto"

/** What is made of a token alone, lasts as long as it does: over restarts, and without being stored. */
const derived = (token: string, purpose: string): string =>
  createHmac("sha256", token).update(`turnkeeper page ${purpose}`).digest("base64url")

const isSame = (given: string, expected: string): boolean => {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

const keyOf = (token: string): string => derived(token, "key")

/** What the terminal shows: whoever opens it is signed in, and stays so in that browser. */
export const signInLink = (address: string, token: string): string => `${address}/?key=${keyOf(token)}`

/** Whether a request's path is that of the link. */
export const hasKey = (url: string, token: string): boolean => {
  const [, query = ""] = url.split("?", 2)
  return isSame(new URLSearchParams(query).get("key") ?? "", keyOf(token))
}

/**
 * By which a browser shows that it has opened the link. A host's cookies are those of all its ports, so each service has a
 * name of its own. It opens the page, and nothing of the API.
 */
export const cookieOf = (token: string): { readonly name: string; readonly value: string } => ({
  name: `turnkeeper_${derived(token, "name").slice(0, 8)}`,
  value: derived(token, "cookie")
})

/** Whether a request's cookies are those of a browser that has opened the link. */
export const hasCookie = (cookies: { readonly [name: string]: string | undefined }, token: string): boolean => {
  const { name, value } = cookieOf(token)
  return isSame(cookies[name] ?? "", value)
}
