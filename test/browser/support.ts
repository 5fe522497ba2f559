import { existsSync, mkdirSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import axe from "axe-core"
import { Context, Effect, Layer, type Scope } from "effect"
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core"
import { ModelServer } from "../support/model-server.ts"
import { demoOf, http, linkOf, type Service, start, temporaryFolder } from "../support/service.ts"

const executables = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
]

/** The browser of the machine: Debian's `chromium`, or what `CHROMIUM` names. */
export class TheBrowser extends Context.Service<TheBrowser, Browser>()("turnkeeper/test/browser/support/TheBrowser") {
  static readonly layer = Layer.effect(
    TheBrowser,
    Effect.acquireRelease(
      Effect.promise(() => {
        const executablePath = executables.find((path) => path !== undefined && existsSync(path))
        if (executablePath === undefined) throw new Error("There is no Chromium: install it, or name it by CHROMIUM")
        // Its sandbox refuses to run as root.
        return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] })
      }),
      (browser) => Effect.promise(() => browser.close())
    )
  )
}

const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = address === null || typeof address === "string" ? 0 : address.port
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A service that can be killed and started again at the same address. */
export interface Site {
  readonly url: string
  readonly token: string
  /** Signs the page in as the demo user. */
  readonly link: string
  readonly model: ModelServer["Service"]
  readonly kill: Effect.Effect<void>
  readonly startAgain: Effect.Effect<void, never, Scope.Scope>
  /** What the service answers the demo user at a path. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of any shape, and fail where it has another
  readonly get: (path: string) => Effect.Effect<any>
  readonly send: (method: string, path: string, body?: object) => Effect.Effect<void>
}

/** Starts the service with the offline model, or with one that says what the test has scripted. */
export const startSite = Effect.fnUntraced(function* (modelKind: "offline" | "scripted" = "offline") {
  const model = yield* ModelServer.make
  const env = {
    PORT: `${yield* freePort}`,
    DATA_DIR: join(yield* temporaryFolder, "data"),
    ...(modelKind === "scripted" && { OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: model.baseUrl })
  }
  const state: { service: Service } = { service: yield* start(env) }
  const { token, user } = demoOf(state.service.output())
  const { url } = state.service
  const root = `${url}/api/v1/users/${user}`
  const site: Site = {
    url,
    token,
    link: linkOf(state.service.output()),
    model,
    kill: Effect.suspend(() => Effect.asVoid(state.service.end("SIGKILL"))),
    startAgain: Effect.map(start(env), (service) => {
      state.service = service
    }),
    get: (path) => Effect.map(http("GET", root + path, token), ({ json }) => json),
    send: (method, path, body) => Effect.asVoid(http(method, root + path, token, body))
  }
  return site
})

/** What a browser may complain of in a test, beside nothing. */
export const complaints = {
  /** The service is gone. */
  unreachable: /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE/,
  /** The service answers with a problem. */
  refused: /the server responded with a status of (?:4\d\d|50[0-4])/
}

/** A window of one's own, with its own storage, that fails the test if the page does what it should not. */
export const openWindow = Effect.fnUntraced(function* (
  site: Site,
  options: BrowserContextOptions = {},
  allowed?: RegExp
) {
  const browser = yield* TheBrowser
  const wrong: Array<string> = []
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext({ viewport: { width: 1120, height: 720 }, ...options })),
    (context) =>
      Effect.andThen(
        Effect.promise(() => context.close()),
        Effect.sync(() => assert.deepStrictEqual(wrong, []))
      )
  )
  context.setDefaultTimeout(15_000)
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && allowed?.test(message.text()) !== true) {
      wrong.push(`${message.type()}: ${message.text()}`)
    }
  })
  context.on("weberror", (error) => wrong.push(String(error.error())))
  context.on("request", (request) => {
    if (!request.url().startsWith(`${site.url}/`)) wrong.push(`It asked for ${request.url()}`)
  })
  const visit = (url: string): Effect.Effect<Page> =>
    Effect.promise(async () => {
      const page = await context.newPage()
      await page.goto(url)
      return page
    })
  return {
    context,
    /** Opens the page in a new tab by the link that signs it in. */
    open: (hash = ""): Effect.Effect<Page> => visit(`${site.link}${hash}`),
    /** Opens an address in a new tab. */
    visit
  }
})

/** Does things in the browser, one after the other. */
export const act = <A>(steps: () => Promise<A>): Effect.Effect<A> => Effect.promise(steps)

export const box = (page: Page): Locator => page.getByRole("textbox", { name: "Message to the agent" })
export const taskRows = (page: Page): Locator => page.getByRole("region", { name: "Tasks" }).getByRole("listitem")
export const saidByUser = (page: Page): Locator => page.locator(".said-by-user")
export const saidByAgent = (page: Page): Locator => page.locator(".said-by-agent")

/** What the agent has said, as it is stored. */
export const replied = (page: Page): Locator => page.locator(".said-by-agent[aria-busy=false] .prose")

/** Says something by the keyboard. */
export const say = async (page: Page, text: string): Promise<void> => {
  await box(page).fill(text)
  await box(page).press("Enter")
}

/** What a browser keeps of messages that it has sent and not seen answered. */
export const keptSent = async (page: Page): Promise<ReadonlyArray<string>> => {
  const kept: ReadonlyArray<string> = await page.evaluate("Object.keys(localStorage)")
  return kept.filter((name) => name.includes(":sent:"))
}

/** Waits until nothing of it is kept. */
export const forgotSent = (page: Page): Promise<void> =>
  page.evaluate(`new Promise((resolve) => {
    const look = () =>
      Object.keys(localStorage).some((name) => name.includes(":sent:")) ? requestAnimationFrame(look) : resolve()
    look()
  })`)

/** As if the user had gone to another tab, or come back from it. */
export const setVisibility = (page: Page, state: "hidden" | "visible"): Promise<void> =>
  page.evaluate(`
    Object.defineProperty(document, "visibilityState", { configurable: true, value: "${state}" })
    document.dispatchEvent(new Event("visibilitychange"))
  `)

/** Waits until an element says this. */
export const reads = async (locator: Locator, text: string | RegExp): Promise<void> =>
  locator.filter({ hasText: text }).first().waitFor()

/** Waits until there are so many. */
export const countIs = async (locator: Locator, count: number): Promise<void> => {
  if (count === 0) await locator.first().waitFor({ state: "detached" })
  else await locator.nth(count - 1).waitFor()
  assert.strictEqual(await locator.count(), count)
}

/** What axe-core (https://github.com/dequelabs/axe-core) finds wrong with the page as it is: by the rules of WCAG 2.2 AA and more. */
export const findings = async (page: Page): Promise<ReadonlyArray<string>> => {
  await page.evaluate(axe.source)
  const violations: ReadonlyArray<{ readonly id: string; readonly nodes: ReadonlyArray<{ readonly html: string }> }> =
    await page.evaluate("axe.run(document).then((results) => results.violations)")
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
}

const folder = process.env["SCREENSHOTS"]

/** Keeps what is to be seen, where it is asked for. */
export const screenshot = async (page: Page, name: string): Promise<void> => {
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled", caret: "hide" })
}
