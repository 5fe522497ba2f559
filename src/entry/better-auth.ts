/** Users by the sessions of Better Auth. */
export * as BetterAuth from "../adapters/better-auth/BetterAuth.ts"
