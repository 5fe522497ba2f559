import { Console, type Effect, Option } from "effect"
import type { DemoSession } from "../adapters/better-auth/BetterAuth.ts"
import { signInLink } from "../adapters/http/PageLink.ts"
import { type AppConfig, isLoopback } from "./Config.ts"

/** Tells whoever started the service where it is, what it works with, and what to try first. */
export const print = (config: AppConfig, address: string, demo: Option.Option<DemoSession>): Effect.Effect<void> => {
  const url = address.replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:")
  return Console.log(
    [
      "",
      ...(Option.isSome(demo) && isLoopback(config.host)
        ? [`  Open ${signInLink(url, demo.value.token)} to talk to the agent.`, ""]
        : []),
      `  turnkeeper listens on ${url}`,
      "",
      `  page          ${url}/`,
      `  API document  ${url}/openapi.json`,
      `  reference     ${url}/docs`,
      `  MCP           ${url}/mcp`,
      `  database      ${
        config.database._tag === "Embedded" ? `embedded, in ${config.database.dataDir}` : "PostgreSQL, by DATABASE_URL"
      }`,
      `  model         ${
        config.model._tag === "OpenAi" ? config.model.model : "offline: it understands plain requests about tasks"
      }`,
      ...Option.match(demo, {
        onNone: () => [],
        onSome: ({ token, userId }) => [
          `  demo user     ${userId}`,
          `  its token     ${token}`,
          "",
          "  Try:",
          "",
          `  curl -X POST ${url}/api/v1/users/${userId}/chat \\`,
          `    -H "Authorization: Bearer ${token}" \\`,
          '    -H "Content-Type: application/json" \\',
          '    -d \'{"message": "Add a task to buy groceries"}\''
        ]
      }),
      ""
    ].join("\n")
  )
}
