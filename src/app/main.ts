import { enableCompileCache } from "node:module"

// Before anything else is loaded: the second start finds the modules compiled, and takes half as long.
enableCompileCache()
await import("./run.ts")
