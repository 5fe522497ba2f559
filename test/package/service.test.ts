import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { demoOf, http, start, startInVain } from "../support/service.ts"
import { blocks, install, run } from "./support.ts"

const bin = "node_modules/.bin/turnkeeper"

/** What the README has installed for the service, beside the package and Effect. */
const needs = [
  ...(blocks("sh")
    .at(-1)
    ?.matchAll(/ (@[\w-]+\/[\w-]+)/g) ?? [])
].flatMap(([, name]) => name ?? [])

const get = (url: string) =>
  Effect.promise(async () => {
    const response = await fetch(url)
    assert.strictEqual(response.status, 200, url)
    return { text: await response.text(), type: response.headers.get("content-type") ?? "" }
  })

const importMap = /<script type="importmap">(.*?)<\/script>/
const linked = /(?:href|src)="(\/assets\/[^"]+)"/g
const imported = /(?:from |import\()"([^"]+)"/g

describe("the service as it is installed", () => {
  it.live(
    "starts, talks, and serves its page",
    () =>
      Effect.gen(function* () {
        const folder = yield* Effect.promise(() => install(needs))
        const service = yield* start({}, join(folder, bin))
        const { token, user } = demoOf(service.output())
        const turn = yield* http("POST", `${service.url}/api/v1/users/${user}/chat`, token, {
          message: "Add a task to buy milk"
        })
        assert.strictEqual(turn.json.message, "I've added 'Buy milk' to your list as task 1.")

        const page = yield* get(service.url)
        const { imports } = JSON.parse(importMap.exec(page.text)?.[1] ?? "{}")
        const wanted = new Set([
          ...[...page.text.matchAll(linked)].flatMap(([, path]) => path ?? []),
          ...Object.values<string>(imports)
        ])
        assert.include([...wanted], "/assets/main.js")
        // What a module imports is added while they are read.
        for (const path of wanted) {
          const asset = yield* get(service.url + path)
          if (!path.endsWith(".js") || Object.values(imports).includes(path)) continue
          assert.match(asset.type, /^text\/javascript/)
          for (const [, name = ""] of asset.text.matchAll(imported)) {
            wanted.add(imports[name] ?? new URL(name, `http://host${path}`).pathname)
          }
        }
        assert.include([...wanted], "/assets/Markdown.js")
        assert.strictEqual(yield* service.end("SIGTERM"), 0)

        const lacking = yield* startInVain({ OPENAI_API_KEY: "none" }, join(folder, bin))
        assert.strictEqual(lacking.code, 1)
        assert.include(lacking.output, "turnkeeper cannot start: A package is missing (npm install openai undici)")
      }).pipe(Effect.scoped),
    240_000
  )

  it("says what is to be installed beside it", async () => {
    const { code, stderr } = await run(await install([]), bin, [])
    assert.strictEqual(code, 1)
    assert.match(stderr, /^turnkeeper cannot start: A package is missing \(npm install .*@effect\/platform-node.*\n$/)
  })
})
