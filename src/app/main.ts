#!/usr/bin/env node
import { enableCompileCache } from "node:module"
import { fileURLToPath } from "node:url"

// Before anything else is loaded: the second start finds the modules compiled, and takes half as long. They lie with the
// installation: in a folder for everybody's temporary files, somebody else might have put them there.
enableCompileCache(fileURLToPath(new URL("../../node_modules/.cache/turnkeeper", import.meta.url)))

const isPackageMissing = (error: unknown): error is Error =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

try {
  await import("./run.ts")
} catch (error) {
  if (!isPackageMissing(error)) throw error
  // @effect-diagnostics-next-line globalConsole:off -- Effect itself may be what is missing
  console.error(
    `turnkeeper cannot start: A package is missing (npm install effect @effect/platform-node @effect/sql-pg): ${error.message}`
  )
  process.exitCode = 1
}
