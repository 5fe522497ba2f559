// Schemas are compiled when they are first used: this must come before whatever makes one.
import "effect/schema/SchemaJITCompiler/enable"
// Module by module: the package's index would load clients of Redis and WebSocket as well.
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, ConfigProvider, Console, Effect, Exit, Layer, Predicate, References, Result } from "effect"
import * as Config from "./Config.ts"
import * as Service from "./Service.ts"

/** The environment, and behind it a `.env` file if there is one. */
const variables = ConfigProvider.layer(
  ConfigProvider.fromDotEnv().pipe(
    Effect.map((file) => ConfigProvider.orElse(ConfigProvider.fromEnv(), file)),
    Effect.orElseSucceed(() => ConfigProvider.fromEnv()),
    Effect.provide(NodeFileSystem.layer)
  )
)

const program = Effect.gen(function* () {
  const config = yield* Config.load
  return yield* Layer.launch(Service.layer(config)).pipe(
    Effect.provideService(References.MinimumLogLevel, config.logLevel),
    // Nobody would look at the spans: there is nothing to export them to.
    Effect.provideService(References.TracerEnabled, false)
  )
}).pipe(
  Effect.provide(variables),
  // Whoever starts the service is told what is wrong in a sentence; a stack is for bugs.
  Effect.tapCause((cause) => {
    const failure = Cause.findError(cause)
    return Cause.hasInterruptsOnly(cause)
      ? Effect.void
      : Console.error(
          Result.isSuccess(failure) ? `turnkeeper cannot start: ${describe(failure.success)}` : Cause.pretty(cause)
        )
  })
)

/** What went wrong, from the outside to the cause, each thing once. */
const describe = (error: unknown): string => {
  const told: Array<string> = []
  for (let at: unknown = error; at instanceof Error && told.length < 5; at = at.cause) {
    const message = at.message === "" && "code" in at ? String(at.code) : at.message
    if (message !== "" && !told.some((earlier) => earlier.includes(message))) told.push(message)
  }
  const hint = Predicate.hasProperty(error, "_tag") ? hints[String(error._tag)] : undefined
  return hint === undefined ? told.join(": ") : `${told.join(": ")} ${hint}`
}

/** What an adapter cannot say, since it knows nothing of the environment. */
const hints: { readonly [tag: string]: string } = {
  AuthTablesMissing:
    "BETTER_AUTH_TABLES names them; where JWTs alone are to be taken, it is SESSIONS=off and JWKS_URL.",
  DataDirLocked: "The folder is that of DATA_DIR.",
  MigrationsMissing: "MIGRATE=on does, at the next start."
}

// The first signal ends the service cleanly, which may take as long as its turns; a second one ends it at once, as a
// crash would: other instances, or the next start, go on with what is left.
process.once("SIGINT", () => process.once("SIGINT", () => process.exit(130)))

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
