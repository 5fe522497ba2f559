import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Console, Effect } from "effect"

/** A bug that the protocol's rules are there to prevent: put in, it must be found. */
interface Bug {
  readonly name: string
  /** The part of the chaos that is to find it, and what it is to see, where PostgreSQL makes the difference; else the simulation is. */
  readonly chaos?: {
    readonly only: string
    readonly scale: number
    readonly sees: string
    /** Whether each step is a transaction of several statements. */
    readonly stepped?: boolean
  }
  readonly file: string
  readonly from: string
  readonly to: string
}

const memory = "src/adapters/memory/MemoryConversationRepo.ts"

const bugs: ReadonlyArray<Bug> = [
  {
    name: "no fence on a step",
    file: memory,
    from: `const state = fence(claim, request.steps)
            const before = turnOf(claim)`,
    to: `const state = fence({ ...claim, fence: turnOf(claim)?.fence ?? 0 }, turnOf(claim)?.steps ?? 0)
            const before = turnOf(claim)`
  },
  {
    name: "no fence on complete",
    file: memory,
    from: `const state = fence(claim, request.steps)
          const turn = turnOf(claim)
          const conversation`,
    to: `const state = fence({ ...claim, fence: turnOf(claim)?.fence ?? 0 }, turnOf(claim)?.steps ?? 0)
          const turn = turnOf(claim)
          const conversation`
  },
  {
    name: "a step in two commits",
    file: "src/adapters/memory/MemoryStore.ts",
    from: "Effect.onError(() => Effect.sync(() => users.set(userId, before)))",
    to: "Effect.onError(() => Effect.sync(() => void before))"
  },
  {
    name: "what an attempt that died had told is gone on with",
    file: "src/domain/TurnEvents.ts",
    from: "isOfAttempt = after.attempt === attempt",
    to: "isOfAttempt = after.attempt <= attempt"
  },
  {
    name: "a key that is not its user's",
    file: memory,
    from: "onSome: (key) => [...turns.values()].find((turn) => turn.idempotencyKey === key)",
    to: "onSome: (key) => [...users.values()].flatMap((other) => [...other.turns.values()]).find((turn) => turn.idempotencyKey === key)"
  },
  {
    name: "a lease by the instance's clock",
    file: "src/testing/Simulation.ts",
    from: "const effect = Effect.provideService(port, Clock.Clock, world.clock)",
    to: "const effect = port"
  },
  {
    name: "no step number",
    file: memory,
    from: `if (turn.status !== "running" || turn.steps === steps + 1) return "done"
      return turn.steps === steps ? "ok" : "lost"`,
    to: `return turn.status === "running" ? "ok" : turn.steps === steps + 1 ? "lost" : "done"`
  },
  {
    name: "the reply before the commit",
    file: "src/domain/Agent.ts",
    from: "return yield* repo",
    to: `if (content !== "") return { _tag: "Completed", turnId: claim.turnId, body: response } as const
          return yield* repo`
  },
  {
    name: "an old failed turn is taken up after a newer one",
    file: memory,
    from: "turn.retryable && conversationOf(userId, turn.conversationId)?.lastTurnId === turn.id",
    to: "turn.retryable"
  },
  {
    name: "a retry that forgets the stored steps",
    file: memory,
    from: `steps: (conversation?.steps ?? [])
              .filter(inWindow)`,
    to: `steps: (conversation?.steps ?? [])
              .filter(() => false)`
  },
  {
    name: "no lock order",
    chaos: { only: "calm", scale: 0.5, sees: "deadlocks", stepped: true },
    file: "src/adapters/postgres/migrations.ts",
    from: "perform 1 from user_counters u where u.user_id = p_user for no key update;",
    to: "perform 1;"
  }
]

const root = fileURLToPath(new URL("../../", import.meta.url))
const seeds = 5000

/** Puts the bug into a copy of the code, and answers what found it: the simulation's seed, or what the chaos saw. */
const hunt = (bug: Bug): string | undefined => {
  const copy = mkdtempSync(join(tmpdir(), "turnkeeper-bug-"))
  try {
    for (const folder of ["src", "test", "package.json"])
      cpSync(join(root, folder), join(copy, folder), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    const file = join(copy, bug.file)
    const text = readFileSync(file, "utf8")
    if (text.split(bug.from).length !== 2)
      throw new Error(`${bug.name}: its place in ${bug.file} is not there, or not one`)
    writeFileSync(
      file,
      text.replace(bug.from, () => bug.to)
    )
    if (bug.chaos !== undefined) {
      const args = ["test/chaos/main.ts", "--only", bug.chaos.only, "--scale", String(bug.chaos.scale)]
      if (bug.chaos.stepped === true) args.push("--stepped")
      const { stdout } = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8" })
      const { sees } = bug.chaos
      const broken = stdout.split("\n").filter((line) => line.startsWith("BROKEN"))
      return broken.find((line) => line.includes(sees))?.slice(8, 128)
    }
    const { stdout } = spawnSync(process.execPath, ["test/simulation/main.ts", "--seeds", String(seeds), "--first"], {
      cwd: copy,
      encoding: "utf8"
    })
    return /(seed \d+):\n(.*)/.exec(stdout)?.slice(1, 3).join(": ")
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** `npm run bugs`: every bug must be found by the simulation, or by the chaos. */
const run = Effect.gen(function* () {
  let missed = 0
  for (const bug of bugs) {
    const found = hunt(bug)
    if (found === undefined) missed++
    yield* Console.log(
      `${found === undefined ? "MISSED" : "caught"}  ${bug.name}${found === undefined ? "" : `: ${found}`}`
    )
  }
  yield* Console.log(
    `\n${bugs.length - missed} of ${bugs.length} bugs caught, within ${seeds} seeds of the simulation each or a minute of the chaos`
  )
  process.exitCode = missed === 0 ? 0 : 1
})

await Effect.runPromise(run)
