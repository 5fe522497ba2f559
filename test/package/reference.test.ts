import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { entries, run } from "./support.ts"

/** What a folder holds: the text of each page, by its path. */
const pagesOf = (folder: string) =>
  Object.fromEntries(
    globSync("**/*.md", { cwd: folder })
      .toSorted()
      .map((file) => [file, readFileSync(join(folder, file), "utf8")])
  )

describe("the reference", () => {
  it("is what the doc comments say (npm run docs)", async () => {
    const folder = mkdtempSync(join(tmpdir(), "reference-"))
    try {
      const typedoc = resolve("node_modules/typedoc/bin/typedoc")
      const { code, stderr, stdout } = await run(process.cwd(), process.execPath, [typedoc, "--out", folder])
      assert.strictEqual(code, 0, `${stdout}${stderr}`)
      assert.deepStrictEqual(pagesOf("docs/reference"), pagesOf(folder))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("has a page for each entry point", () => {
    assert.isAbove(entries.length, 10)
    for (const { name } of entries) {
      assert.isTrue(
        existsSync(`docs/reference/${name}/index.md`) || existsSync(`docs/reference/${name}.md`),
        `there is none for ${name}`
      )
    }
  })
})

describe("llms.txt", () => {
  const text = readFileSync("llms.txt", "utf8")

  it("leads to files that are there, and to each entry point", () => {
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link)
    assert.isAbove(links.length, 15)
    for (const link of links) assert.isTrue(existsSync(link), `there is no ${link}`)
    for (const { name } of entries) assert.include(text, `[${name}](docs/reference/${name}`)
  })

  // https://llmstxt.org/#format
  it("has a title, a summary and sections of links", () => {
    assert.match(text, /^# turnkeeper\n\n> /)
    const sections = text.split(/^## /m).slice(1)
    assert.include(
      sections.map((section) => section.split("\n")[0]),
      "Optional"
    )
    for (const section of sections) assert.match(section, /^.+\n\n(?:- \[.+\n)+\n?$/)
  })
})
