/** The agent's tools for clients of the Model Context Protocol, on a router of the application. */
export * as Mcp from "../adapters/mcp/Mcp.ts"
