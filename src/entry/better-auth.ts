/**
 * Users by the sessions of Better Auth.
 *
 * @module turnkeeper/better-auth
 */
export * as BetterAuth from "../adapters/better-auth/BetterAuth.ts"
