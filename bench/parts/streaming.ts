import { Agent, request } from "undici"
import type { Context } from "../context.ts"
import { type LoadRequest, median, quantile, runLoad, turnOf } from "../load.ts"
import { startServer } from "../process.ts"
import { absoluteRow, ratioRow } from "../report.ts"
import { prepareTurnkeeper, seedTurnkeeper } from "../seed.ts"

const firstText = /event: text\ndata: \{"text":"([\d.]+) /

/** Turns that are watched, against such as are not. */
export const streaming = async (context: Context, rounds: number, seconds: number, watchers: number) => {
  const population = { users: watchers, conversations: watchers, messages: 4 }
  const url = await context.database("streaming")
  await prepareTurnkeeper(url, population.users)
  const server = await context.startTurnkeeper(url)
  const slowModel = await startServer("bench/model.ts", { MODEL_DELAY: "1000" })
  const patient = await context.startTurnkeeper(url, { OPENAI_BASE_URL: `${slowModel.url}/v1` })
  await seedTurnkeeper(url, population)
  const clients = 32
  const next = turnOf(population, clients)
  const watched = (client: number, n: number): LoadRequest => ({ ...next(client, n), accept: "text/event-stream" })

  const cost = async (turn: typeof next) => {
    const before = server.cpuMillis()
    const { requests } = await runLoad(server.url, clients, seconds, turn)
    return (server.cpuMillis() - before) / requests
  }
  for (const turn of [next, watched]) await cost(turn)
  const millis: Array<readonly [number, number]> = []
  for (let round = 0; round < rounds; round++) {
    millis.push([await cost(watched), await cost(next)])
    context.progress(
      `round ${round + 1} of ${rounds}: CPU of a turn, watched and not, ${millis
        .at(-1)
        ?.map((ms) => ms.toFixed(2))
        .join(" and ")} ms`
    )
  }

  const dispatcher = new Agent({ connections: null, headersTimeout: 120_000, bodyTimeout: 120_000 })
  /** Watches one turn; answers how late its first text came, in milliseconds, or nothing if it did not end well. */
  const watch = async (base: string, n: number): Promise<number | undefined> => {
    const { body, method, path, token } = next(n, 0)
    const response = await request(base + path, {
      method,
      dispatcher,
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        accept: "text/event-stream"
      },
      body: JSON.stringify(body)
    })
    let text = ""
    let late: number | undefined
    for await (const chunk of response.body) {
      text += chunk
      const sent = late === undefined ? firstText.exec(text)?.[1] : undefined
      if (sent !== undefined) late = performance.timeOrigin + performance.now() - Number(sent)
    }
    return text.includes("event: completed\n") ? late : undefined
  }
  const alone: Array<number> = []
  for (let n = 0; n < 200; n++) alone.push((await watch(server.url, n % population.users)) ?? Number.POSITIVE_INFINITY)
  alone.sort((a, b) => a - b)
  const crowd = await Promise.all(
    Array.from({ length: watchers }, (_, n) => watch(patient.url, n).catch(() => undefined))
  )
  const errors = crowd.filter((late) => late === undefined).length
  context.progress(`${watchers} watchers at once: ${errors} errors`)
  await dispatcher.close()
  await server.stop()
  await patient.stop()
  await slowModel.stop()
  return [
    ratioRow(
      "CPU of a turn that is watched, against one that is not",
      median(millis.map(([a, b]) => a / b)),
      "at most",
      1.5,
      `${median(millis.map(([a]) => a)).toFixed(2)} ms and ${median(millis.map(([, b]) => b)).toFixed(2)} ms`
    ),
    absoluteRow(
      "from the model's first text to its event at the client, p99 of 200 turns one by one",
      quantile(alone, 0.99),
      "ms",
      "at most",
      20,
      `p50 ${quantile(alone, 0.5).toFixed(1)} ms`
    ),
    absoluteRow(`${watchers} watchers of one instance at once: errors`, errors, "", "at most", 0)
  ]
}
