import blns from "big-list-of-naughty-strings/blns.json" with { type: "json" }
import { asTask, type Draft, encode, propertiesOf, setBody, setHeader, withProperty, writeJson } from "./draft.ts"
import type { JsonSchema, Operation } from "./operations.ts"

const codes = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `a${String.fromCharCode(from + i)}b`)

/** The Big List of Naughty Strings, and what it has not: each control character, lone surrogates, noncharacters, long ones. */
export const naughtyStrings: ReadonlyArray<string> = [
  ...blns,
  ...codes(0, 0x1f),
  ...codes(0x7f, 0x9f),
  "\ud800",
  "\udfff",
  "x\udc00\ud83dx",
  "\ufffe\uffff",
  "\u{10ffff}",
  "\ufeffx",
  "\u2028\u2029",
  "\u202ex\u2066y",
  "e\u0301".repeat(100),
  "\u0301".repeat(500),
  "\x1b[31mred\x1b[0m\x1b]0;title\x07",
  "x\r\nset-cookie: a=b\r\n\r\n<html>",
  "%00%0d%0a%ff%zz",
  "\\u0000\\ud800\\x00",
  "x".repeat(4000),
  "😀".repeat(1000),
  "__proto__",
  "$\u007bjndi:ldap://127.0.0.1/x}",
  "' or 1=1; drop table tasks; --",
  "$1 $2 \\' E'\\\\' ::text"
]

/** A place of a request where a text can stand. */
export interface Field {
  readonly name: string
  readonly put: (draft: Draft, text: string) => boolean
}

const takesText = (schema: JsonSchema): boolean => schema.type === "string" || (schema.anyOf?.some(takesText) ?? false)

// biome-ignore lint/suspicious/noControlCharactersInRegex: what no header may have
const illegalInHeader = /[\u0000-\u0008\u000a-\u001f\u007f]/

/** A text as the bytes of a header, of which each is a character to the client. */
const headerText = (text: string): string | undefined => {
  const bytes = Buffer.from(text).toString("latin1")
  return illegalInHeader.test(bytes) ? undefined : bytes
}

/** The name of the field that is repeated. */
export const requestIdField = "header x-request-id"

const header = (name: string, prefix = ""): Field => ({
  name: `header ${name}`,
  put: (draft, text) => {
    const value = headerText(text)
    if (value === undefined) return false
    setHeader(draft, name, prefix + value)
    return true
  }
})

/** Every place of the operation's requests where a text can stand, those of no schema as well. */
export const fieldsOf = (operation: Operation): ReadonlyArray<Field> => [
  ...operation.parameters.map((parameter): Field => {
    if (parameter.in === "header") return header(parameter.name)
    return {
      name: `${parameter.in} ${parameter.name}`,
      put: (draft, text) => {
        if (parameter.in === "path") draft.params.set(parameter.name, encode(text))
        else
          draft.query = [
            ...draft.query.filter((each) => !each.startsWith(`${parameter.name}=`)),
            `${parameter.name}=${encode(text)}`
          ]
        return true
      }
    }
  }),
  ...propertiesOf(operation)
    .filter(([, schema]) => takesText(schema))
    .map(
      ([name]): Field => ({
        name: `body ${name}`,
        put: (draft, text) => {
          writeJson(draft, withProperty(draft.json, name, text))
          return true
        }
      })
    ),
  ...(operation.body?.properties?.["message"] === undefined
    ? []
    : [
        {
          name: "body message, as a task",
          put: (draft: Draft, text: string) => {
            writeJson(draft, withProperty(draft.json, "message", asTask(text)))
            return true
          }
        }
      ]),
  ...(operation.body === undefined
    ? []
    : [
        {
          name: "the name of a property",
          put: (draft: Draft, text: string) => {
            writeJson(draft, withProperty(draft.json, text, text))
            return true
          }
        },
        {
          name: "the whole body",
          put: (draft: Draft, text: string) => {
            setBody(draft, text)
            return true
          }
        },
        header("content-type")
      ]),
  {
    name: "the name of a query parameter",
    put: (draft, text) => {
      draft.query.push(`${encode(text)}=${encode(text)}`)
      return true
    }
  },
  header("x-request-id"),
  header("accept"),
  ...(operation.secured ? [header("authorization", "Bearer ")] : [])
]

/** Whether a text is one that is in no answer by chance. */
export const isTelling = (text: string): boolean => text.length >= 20
