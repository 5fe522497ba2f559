import { Context, identity } from "effect"
import { HttpMiddleware } from "effect/http"

/** What a browser may do with an answer: nothing. */
export const contentPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * What every answer tells browsers, by OWASP's list for REST services
 * (https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers).
 * `Strict-Transport-Security` is for whoever ends TLS in front (RFC 6797, section 7.2).
 */
export const guardHeaders = {
  "cache-control": "no-store",
  "content-security-policy": contentPolicy,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** The origins whose pages may call, such as `https://app.example.com`. */
export const AllowedOrigins = Context.Reference<ReadonlyArray<string>>(
  "turnkeeper/adapters/http/Headers/AllowedOrigins",
  {
    defaultValue: () => []
  }
)

/**
 * Lets the pages of these origins call (https://fetch.spec.whatwg.org/#http-cors-protocol). Without credentials: tokens are
 * no cookies.
 */
export const crossOrigin = (origins: ReadonlyArray<string>): ReturnType<typeof HttpMiddleware.cors> =>
  origins.length === 0
    ? identity
    : HttpMiddleware.cors({
        // As a predicate, since of a single origin it would tell every page.
        allowedOrigins: (origin) => origins.includes(origin),
        allowedMethods: ["GET", "HEAD", "POST", "PATCH", "DELETE"],
        allowedHeaders: [
          "authorization",
          "content-type",
          "idempotency-key",
          "last-event-id",
          "mcp-method",
          "mcp-name",
          "mcp-protocol-version",
          "mcp-session-id",
          "x-request-id"
        ],
        exposedHeaders: [
          "idempotency-replayed",
          "location",
          "mcp-protocol-version",
          "mcp-session-id",
          "ratelimit",
          "ratelimit-policy",
          "retry-after",
          "www-authenticate",
          "x-request-id"
        ],
        maxAge: 600
      })
