import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    // These need a browser, or the package as it is published, and have commands of their own.
    exclude: ["test/browser/**", "test/examples/**", "test/package/**"],
    globalSetup: "test/support/postgres.ts",
    setupFiles: "test/support/compiled.ts",
    // On two cores, threads were some 10 % quicker than forks, and all of them quicker than one worker fewer.
    pool: "threads",
    maxWorkers: "100%",
    // A fresh module graph costs a second a file, and state at module level is not our style: a worker keeps its modules.
    isolate: false,
    testTimeout: 60_000,
    // A PGlite or a PostgreSQL takes seconds to start.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    retry: 0,
    bail: 0
  }
})
