import { enableCompileCache } from "node:module"
import { fileURLToPath } from "node:url"

// Before anything else is loaded: the second start finds the modules compiled, and takes half as long. They lie with the
// installation: in a folder for everybody's temporary files, somebody else might have put them there.
enableCompileCache(fileURLToPath(new URL("../../node_modules/.cache/turnkeeper", import.meta.url)))
await import("./run.ts")
