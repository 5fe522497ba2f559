import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** A server in a process of its own. */
export interface Server {
  readonly url: string
  /** What it has printed, up to that line and what came with it. */
  readonly banner: () => string
  /** How long it took from its start until it listened, in milliseconds. */
  readonly startMillis: number
  /** The CPU time that its process has used, in milliseconds, as the operating system counts it. */
  readonly cpuMillis: () => number
  /** The most memory that it ever held, in MiB (VmHWM). */
  readonly peakMiB: () => number
  /** The memory that it holds now, in MiB (VmRSS). */
  readonly residentMiB: () => number
  readonly stop: () => Promise<void>
}

const listening = /listens on (http:\S+)/
const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))

const start = /"start": "exec node (.*) (\S+)"/.exec(
  readFileSync(fileURLToPath(new URL("../package.json", import.meta.url)), "utf8")
)

/** Starts the service as `npm start` does. */
export const startService = (env: Record<string, string>, flags: ReadonlyArray<string> = []): Promise<Server> =>
  startServer(start?.[2] ?? "", env, [...(start?.[1] ?? "").split(" "), ...flags])

/** Starts a program of this repository, and waits for the line that tells its address. */
export const startServer = (
  program: string,
  env: Record<string, string>,
  flags: ReadonlyArray<string> = []
): Promise<Server> =>
  new Promise((resolve, reject) => {
    const cwd = mkdtempSync(join(tmpdir(), "turnkeeper-bench-"))
    const begun = performance.now()
    const child = spawn(process.execPath, [...flags, fileURLToPath(new URL(`../${program}`, import.meta.url))], {
      cwd,
      env: { PATH: process.env["PATH"], NODE_ENV: "production", PORT: "0", HOST: "127.0.0.1", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let told = false
    const read = (text: string) => {
      output += text
      if (told) return
      const url = listening.exec(output)?.[1]
      if (url === undefined) return
      told = true
      resolve(serverOf(child, url, performance.now() - begun, cwd, () => output))
    }
    child.stdout.setEncoding("utf8").on("data", read)
    child.stderr.setEncoding("utf8").on("data", read)
    child.once("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${output}`)))
  })

const serverOf = (child: ChildProcess, url: string, startMillis: number, cwd: string, banner: () => string): Server => {
  const proc = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, "utf8")
  const kibibytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(proc("status"))?.[1])
  return {
    url,
    banner,
    startMillis,
    cpuMillis: () => {
      const fields = proc("stat").split(") ")[1]?.split(" ") ?? []
      return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
    },
    peakMiB: () => kibibytes("VmHWM") / 1024,
    residentMiB: () => kibibytes("VmRSS") / 1024,
    stop: () =>
      new Promise((done) => {
        child.once("exit", () => {
          rmSync(cwd, { recursive: true, force: true })
          done()
        })
        child.kill("SIGTERM")
      })
  }
}
