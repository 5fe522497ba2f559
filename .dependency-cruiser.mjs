// Who may import whom. Type-only imports count.

/** Effect's main entry; what lies beside it (`effect/http`, `effect/sql`, …) may change in a minor version. */
const effect = "^node_modules/effect/dist/index[.]"

export default {
  forbidden: [
    {
      name: "model-imports-only-effect",
      comment: "Entities, ids and errors know nothing of services, drivers and the rest of the domain.",
      severity: "error",
      from: { path: "^src/domain/model/" },
      to: { pathNot: ["^src/domain/model/", "^src/ports/", effect] }
    },
    {
      name: "ports-import-only-the-model",
      comment: "Importing a port must not pull anything but the ports that it speaks of in.",
      severity: "error",
      from: { path: "^src/ports/" },
      to: { pathNot: ["^src/domain/model/", "^src/ports/", effect] }
    },
    {
      name: "domain-imports-only-model-and-ports",
      comment: "No driver, SDK, Node module or unstable part of Effect in the domain: ask for it through a port.",
      severity: "error",
      from: { path: "^src/domain/", pathNot: ["^src/domain/model/", "^src/domain/ModelBreaker[.]ts$"] },
      to: { pathNot: ["^src/domain/", "^src/ports/", effect] }
    },
    {
      name: "the-breaker-imports-effects-breaker",
      comment:
        "When the model is asked is the domain's policy, and Effect's circuit breaker is not in its main entry yet.",
      severity: "error",
      from: { path: "^src/domain/ModelBreaker[.]ts$" },
      to: { pathNot: ["^src/domain/", "^src/ports/", effect, "^node_modules/effect/dist/persistence/index[.]"] }
    },
    {
      name: "adapters-do-not-meet",
      comment: "An adapter imports ports, the domain and its own folder. What two adapters share, app wires.",
      severity: "error",
      from: { path: "^src/adapters/([^/]+)/" },
      to: { path: "^src/", pathNot: ["^src/adapters/$1/", "^src/ports/", "^src/domain/"] }
    },
    {
      name: "entries-only-re-export",
      comment: "An entry point of the package names what is public, and has nothing of its own.",
      severity: "error",
      from: { path: "^src/entry/" },
      to: { dependencyTypesNot: ["export"] }
    },
    {
      name: "an-entry-opens-one-adapter",
      comment: "Whoever imports an adapter gets nothing of another.",
      severity: "error",
      from: { path: "^src/entry/([^/.]+)", pathNot: "^src/entry/(index|testing)[./]" },
      to: { pathNot: "^src/adapters/$1/" }
    },
    {
      name: "the-testing-entry-opens-testing",
      severity: "error",
      from: { path: "^src/entry/testing[./]" },
      to: { pathNot: "^src/testing/" }
    },
    {
      name: "testing-knows-the-domain",
      comment: "The contract kit judges adapters, whichever they are, and so imports none.",
      severity: "error",
      from: { path: "^src/testing/" },
      to: { path: "^src/", pathNot: "^src/(testing|domain|ports)/" }
    },
    {
      name: "only-contracts-know-the-test-runner",
      comment: "Obligations, the simulation and fakes serve any other runner as well.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(testing/\\w*(Contract|Suite)[.]ts$|entry/testing[.]ts$)" },
      to: { path: ["^node_modules/(vitest|@effect/vitest)/", "^src/testing/\\w*(Contract|Suite)[.]ts$"] }
    },
    {
      name: "testing-is-for-tests",
      comment: "Nothing of the product needs what judges it.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(testing/|entry/testing[./])" },
      to: { path: "^src/testing/" }
    },
    {
      name: "the-main-entry-opens-no-adapter",
      severity: "error",
      from: { path: "^src/entry/index[.]" },
      to: { pathNot: ["^src/domain/", "^src/ports/"] }
    },
    {
      name: "entries-are-for-others",
      comment: "Within the package each module is imported from where it is.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^src/entry/" }
    },
    {
      name: "no-other-layers",
      comment:
        "src has app, domain, ports, entry, testing and adapters/<technology>: a file beside them is under no rule.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(app|domain|ports|entry|testing|adapters/[^/]+)/" },
      to: {}
    },
    {
      name: "src-stands-alone",
      comment: "The product does without its tests, measurements and examples.",
      severity: "error",
      from: { path: "^src/" },
      to: { pathNot: ["^src/", "^node_modules/"], dependencyTypesNot: ["core"] }
    },
    {
      name: "src-without-dev-dependencies",
      comment: "Who installs the package does not get these.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm-peer"] }
    },
    {
      name: "examples-use-public-entry-points",
      comment: "An example imports the package by its name, as its users do.",
      severity: "error",
      from: { path: "^examples/" },
      to: { path: ["^src/", "^test/", "^bench/"], dependencyTypes: ["local"] }
    },
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true }
    },
    {
      name: "no-orphans",
      comment: "Nobody imports it, and it imports nothing: dead, or at the wrong place.",
      severity: "error",
      from: { orphan: true },
      to: {}
    },
    {
      name: "no-unresolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true }
    },
    {
      name: "no-undeclared-package",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] }
    }
  ],
  options: {
    doNotFollow: { path: "^node_modules/" },
    tsPreCompilationDeps: true,
    // The package by its own name is its source there.
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] }
  }
}
