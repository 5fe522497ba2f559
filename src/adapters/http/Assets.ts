// @effect-diagnostics nodeBuiltinImport:off -- what the page consists of is read, compressed and hashed by Node itself
import { createHash } from "node:crypto"
import { readdirSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { stripTypeScriptTypes } from "node:module"
import { promisify } from "node:util"
import { brotliCompress, gzip } from "node:zlib"
import { Effect } from "effect"

/** A file of the page as it is sent, in each form in which a browser may take it. */
export interface Asset {
  readonly contentType: string
  /** Of the content, whatever its form (RFC 9110, section 8.8.3). */
  readonly etag: string
  readonly plain: Uint8Array
  readonly encoded: { readonly br: Uint8Array; readonly gzip: Uint8Array }
}

const folder = new URL("./page/", import.meta.url)

/** The libraries of the page, as the page's modules name them, and under which names they are served. */
const libraries = {
  preact: "preact.js",
  "preact/hooks": "preact-hooks.js",
  marked: "marked.js",
  dompurify: "dompurify.js"
}

const contentTypes = new Map([
  ["css", "text/css; charset=utf-8"],
  ["html", "text/html; charset=utf-8"],
  ["js", "text/javascript; charset=utf-8"],
  ["svg", "image/svg+xml"],
  // Served without its types: to a browser it is JavaScript whatever its name.
  ["ts", "text/javascript; charset=utf-8"]
])

const extensionOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1)

/** Where each file of the page is, by the name under which it is served. */
const files: ReadonlyMap<string, URL> = new Map([
  ...Object.entries(libraries).map(([specifier, name]) => [name, new URL(import.meta.resolve(specifier))] as const),
  ...readdirSync(folder)
    .filter((name) => contentTypes.has(extensionOf(name)) && !name.endsWith(".d.ts"))
    .map((name) => [name, new URL(name, folder)] as const)
])

/** The names of the page's own modules: TypeScript, or JavaScript where they have been compiled. */
export const ownModules: ReadonlyArray<string> = [...files]
  .filter(([name, url]) => ["js", "ts"].includes(extensionOf(name)) && url.href.startsWith(folder.href))
  .map(([name]) => name)
  .sort()

/** What the page's modules import by name, and where that is, for an import map. */
export const importsUnder = (path: string): { readonly [specifier: string]: string } =>
  Object.fromEntries(Object.entries(libraries).map(([specifier, name]) => [specifier, path + name]))

const brotli = promisify(brotliCompress)
const gzipped = promisify(gzip)

/** The SHA-256 of a text in base64, as Content-Security-Policy has it. */
export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("base64")

/** A text as an asset. */
export const makeAsset = (name: string, text: string): Effect.Effect<Asset> => {
  const plain = Buffer.from(text)
  return Effect.map(
    Effect.promise(() => Promise.all([brotli(plain), gzipped(plain, { level: 9 })])),
    ([br, gzip]) => ({
      contentType: contentTypes.get(extensionOf(name)) ?? "application/octet-stream",
      etag: `W/"${sha256(plain)}"`,
      plain,
      encoded: { br, gzip }
    })
  )
}

/** The text of a file of the page, as a browser is to have it. */
export const readText = (name: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => readFile(files.get(name) ?? new URL(name, folder), "utf8")),
    (text) => (extensionOf(name) === "ts" ? stripTypeScriptTypes(text) : text)
  )

/** The files of the page by name; each is read when somebody asks for it first, and kept. */
export const makeAssets: Effect.Effect<ReadonlyMap<string, Effect.Effect<Asset>>> = Effect.map(
  Effect.forEach(
    [...files.keys()].filter((name) => extensionOf(name) !== "html"),
    (name) =>
      Effect.map(
        Effect.cached(Effect.flatMap(readText(name), (text) => makeAsset(name, text))),
        (asset) => [name, asset] as const
      )
  ),
  (entries) => new Map(entries)
)
