import { request } from "node:http"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Headers } from "effect/http"
import { isLocal, LocalSession } from "../../../src/adapters/http/Page.ts"
import { cookieOf, signInLink } from "../../../src/adapters/http/PageLink.ts"
import { problemJson, serveFakes } from "../../support/http.ts"

const session = { id: "demo", name: 'Demo "&" <D>', token: "demo-token" }

const served = serveFakes().pipe(Effect.provide(Layer.succeed(LocalSession, Option.some(session))))

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: Buffer
}

/** As `fetch` would not: with a `Host` of one's own, and the body as it is sent. */
const get = (port: number, path: string, headers: Record<string, string> = {}): Effect.Effect<Got> =>
  Effect.callback((resume) => {
    request({ port, host: "127.0.0.1", path, headers, agent: false }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () =>
        resume(
          Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks)
          })
        )
      )
    }).end()
  })

/** The files that the page names, and those that they name. */
const assetsOf = Effect.fnUntraced(function* (port: number) {
  const paths = new Set<string>()
  const look = (text: string) => {
    for (const [path] of text.matchAll(/\/assets\/[\w.-]+/g)) paths.add(path)
    for (const [, name] of text.matchAll(/(?:from |import\()"\.\/([\w.-]+)"/g)) paths.add(`/assets/${name}`)
  }
  look((yield* get(port, "/")).body.toString())
  const assets = new Map<string, Got>()
  for (const path of paths) {
    const asset = yield* get(port, path)
    assets.set(path, asset)
    look(asset.body.toString())
  }
  return assets
})

describe("the page", () => {
  it.live("is there for everybody, may load nothing but what is the service's own, and runs no text as a script", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      for (const headers of [{}, { host: "turnkeeper.example.com" }]) {
        const { body, headers: got, status } = yield* get(port, "/", headers)
        assert.strictEqual(status, 200)
        assert.strictEqual(got["content-type"], "text/html; charset=utf-8")
        assert.match(body.toString(), /^<!doctype html>/)
        const policy = `${got["content-security-policy"]}`
        for (const directive of [
          "default-src 'none'",
          "connect-src 'self'",
          "style-src 'self'",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'",
          "require-trusted-types-for 'script'"
        ]) {
          assert.include(policy.split("; "), directive)
        }
        assert.match(policy, /script-src 'self' 'sha256-[\w+/=]+';/)
        assert.notMatch(policy, /unsafe|https?:|\*/)
      }
    })
  )

  it.live("consists of files of its own, which weigh less than 150 KiB together", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      const assets = yield* assetsOf(port)
      assert.includeMembers(
        [...assets.keys()],
        ["main.ts", "Markdown.ts", "page.css", "icon.svg", "preact.js", "marked.js", "dompurify.js"].map(
          (name) => `/assets/${name}`
        )
      )
      let weight = (yield* get(port, "/", { "accept-encoding": "br" })).body.length
      for (const [path, plain] of assets) {
        assert.strictEqual(plain.status, 200, path)
        const br = yield* get(port, path, { "accept-encoding": "gzip;q=0.5, br" })
        const gzip = yield* get(port, path, { "accept-encoding": "gzip, br;q=0" })
        assert.strictEqual(br.headers["content-encoding"], "br")
        assert.strictEqual(gzip.headers["content-encoding"], "gzip")
        assert.isTrue(brotliDecompressSync(br.body).equals(plain.body), path)
        assert.isTrue(gunzipSync(gzip.body).equals(plain.body), path)
        assert.notProperty(plain.headers, "content-encoding")
        assert.strictEqual(plain.headers["vary"], "accept-encoding")
        weight += Math.max(br.body.length, gzip.body.length)
      }
      assert.isBelow(weight, 150 * 1024)
    })
  )

  it.live("is served as JavaScript without its types", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      const { body, headers } = yield* get(port, "/assets/Store.ts")
      assert.strictEqual(headers["content-type"], "text/javascript; charset=utf-8")
      assert.notMatch(body.toString(), /\binterface |import type/)
    })
  )

  it.live("is asked for anew each time, and sent when it has changed", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      for (const path of ["/assets/page.css", "/"]) {
        const first = yield* get(port, path, { host: "turnkeeper.example.com" })
        assert.strictEqual(first.headers["cache-control"], "no-cache")
        const etag = `${first.headers["etag"]}`
        const again = yield* get(port, path, { host: "turnkeeper.example.com", "if-none-match": `W/"x", ${etag}` })
        assert.strictEqual(again.status, 304)
        assert.strictEqual(again.body.length, 0)
        assert.strictEqual(again.headers["etag"], etag)
        const other = yield* get(port, path, { host: "turnkeeper.example.com", "if-none-match": 'W/"x"' })
        assert.strictEqual(other.status, 200)
      }
    })
  )

  it.live("takes no other method, and has no other file", () =>
    Effect.gen(function* () {
      const { fetch } = yield* serveFakes()
      for (const path of ["/", "/assets/page.css"]) {
        const response = yield* fetch("POST", path)
        assert.strictEqual(response.status, 405)
        assert.strictEqual(response.headers["allow"], "GET, HEAD")
        assert.strictEqual((yield* fetch("HEAD", path)).status, 200)
      }
      for (const name of ["nothing.js", "index.html", "tsconfig.json", "..%2fApi.ts", "%2e%2e%2fApi.ts"]) {
        const response = yield* fetch("GET", `/assets/${name}`)
        assert.strictEqual(response.status, 404, name)
        assert.deepStrictEqual(
          response.json(),
          problemJson(404, "not_found", "There is no such thing", "There is nothing at this path.")
        )
      }
    })
  )
})

describe("the session of this machine", () => {
  const given = (body: Buffer): unknown => {
    const content = /<meta name="session" content="([^"]*)">/.exec(body.toString())?.[1]
    return content === undefined ? undefined : JSON.parse(content.replaceAll("&quot;", '"').replaceAll("&amp;", "&"))
  }

  const path = signInLink("", session.token)
  const { name, value } = cookieOf(session.token)
  const cookie = `${name}=${value}`

  it.live("is given to a browser on this machine that has opened the link, and kept by no cache", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      for (const host of ["localhost", "LOCALHOST:80", `127.0.0.1:${port}`, "[::1]:8000"]) {
        for (const mode of [{}, { "sec-fetch-mode": "navigate" }]) {
          const { body, headers, status } = yield* get(port, path, { host, ...mode })
          assert.strictEqual(status, 303)
          assert.strictEqual(headers["location"], "/")
          assert.strictEqual(headers["cache-control"], "no-store")
          assert.strictEqual(body.length, 0)
          const [set = ""] = headers["set-cookie"] ?? []
          assert.deepStrictEqual(set.split("; ").toSorted(), [
            "HttpOnly",
            "Max-Age=34560000",
            "Path=/",
            "SameSite=Strict",
            cookie
          ])
          const signedIn = yield* get(port, "/", { host, cookie: `a=b; ${cookie}`, "accept-encoding": "br", ...mode })
          assert.deepStrictEqual(given(signedIn.body), session, host)
          assert.strictEqual(signedIn.headers["cache-control"], "no-store")
          assert.notProperty(signedIn.headers, "etag")
        }
      }
    })
  )

  it.live("is given to nobody who has not, however local the request looks", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      const [ofOther, { token }] = [cookieOf("other-token"), session]
      const wrong: ReadonlyArray<readonly [path: string, headers: Record<string, string>]> = [
        // As a proxy on this machine asks that tells nothing of itself, such as nginx 1.29.7 by default.
        ["/", {}],
        ...["?key", "?key=", "?key=x", `?key=${token}`, `?KEY=${value}`, `?key=${value}`, `${path.slice(1)}x`].map(
          (query) => [`/${query}`, {}] as const
        ),
        [signInLink("", "other-token"), {}],
        ...[`${name}=`, `${name}=x`, `${name}=${token}`, `${cookie}x`, `${name}=${ofOther.value}`, `x${cookie}`].map(
          (cookie) => ["/", { cookie }] as const
        )
      ]
      for (const [path, headers] of wrong) {
        const { body, headers: got, status } = yield* get(port, path, { host: "localhost:8000", ...headers })
        assert.strictEqual(status, 200, path)
        assert.notProperty(got, "set-cookie")
        assert.isUndefined(given(body), JSON.stringify([path, headers]))
        assert.notInclude(body.toString(), session.token)
      }
    })
  )

  it.live("is no use to the API: its cookie is not looked at there", () =>
    Effect.gen(function* () {
      const { port } = yield* served
      const { status } = yield* get(port, "/api/v1/me", { host: "localhost:8000", cookie })
      assert.strictEqual(status, 401)
    })
  )

  it.live("is given to nobody from elsewhere, with the cookie or the key", () =>
    Effect.gen(function* () {
      const { port, raw } = yield* served
      const others: ReadonlyArray<Record<string, string>> = [
        ...[
          "turnkeeper.example.com",
          "localhost.example.com",
          "127.0.0.1.example.com:8000",
          "evil-localhost",
          "192.168.0.7:8000",
          "[::]:8000",
          "localhost:",
          "user@localhost"
        ].map((host) => ({ host })),
        ...["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"].map(
          (name) => ({
            [name]: "127.0.0.1"
          })
        ),
        { origin: "https://evil.example" },
        { origin: "null" },
        { "sec-fetch-mode": "cors" },
        { "sec-fetch-mode": "no-cors" }
      ]
      for (const headers of others) {
        for (const at of ["/", path]) {
          const { body, headers: got, status } = yield* get(port, at, { host: "localhost", cookie, ...headers })
          assert.strictEqual(status, 200)
          assert.notProperty(got, "set-cookie")
          assert.notInclude(body.toString(), session.token, JSON.stringify(headers))
        }
      }
      // As older proxies ask by default.
      const old = yield* raw(`GET / HTTP/1.0\r\nhost: localhost\r\ncookie: ${cookie}\r\nconnection: close\r\n\r\n`)
      assert.include(old, "200 OK")
      assert.notInclude(old, session.token)
    })
  )

  it("is given to this machine, and to no other", () => {
    const isGivenTo = (peer: string) =>
      isLocal({
        headers: Headers.fromInput({ host: "localhost:8000" }),
        peerAddress: Option.some(peer),
        source: { httpVersion: "1.1" }
      })
    for (const peer of ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]) assert.isTrue(isGivenTo(peer), peer)
    for (const peer of ["", "192.0.2.1", "10.127.0.1", "::ffff:192.0.2.1", "::", "fe80::1", "2001:db8::1"]) {
      assert.isFalse(isGivenTo(peer), peer)
    }
  })

  it.live("is given to nobody where there is none", () =>
    Effect.gen(function* () {
      const { port } = yield* serveFakes()
      assert.isUndefined(given((yield* get(port, "/", { host: "localhost", cookie })).body))
      assert.strictEqual((yield* get(port, path, { host: "localhost" })).status, 200)
    })
  )
})
