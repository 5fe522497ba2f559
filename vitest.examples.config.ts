import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/examples/**/*.test.ts"],
    // Each installs packages, which may take long on a machine with much else to do.
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    retry: 0,
    bail: 0
  }
})
