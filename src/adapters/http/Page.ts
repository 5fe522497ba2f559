import { Context, Effect, Layer, Option, Predicate } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, ProblemDetails } from "effect/http"
import { assetPath, assetsPath, pagePath } from "./Answers.ts"
import { type Asset, findAssets, importsUnder, makeAsset, sha256 } from "./Assets.ts"
import { cookieOf, hasCookie, hasKey } from "./PageLink.ts"
import { problem } from "./Problems.ts"

/** A user, and a token that is good for them. */
export interface PageSession {
  readonly id: string
  readonly name: string
  readonly token: string
}

/** Whom the page is signed in as in a browser on this machine that has opened the link; by default it asks for a token. */
export const LocalSession = Context.Reference<Option.Option<PageSession>>(
  "turnkeeper/adapters/http/Page/LocalSession",
  {
    defaultValue: Option.none
  }
)

/** Names the page's libraries. As a script within the page it needs its hash in the policy. */
const importMap = JSON.stringify({ imports: importsUnder(assetsPath) })

/** What the page may load, and from where: its own files, and what the service answers. */
const pagePolicy = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${sha256(importMap)}'`,
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  // What cleans the model's Markdown makes one policy, and nothing else may.
  "trusted-types dompurify"
].join("; ")

/** What renders replies is loaded when the first one is there, and what is types alone never. */
const laterModules = /^(?:Markdown|Wire)\./

const entryModule = /^main\./

const headLinesOf = (ownModules: ReadonlyArray<string>): string =>
  [
    `<script type="importmap">${importMap}</script>`,
    ...[...ownModules.filter((name) => !laterModules.test(name)), "preact.js", "preact-hooks.js"].map(
      (name) => `<link rel="modulepreload" href="${assetsPath}${name}">`
    ),
    ...ownModules
      .filter((name) => entryModule.test(name))
      .map((name) => `<script type="module" src="${assetsPath}${name}"></script>`)
  ].join("\n    ")

/** Where the head of the page gets what the server knows. */
const headMark = "<!-- head -->"

const ampersands = /&/g
const quotes = /"/g

const sessionLine = (session: PageSession): string =>
  `<meta name="session" content="${JSON.stringify(session).replace(ampersands, "&amp;").replace(quotes, "&quot;")}">`

const localHost = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i
const localPeer = /^(?:::ffff:)?127\.|^::1$/
const forwarded = /^(?:forwarded|via|x-forwarded(?:-.*)?|x-real-ip)$/

/**
 * Whether a request seems to come from a browser on this machine that shows this page: not through a proxy that happens to
 * run here, not under a name that an attacker has pointed here, and not from the script of another page. No proof, since a
 * proxy need not tell of itself: that is the cookie.
 */
export const isLocal = (
  request: Pick<HttpServerRequest.HttpServerRequest, "headers" | "peerAddress" | "source">
): boolean => {
  const { headers, source } = request
  return (
    localPeer.test(Option.getOrElse(request.peerAddress, () => "")) &&
    localHost.test(headers["host"] ?? "") &&
    !Object.keys(headers).some((name) => forwarded.test(name)) &&
    // Some proxies tell of themselves by nothing but their version.
    Predicate.hasProperty(source, "httpVersion") &&
    source.httpVersion === "1.1" &&
    headers["origin"] === undefined &&
    (headers["sec-fetch-mode"] ?? "navigate") === "navigate"
  )
}

/** Which of the forms in which an asset is kept a client takes (RFC 9110, section 12.5.3), the smallest first. */
const encodingFor = (accepted = ""): keyof Asset["encoded"] | undefined => {
  const wanted = new Map(
    accepted
      .toLowerCase()
      .split(",")
      .map((range) => {
        const [name = "", weight = "q=1"] = range.split(";").map((part) => part.trim())
        return [name, Number(weight.slice(2)) > 0] as const
      })
  )
  return (["br", "gzip"] as const).find((name) => wanted.get(name) === true)
}

/** Answers with an asset, or that the client has it as it is. It is asked for anew each time, and mostly not sent. */
const answerAsset = (request: HttpServerRequest.HttpServerRequest, asset: Asset) => {
  const headers = { "cache-control": "no-cache", etag: asset.etag, vary: "accept-encoding" }
  const known = (request.headers["if-none-match"] ?? "").split(",").map((tag) => tag.trim())
  if (known.includes(asset.etag)) return HttpServerResponse.empty({ status: 304, headers })
  const encoding = encodingFor(request.headers["accept-encoding"])
  return encoding === undefined
    ? HttpServerResponse.uint8Array(asset.plain, { contentType: asset.contentType, headers })
    : HttpServerResponse.uint8Array(asset.encoded[encoding], {
        contentType: asset.contentType,
        headers: { ...headers, "content-encoding": encoding }
      })
}

/** Takes a browser that has opened the link to the page, where it is signed in from then on. */
const signInBy = ({ token }: PageSession) => {
  const { name, value } = cookieOf(token)
  return HttpServerResponse.redirect(pagePath, { status: 303 }).pipe(
    HttpServerResponse.setCookieUnsafe(name, value, {
      httpOnly: true,
      sameSite: "strict",
      path: pagePath,
      // As long as browsers keep one (RFC 6265bis, section 5.5).
      maxAge: "400 days"
    })
  )
}

/** The page at `/` and its files. */
export const page = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const session = yield* LocalSession
    const { files, html, ownModules } = yield* findAssets
    const headLines = headLinesOf(ownModules)
    const signedOut = yield* Effect.cached(
      Effect.flatMap(html, (text) =>
        makeAsset(
          "index.html",
          text.replace(headMark, () => headLines)
        )
      )
    )
    yield* router.add(
      "GET",
      pagePath,
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        if (Option.isNone(session) || !isLocal(request)) return answerAsset(request, yield* signedOut)
        const { token } = session.value
        if (hasKey(request.url, token)) return signInBy(session.value)
        if (!hasCookie(request.cookies, token)) return answerAsset(request, yield* signedOut)
        const head = `${sessionLine(session.value)}\n    ${headLines}`
        return HttpServerResponse.text(
          (yield* html).replace(headMark, () => head),
          {
            contentType: "text/html; charset=utf-8",
            headers: { "cache-control": "no-store" }
          }
        )
      }).pipe(Effect.map(HttpServerResponse.setHeader("content-security-policy", pagePolicy)))
    )
    yield* router.add(
      "GET",
      assetPath,
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const { name = "" } = yield* HttpRouter.params
        const asset = files.get(name)
        return asset === undefined
          ? ProblemDetails.toResponse({ ...(yield* problem("not_found", "There is nothing at this path.")) })
          : answerAsset(request, yield* asset)
      })
    )
  })
)
