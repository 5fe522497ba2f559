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
