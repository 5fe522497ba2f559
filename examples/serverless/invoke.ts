// Calls the handler once, as a platform does, in a process that then goes away: npm run invoke -- PATH KEY BODY
import handler, { dispose } from "./handler.ts"

const [path = "", key = "", body = ""] = process.argv.slice(2)

const response = await handler.fetch(
  new Request(new URL(path, "https://app.example"), {
    method: "POST",
    headers: {
      authorization: `Bearer ${process.env["TOKEN"]}`,
      "content-type": "application/json",
      "idempotency-key": key
    },
    body
  })
)
const headers = Object.fromEntries(response.headers)
process.stdout.write(`${JSON.stringify({ status: response.status, headers, text: await response.text() })}\n`)
await dispose()
