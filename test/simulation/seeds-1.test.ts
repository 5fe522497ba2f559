import * as Memory from "../../src/adapters/memory/Memory.ts"
import * as Simulation from "../../src/testing/SimulationSuite.ts"

// Two files, so that they run side by side.
Simulation.suite("memory", Memory.layer, { seeds: 1500, from: 1 })
