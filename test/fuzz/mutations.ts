import type { Dice } from "./dice.ts"
import {
  type Draft,
  encode,
  propertiesOf,
  setBody,
  setHeader,
  withoutProperty,
  withProperty,
  writeJson
} from "./draft.ts"
import type { JsonSchema, Parameter } from "./operations.ts"
import type { Expectation } from "./oracle.ts"

/** One way to make a request invalid, or at least odd. It says what must become of it, or nothing if it does not apply. */
interface Mutation {
  readonly name: string
  readonly apply: (draft: Draft, dice: Dice) => Expectation | undefined
}

const typesOf = (schema: JsonSchema): ReadonlyArray<string> =>
  schema.anyOf === undefined ? [schema.type ?? ""] : schema.anyOf.flatMap(typesOf)

const longestOf = (schema: JsonSchema): number | undefined =>
  schema.maxLength ?? schema.anyOf?.map(longestOf).find((length) => length !== undefined)

const shortestOf = (schema: JsonSchema): number =>
  schema.minLength ?? Math.max(0, ...(schema.anyOf ?? []).map(shortestOf))

const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return typeof value
}

/** A place within lists within lists, as text: no encoder gets that deep. */
const nested = (depth: number, open: string, close: string, inside = "") =>
  open.repeat(depth) + inside + close.repeat(depth)

/** Values of every kind, as JSON. */
const values = [
  "null",
  "true",
  "0",
  "-0",
  "-1",
  "1.5",
  "1e400",
  "-1e400",
  "5e-324",
  "9007199254740993",
  "99999999999999999999999999999999999999",
  '""',
  '"x"',
  '"null"',
  "[]",
  "[[]]",
  "[null]",
  '["x","y"]',
  "{}",
  '{"toString":null}',
  '{"length":1,"0":"x"}',
  '{"__proto__":{"a":1}}',
  '{"constructor":{"prototype":{}}}'
] as const

/** The JSON of an object, in which one property is given as it is written. */
const jsonWith = (json: unknown, name: string, written: string): string => {
  const rest = JSON.stringify(withoutProperty(json, name)).slice(1, -1)
  return `{${rest}${rest === "" ? "" : ","}${JSON.stringify(name)}:${written}}`
}

const property = (draft: Draft, dice: Dice) => dice.pickOr(propertiesOf(draft.operation), undefined)

const isRequired = (draft: Draft, name: string) => draft.operation.body?.required?.includes(name) ?? false

/** Texts that no property takes, in JSON. */
const unstorable = ['"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"x\\udfffx"', '"\\udc00\\ud800"'] as const

const bodyMutations: ReadonlyArray<Mutation> = [
  {
    name: "a property is missing",
    apply: (draft, dice) => {
      const [name] = property(draft, dice) ?? []
      if (name === undefined) return
      draft.json = withoutProperty(draft.json, name)
      writeJson(draft)
      return isRequired(draft, name) ? "refused" : "any"
    }
  },
  {
    name: "a property is of another type",
    apply: (draft, dice) => {
      const [name, schema] = property(draft, dice) ?? []
      if (name === undefined || schema === undefined) return
      const written = dice.pick(values)
      setBody(draft, jsonWith(draft.json, name, written))
      const types = typesOf(schema)
      // `1e400` is a number in JSON, and none in JavaScript.
      return types.includes(kindOf(JSON.parse(written))) ? "any" : "refused"
    }
  },
  {
    name: "a text is too long",
    apply: (draft, dice) => {
      const [name, schema] = property(draft, dice) ?? []
      const longest = schema === undefined ? undefined : longestOf(schema)
      if (name === undefined || longest === undefined) return
      const text = dice.pick(["x", "😀", "\u00e9", "\u202e"]).repeat(longest + 1 + dice.below(dice.pick([1, 10, 5000])))
      writeJson(draft, withProperty(draft.json, name, text))
      return "refused"
    }
  },
  {
    name: "a text is empty",
    apply: (draft, dice) => {
      const [name, schema] = property(draft, dice) ?? []
      if (name === undefined || schema === undefined || !typesOf(schema).includes("string")) return
      writeJson(draft, withProperty(draft.json, name, dice.pick(["", " ", "\t\n\r ", "\u00a0\u3000\ufeff"])))
      return shortestOf(schema) > 0 ? "refused" : "any"
    }
  },
  {
    name: "a text cannot be stored",
    apply: (draft, dice) => {
      const [name, schema] = property(draft, dice) ?? []
      if (name === undefined || schema === undefined || !typesOf(schema).includes("string")) return
      setBody(draft, jsonWith(draft.json, name, dice.pick(unstorable)))
      return "refused"
    }
  },
  {
    name: "an unknown property",
    apply: (draft, dice) => {
      const name = dice.pick([
        "__proto__",
        "constructor",
        "toString",
        "",
        "\u0000",
        "\ud800",
        "user_id",
        "id",
        "then",
        "0"
      ])
      const extra = jsonWith(draft.json, name, dice.pick([...values, '"\\u0000"', nested(10_000, "[", "]")]))
      setBody(draft, extra)
      return "any"
    }
  },
  {
    name: "a property comes twice",
    apply: (draft, dice) => {
      const [name] = property(draft, dice) ?? []
      if (name === undefined) return
      const written = JSON.stringify(draft.json)
      setBody(draft, `{${JSON.stringify(name)}:${dice.pick(values)},${written.slice(1)}`)
      // RFC 8259, section 4: what becomes of it is not foretold.
      return "any"
    }
  },
  {
    name: "deep nesting",
    apply: (draft, dice) => {
      const [name] = property(draft, dice) ?? []
      const depth = dice.pick([10, 1000, 10_000, 16_000])
      const deep = dice.pick([nested(depth, "[", "]"), nested(Math.min(depth, 10_000), '{"a":', "}", "1")])
      setBody(draft, name === undefined || dice.percent(30) ? deep : jsonWith(draft.json, name, deep))
      return "refused"
    }
  },
  {
    name: "a body of another shape",
    apply: (draft, dice) => {
      setBody(draft, dice.pickOr([...values.filter((each) => !each.startsWith("{")), '"{}"', "[{}]"], "[]"))
      return "refused"
    }
  },
  {
    name: "a body that is no JSON",
    apply: (draft, dice) => {
      const text = JSON.stringify(draft.json)
      const broken = [
        text.slice(0, 1 + dice.below(text.length - 1)),
        `${text}x`,
        `${text}${text}`,
        `${text}\0`,
        `${text.slice(0, -1)},}`,
        text.replaceAll('"', "'"),
        `/* x */${text}`,
        `\u00a0${text}`,
        "undefined",
        "NaN",
        "-Infinity",
        "0x10",
        "01",
        "+1",
        "1.",
        '"\\x41"',
        '"\t"',
        '{"a":"\n"}',
        "{]",
        "\0",
        " ",
        "a=b&c=d",
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>"
      ] as const
      setBody(draft, dice.pickOr(broken, ""))
      return "refused"
    }
  },
  {
    name: "a body in other bytes",
    apply: (draft, dice) => {
      const text = JSON.stringify(draft.json)
      const whole = Buffer.from(text)
      const hex = Buffer.from(jsonWith(draft.json, "x", '"@@"')).toString("hex")
      const bytes: ReadonlyArray<readonly [Buffer, Expectation]> = [
        // RFC 8259, section 8.1: who reads it may ignore it, or not.
        [Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), whole]), "any"],
        [Buffer.from(`\ufeff${text}`, "utf16le"), "refused"],
        [Buffer.from(text, "utf16le"), "refused"],
        [Buffer.from(text, "utf16le").swap16(), "refused"],
        [Buffer.concat([whole.subarray(0, -1), Buffer.from([0xff]), whole.subarray(-1)]), "refused"],
        // An overlong "/", a surrogate, what is beyond Unicode, and halves of something.
        ...["c0af", "eda080", "f4908080", "80", "c3", "f8888080"].map(
          (wrong) => [Buffer.from(hex.replace("4040", wrong), "hex"), "refused"] as const
        )
      ]
      const [body, expects] = dice.pickOr(bytes, [whole, "any"] as const)
      setBody(draft, body)
      return expects
    }
  },
  {
    name: "a body around the greatest length",
    apply: (draft, dice) => {
      const text = JSON.stringify(draft.json)
      const room = (draft.operation.path.endsWith("/chat/ui") ? 1_048_576 : 65_536) - Buffer.byteLength(text)
      const more = dice.pick([-1, 0, 1, 2, 1000, 65_536, 200_000])
      setBody(draft, `${text}${" ".repeat(room + more)}`)
      draft.chunked = dice.percent(40)
      return more > 0 ? "refused" : "accepted"
    }
  },
  {
    name: "no body",
    apply: (draft) => {
      draft.body = undefined
      return "refused"
    }
  },
  {
    name: "an empty body",
    apply: (draft, dice) => {
      setBody(draft, "")
      draft.chunked = dice.percent(50)
      return "refused"
    }
  },
  {
    name: "another content type",
    apply: (draft, dice) => {
      const type = dice.pick([
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; boundary=x",
        "application/json, application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/json;;",
        "*/*",
        "json",
        "",
        "\xff"
      ])
      setHeader(draft, "content-type", type)
      return "refused"
    }
  },
  {
    name: "no body, of another content type",
    apply: (draft, dice) => {
      setHeader(draft, "content-type", dice.pick(["text/plain", "application/xml", "x", "\x9b31m", "a/\x80\xff"]))
      if (dice.percent(50)) draft.body = undefined
      else setBody(draft, "")
      draft.chunked = dice.percent(30)
      return "refused"
    }
  },
  {
    name: "no content type",
    apply: (draft) => {
      draft.headers = draft.headers.filter(([name]) => name !== "content-type")
      return "refused"
    }
  },
  {
    name: "a coding of the content",
    apply: (draft, dice) => {
      setHeader(
        draft,
        "content-encoding",
        dice.pick(["gzip", "deflate", "br", "x", "gzip, identity", "identity, gzip"])
      )
      return "refused"
    }
  }
]

const param = (draft: Draft, dice: Dice, where: string): Parameter | undefined =>
  dice.pickOr(
    draft.operation.parameters.filter((each) => each.in === where),
    undefined
  )

const badNumbers = (schema: JsonSchema) => [
  "0",
  "-1",
  "-0",
  "+1",
  "01",
  "1.0",
  "1.5",
  "1e2",
  "1e400",
  "0x10",
  "0b1",
  "1_0",
  "1n",
  "NaN",
  "Infinity",
  "null",
  "",
  "%20",
  "%201",
  "1%20",
  "1%00",
  "%D9%A1",
  "%EF%BC%91",
  `${(schema.maximum ?? 0) + 1}`,
  "4294967297",
  "9223372036854775808",
  "9".repeat(400)
]

const badIds = (real: string) => [
  "x",
  "%00",
  "%zz",
  "%",
  "%2",
  "%c3%28",
  "%ff",
  "%ed%a0%80",
  "%2e%2e",
  "..",
  ".",
  "%2f",
  "..%2f..%2fetc%2fpasswd",
  "%5c",
  "%25",
  "%2500",
  ";",
  ";x=1",
  "'%20or%20'1'='1",
  "%F0%9F%98%80",
  `${real}%00`,
  `${real}%20`,
  `%20${real}`,
  `%7B${real}%7D`,
  `${real}x`,
  real.slice(1),
  "*",
  "~",
  "$%7Bjndi:ldap://x%7D",
  "a".repeat(129),
  "0".repeat(10_000)
]

/** Cursors that nobody gave: garbage, those of other lists, and real ones with a change. */
const badCursors = (draft: Draft, dice: Dice): string => {
  const real = dice.pickOr([...draft.belongings.cursors.values()].flat(), "eyJpZCI6N30")
  const at = dice.below(real.length)
  const flipped = real.slice(0, at) + dice.pickOr([..."Aa0-_z"], "A") + real.slice(at + 1)
  const json = [
    '{"id":0}',
    '{"id":1e400}',
    '{"id":2147483648}',
    '{"id":-9223372036854775808}',
    '{"id":"1"}',
    '{"id":"\\u0000"}',
    '{"id":1.5}',
    '{"seq":-1}',
    '{"seq":2147483648}',
    '{"seq":1e308}',
    '{"seq":null}',
    '{"updatedAt":1e400,"id":"00000000-0000-0000-0000-000000000000"}',
    '{"updatedAt":-62135596800001,"id":"00000000-0000-0000-0000-000000000000"}',
    '{"updatedAt":8640000000000001,"id":"00000000-0000-0000-0000-000000000000"}',
    '{"updatedAt":253402214400000,"id":"ffffffff-ffff-ffff-ffff-ffffffffffff"}',
    '{"updatedAt":0,"id":"\'; drop table tasks; --"}',
    '{"updatedAt":0,"id":"00000000-0000-0000-0000-000000000000\\u0000"}',
    '{"__proto__":{"id":1,"seq":1}}',
    '{"id":1,"id":2}',
    '{"id":1}x',
    "null",
    "[]",
    "1",
    "",
    "\ufeff{}",
    nested(5000, "[", "]")
  ]
  const made = Buffer.from(dice.pickOr(json, "")).toString(dice.pick(["base64url", "base64url", "base64", "hex"]))
  const odd = [
    flipped,
    real.slice(0, at),
    `${real}=`,
    `${real}==`,
    `${real}A`,
    `${real}\n`,
    real + real,
    real.toUpperCase()
  ]
  return encode(dice.percent(50) ? made : dice.pickOr(odd, made))
}

const replaceQuery = (draft: Draft, name: string, ...written: ReadonlyArray<string>): void => {
  draft.query = [
    ...draft.query.filter((each) => !each.startsWith(`${name}=`)),
    ...written.map((value) => `${name}=${value}`)
  ]
}

/** What a chat is called is a front end's to say. */
const isAnyText = ({ format, pattern, type }: JsonSchema): boolean =>
  type === "string" && format === undefined && pattern === undefined

const urlMutations: ReadonlyArray<Mutation> = [
  {
    name: "a bad parameter of the path",
    apply: (draft, dice) => {
      const parameter = param(draft, dice, "path")
      if (parameter === undefined) return
      const bad =
        parameter.schema.type === "integer"
          ? badNumbers(parameter.schema)
          : badIds(draft.params.get(parameter.name) ?? "")
      draft.params.set(parameter.name, dice.pickOr(bad, ""))
      return isAnyText(parameter.schema) ? "any" : "refused"
    }
  },
  {
    name: "another's path",
    apply: (draft, dice) => {
      if (!draft.params.has("user_id")) return
      draft.params.set("user_id", dice.pick(["somebody", "USER-2_", "00", "__proto__", "a".repeat(128)]))
      return "refused"
    }
  },
  {
    name: "a bad parameter of the query",
    apply: (draft, dice) => {
      const parameter = param(draft, dice, "query")
      if (parameter === undefined) return
      const { name, schema } = parameter
      if (schema.type === "integer") replaceQuery(draft, name, dice.pickOr(badNumbers(schema), ""))
      else if (schema.enum !== undefined)
        replaceQuery(draft, name, dice.pick(["", "ALL", "Asc", "x", "all,pending", "asc%00", "%zz", "null", "%20asc"]))
      else {
        replaceQuery(draft, name, badCursors(draft, dice))
        // A changed cursor may be a good one by chance.
        return "any"
      }
      return "refused"
    }
  },
  {
    name: "a parameter of the query comes twice",
    apply: (draft, dice) => {
      const parameter = param(draft, dice, "query")
      if (parameter === undefined) return
      const value = `${parameter.schema.enum?.[0] ?? 1}`
      replaceQuery(
        draft,
        parameter.name,
        value,
        dice.pick([value, "2", ""]),
        ...(dice.percent(20) ? new Array(200).fill(value) : [])
      )
      return "refused"
    }
  },
  {
    name: "an odd query",
    apply: (draft, dice) => {
      draft.query.push(
        dice.pick([
          "",
          "&&&&",
          "=",
          "=x",
          "?",
          "%zz",
          "%",
          "a=%ff",
          "limit[]=1",
          "limit%5B%5D=1",
          "limit[__proto__]=1",
          "__proto__=1&constructor=2",
          "a".repeat(8000),
          "a=1&".repeat(2000),
          ";limit=0",
          "a=b;c=d",
          "%00=%00",
          "\xff=\xfe",
          "'\"<>`{}|\\^"
        ])
      )
      return "any"
    }
  }
]

const odd = "header values that nobody asked for"

/** Headers that may change nothing, or refuse the request; they never break the service. */
const oddHeaders = [
  ["accept", "application/xml"],
  ["accept", "*/*;q=0"],
  ["accept", "\xff\xfe"],
  ["accept", ";;;,,,"],
  ["accept-charset", "utf-16"],
  ["accept-encoding", "identity;q=0, *;q=0"],
  ["range", "bytes=0-0,-1"],
  ["if-none-match", "*"],
  ["if-modified-since", "x"],
  ["x-http-method-override", "DELETE"],
  ["x-forwarded-for", "'; drop table x; --"],
  ["x-forwarded-host", "evil.example"],
  ["x-original-url", "/health/live"],
  ["cookie", "a=b; __proto__=1; \xff"],
  ["origin", "null"],
  ["te", "trailers"],
  ["traceparent", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-ff"],
  ["traceparent", "x"],
  ["b3", "\xff"],
  ["__proto__", "x"],
  ["constructor", "x"],
  ["x", ""],
  ["x", "y".repeat(8000)],
  ["x-request-id", ""],
  ["x-request-id", "a b"],
  ["x-request-id", "a".repeat(65)],
  ["x-request-id", "\x80\x9b\xff"],
  ["x-request-id", "<script>alert(1)</script>"]
] as const

const badTokens = [
  "",
  "Bearer",
  "Bearer ",
  "Bearer x",
  "Bearer  ",
  "Basic YTpi",
  "bearer\ttoken-0",
  "Bearer token-0 token-1",
  "Bearer token-0,Bearer token-1",
  "Bearer '; drop table session; --",
  "Bearer %00",
  "Bearer %zz",
  "Bearer token%2D0%00",
  "Bearer a.b",
  "Bearer .",
  "Bearer \xff\xfe",
  "Bearer __proto__",
  `Bearer ${"x".repeat(5000)}`,
  "token-0"
] as const

const badKeys = [
  "",
  '"',
  '""',
  "a b",
  "a\tb",
  "\xff",
  '"a',
  '"a"b',
  '"\\x"',
  "a".repeat(256),
  "a".repeat(5000)
] as const

const headerMutations: ReadonlyArray<Mutation> = [
  {
    name: odd,
    apply: (draft, dice) => {
      for (let i = dice.below(4); i >= 0; i--)
        setHeader(draft, ...dice.pickOr<readonly [name: string, value: string]>(oddHeaders, ["x", ""]))
      return "any"
    }
  },
  {
    name: "many headers",
    apply: (draft, dice) => {
      for (let i = dice.pick([10, 100, 500]); i > 0; i--) draft.headers.push([`x-${i}`, "y"])
      return "any"
    }
  },
  {
    name: "a bad token",
    apply: (draft, dice) => {
      if (!draft.operation.secured) return
      setHeader(draft, "authorization", dice.pick(badTokens))
      return "refused"
    }
  },
  {
    name: "no token",
    apply: (draft) => {
      if (!draft.operation.secured) return
      draft.headers = draft.headers.filter(([name]) => name !== "authorization")
      return "refused"
    }
  },
  {
    name: "a bad header",
    apply: (draft, dice) => {
      const parameter = param(draft, dice, "header")
      if (parameter === undefined) return
      setHeader(draft, parameter.name, dice.pick(badKeys))
      return "refused"
    }
  },
  {
    name: "a header comes twice",
    apply: (draft, dice) => {
      const parameter = param(draft, dice, "header")
      if (parameter === undefined) return
      draft.headers.push([parameter.name, "a"], [parameter.name, "b"])
      return "refused"
    }
  }
]

const methods = [
  "HEAD",
  "OPTIONS",
  "GET",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "TRACE",
  "PROPFIND",
  "FOO",
  "QUERY",
  "M-SEARCH"
] as const

const methodMutations: ReadonlyArray<Mutation> = [
  {
    name: "another method",
    apply: (draft, dice) => {
      draft.method = dice.pick(methods)
      return "any"
    }
  },
  {
    name: "a body that nobody reads",
    apply: (draft, dice) => {
      if (draft.body !== undefined) return
      setBody(draft, dice.pick(["x", "{}", "\0", "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", " ".repeat(100_000)]))
      draft.chunked = dice.percent(30)
      return "any"
    }
  }
]

/** Expectations add up: what one thing refuses, another does not let in. */
const worse = (a: Expectation, b: Expectation): Expectation =>
  a === "refused" || b === "refused" ? "refused" : a === "any" || b === "any" ? "any" : "accepted"

/** Makes a request invalid in one way or two, and tells in which. */
export const mutate = (draft: Draft, dice: Dice): string => {
  const lists = [
    ...(draft.operation.body === undefined ? [] : [bodyMutations, bodyMutations, bodyMutations]),
    ...(draft.operation.parameters.length === 0 ? [] : [urlMutations, urlMutations]),
    headerMutations,
    methodMutations
  ]
  const names: Array<string> = []
  for (let left = dice.percent(20) ? 2 : 1; left > 0; ) {
    const mutation = dice.pickOr(dice.pickOr(lists, []), undefined)
    const expects = mutation?.apply(draft, dice)
    if (mutation === undefined || expects === undefined) continue
    names.push(mutation.name)
    draft.expects = worse(draft.expects, expects)
    left--
  }
  // What is changed twice may undo the first, and what goes elsewhere has other rules.
  if (names.length > 1 || names.includes("another method")) draft.expects = "any"
  return names.join(", ")
}
