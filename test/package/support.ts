import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, assert } from "@effect/vitest"

/** The README's section for those who embed the package. */
const section = /^## As a library\n[\s\S]*?(?=^## )/m.exec(readFileSync("README.md", "utf8"))?.[0] ?? ""

/** The blocks of code of a text that are in this language. */
export const blocksIn = (text: string, language: string): ReadonlyArray<string> =>
  [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, code]) =>
    name === language && code !== undefined ? [code] : []
  )

/** Those of the README's section. */
export const blocks = (language: string): ReadonlyArray<string> => blocksIn(section, language)

/** The entry points by its table, and what each needs beside Effect. */
export const entries: ReadonlyArray<{ readonly name: string; readonly needs: ReadonlyArray<string> }> = [
  ...section.matchAll(/^\| `(turnkeeper[^`]*)` \|[^|]*\|([^|]*)\|$/gm)
].map(([, name = "", needs = ""]) => ({
  name,
  needs: [...needs.matchAll(/`([^`]+)`/g)].flatMap(([, needed]) => (needed === undefined ? [] : [needed]))
}))

const { name, peerDependencies, version } = JSON.parse(readFileSync("package.json", "utf8"))

/** How one process ended, and all that it wrote. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Without colours, which a test runner that runs another one asks it for. */
const { FORCE_COLOR: _, ...inherited } = process.env
const plain = { ...inherited, NO_COLOR: "1" }

/** Runs a command to its end. */
export const run = (folder: string, command: string, args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((done) => {
    execFile(command, args, { cwd: folder, env: plain }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, stdout, stderr })
    )
  })

const tarballs = globSync(`dist/${name}-${version}.tgz`)
const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** An empty folder, which goes when the file's tests are over. */
export const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "package-"))
  folders.push(folder)
  return folder
}

/** Installs the packed package in a folder, and these packages; those that its `package.json` asks for, too. */
export const installIn = async (folder: string, packages: ReadonlyArray<string> = []): Promise<void> => {
  const [tarball] = tarballs
  assert.isDefined(tarball, "there is no package: npm run check:package makes it")
  const { code, stderr } = await run(folder, "npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    resolve(tarball),
    ...packages
  ])
  assert.strictEqual(code, 0, stderr)
}

/** An empty folder in which the packed package was installed, with Effect and these packages. */
export const install = async (needs: ReadonlyArray<string>): Promise<string> => {
  const folder = temporaryFolder()
  await installIn(
    folder,
    ["effect", ...needs].map((needed) => `${needed}@${peerDependencies[needed]}`)
  )
  return folder
}

const compilerOptions = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  target: "es2024",
  lib: ["es2024", "dom"],
  module: "nodenext",
  // PGlite's own declarations do not pass.
  skipLibCheck: true
}

/** Compiles these files of a folder, by the package's declarations. */
export const compile = (folder: string, include: ReadonlyArray<string>): Promise<Ended> => {
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include }))
  return run(folder, process.execPath, [resolve("node_modules/typescript/bin/tsc")])
}
