import { createServer } from "node:http"

/*
 * A stand-in for the model that costs next to nothing: it asks once for add_task, and then says so. MODEL_DELAY: so many
 * milliseconds later.
 */
const delay = Number(process.env["MODEL_DELAY"] ?? 0)

const completion = (message: object, finishReason: string) =>
  JSON.stringify({
    id: "chatcmpl-bench",
    object: "chat.completion",
    created: 1_754_000_000,
    model: "gpt-4",
    choices: [
      {
        index: 0,
        message: { role: "assistant", refusal: null, ...message },
        logprobs: null,
        finish_reason: finishReason
      }
    ],
    usage: { prompt_tokens: 580, completion_tokens: 45, total_tokens: 625 }
  })
const asking = completion(
  {
    content: null,
    tool_calls: [
      { id: "call_bench", type: "function", function: { name: "add_task", arguments: '{"title":"Buy groceries"}' } }
    ]
  },
  "tool_calls"
)
const saying = completion({ content: "I've added 'Buy groceries' to your list." }, "stop")

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    const text = Buffer.concat(chunks).toString("latin1")
    const answer = text.lastIndexOf('"role":"tool"') > text.lastIndexOf('"role":"user"') ? saying : asking
    const send = () => {
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(answer))
      })
      response.end(answer)
    }
    // @effect-diagnostics-next-line globalTimers:off -- no Effect here: it would cost more than all the rest
    if (delay > 0) setTimeout(send, delay)
    else send()
  })
})
server.keepAliveTimeout = 75_000
server.listen(0, "127.0.0.1", 4096, () => {
  const address = server.address()
  // @effect-diagnostics-next-line globalConsole:off -- whoever started it waits for this line
  console.log(`listens on http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`)
})
