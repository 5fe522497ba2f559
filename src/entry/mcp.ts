/**
 * The agent's tools for clients of the Model Context Protocol, on a router of the application.
 *
 * @module turnkeeper/mcp
 */
export * as Mcp from "../adapters/mcp/Mcp.ts"
