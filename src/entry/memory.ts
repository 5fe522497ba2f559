/**
 * All ports but the model in memory.
 *
 * @module turnkeeper/memory
 */
export * as Memory from "../adapters/memory/Memory.ts"
export * as MemoryAuth from "../adapters/memory/MemoryAuth.ts"
