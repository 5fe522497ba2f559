/** Users by JWTs, checked against the keys that their issuer publishes. */
export * as JwtAuth from "../adapters/jwt/JwtAuth.ts"
