// @effect-diagnostics nodeBuiltinImport:off -- what the page consists of is read, compressed and hashed by Node itself
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
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

/** The text of a file, as a browser is to have it. */
const readText = (file: URL): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => readFile(file, "utf8")),
    (text) => (extensionOf(file.pathname) === "ts" ? stripTypeScriptTypes(text) : text)
  )

/** What the page consists of. */
export interface Assets {
  /** The text of the page itself. */
  readonly html: Effect.Effect<string>
  /** The names of its own modules: TypeScript, or JavaScript where they have been compiled. */
  readonly ownModules: ReadonlyArray<string>
  /** All its other files by name; each is read when somebody asks for it first, and kept. */
  readonly files: ReadonlyMap<string, Effect.Effect<Asset>>
}

/** Looks where the page and its libraries are. Only whoever serves the page needs these, so it is not done on import. */
export const findAssets: Effect.Effect<Assets> = Effect.gen(function* () {
  const own = yield* Effect.promise(() => readdir(folder))
  const served = own.filter((name) => contentTypes.has(extensionOf(name)) && !name.endsWith(".d.ts"))
  const places = [
    ...Object.entries(libraries).map(([specifier, name]) => [name, new URL(import.meta.resolve(specifier))] as const),
    ...served.map((name) => [name, new URL(name, folder)] as const)
  ].filter(([name]) => extensionOf(name) !== "html")
  const files = yield* Effect.forEach(places, ([name, file]) =>
    Effect.map(
      Effect.cached(Effect.flatMap(readText(file), (text) => makeAsset(name, text))),
      (asset) => [name, asset] as const
    )
  )
  return {
    html: yield* Effect.cached(readText(new URL("index.html", folder))),
    ownModules: served.filter((name) => ["js", "ts"].includes(extensionOf(name))).sort(),
    files: new Map(files)
  }
})
