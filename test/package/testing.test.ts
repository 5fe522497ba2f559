import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { blocksIn, compile, entries, install, run } from "./support.ts"

const guide = readFileSync("docs/adapters.md", "utf8")

/** The programs of the guide, by the file that the first line of each names. */
const programs = ["ts", "js"]
  .flatMap((language) => blocksIn(guide, language))
  .map((text) => ({ file: /^\/\/ (\S+)\n/.exec(text)?.[1] ?? assert.fail(`no file is named: ${text}`), text }))

const broken = `
import { Effect, Layer } from "effect"
import { ConversationRepo } from "turnkeeper"
import { Memory } from "turnkeeper/memory"
import { ConversationRepoContract } from "turnkeeper/testing"

const { ConversationRepo: Repo } = ConversationRepo
const careless = Layer.effect(Repo, Effect.map(Repo, (repo) => ({ ...repo, handBack: () => Effect.void })))
ConversationRepoContract.suite("one that keeps what is handed back", careless.pipe(Layer.provideMerge(Memory.layer)))
`

describe("the guide for those who write adapters", () => {
  let folder = ""
  const vitest = (file: string) =>
    run(folder, process.execPath, ["node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", file])

  beforeAll(async () => {
    folder = await install(entries.find(({ name }) => name === "turnkeeper/testing")?.needs ?? [])
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    mkdirSync(join(folder, "test"))
    for (const { file, text } of programs) writeFileSync(join(folder, file), text)
    writeFileSync(join(folder, "test/broken.test.ts"), broken)
  })

  it("fits the package's declarations", async () => {
    const { code, stdout } = await compile(folder, ["test/*.ts"])
    assert.strictEqual(code, 0, stdout)
  })

  for (const { file } of programs.filter(({ file }) => file.startsWith("test/"))) {
    it(`has ${file} pass`, async () => {
      const { code, stderr, stdout } = await vitest(file)
      assert.strictEqual(code, 0, stdout + stderr)
      assert.match(stdout, /Tests +\d+ passed/)
    })
  }

  it("has obligations run without vitest", async () => {
    const { code, stderr, stdout } = await run(folder, process.execPath, ["obligations.mjs"])
    assert.strictEqual(code, 0, stderr)
    assert.include(stdout, "kept: never uses a number again\n")
  })

  it("shows which obligation an adapter has broken", async () => {
    const { code, stderr, stdout } = await vitest("test/broken.test.ts")
    assert.strictEqual(code, 1)
    const lead = 'ObligationBroken: ConversationRepo, "hands claims back, so that others take the turns up at once": '
    assert.include(stdout + stderr, lead)
    assert.include(stdout, "✓ test/broken.test.ts > ConversationRepo: one that keeps what is handed back > is ready")
  })
})
