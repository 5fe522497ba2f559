/**
 * Users by JWTs, checked against the keys that their issuer publishes.
 *
 * @module turnkeeper/jwt
 */
export * as JwtAuth from "../adapters/jwt/JwtAuth.ts"
