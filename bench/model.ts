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

const piece = (delta: object, finishReason: string | null = null) =>
  JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finishReason }] })
const usagePiece = JSON.stringify({
  choices: [],
  usage: { prompt_tokens: 580, completion_tokens: 45, total_tokens: 625 }
})
const askingPieces = [
  piece({
    role: "assistant",
    content: null,
    tool_calls: [{ index: 0, id: "call_bench", type: "function", function: { name: "add_task", arguments: "" } }]
  }),
  piece({ tool_calls: [{ index: 0, function: { arguments: '{"title":"Buy groceries"}' } }] }),
  piece({}, "tool_calls"),
  usagePiece
]
/** The first piece tells when it was sent, in milliseconds. */
const sayingPieces = () => [
  piece({ role: "assistant", content: `${(performance.timeOrigin + performance.now()).toFixed(3)} ` }),
  ...["I've", " added", " 'Buy", " groceries'", " to", " your", " list", "."].map((content) => piece({ content })),
  piece({}, "stop"),
  usagePiece
]

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    const text = Buffer.concat(chunks).toString("latin1")
    const answer = text.lastIndexOf('"role":"tool"') > text.lastIndexOf('"role":"user"') ? saying : asking
    const send = () => {
      if (text.includes('"stream":true')) {
        response.writeHead(200, { "content-type": "text/event-stream" })
        for (const piece of answer === saying ? sayingPieces() : askingPieces) response.write(`data: ${piece}\n\n`)
        response.end("data: [DONE]\n\n")
        return
      }
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
