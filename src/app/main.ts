import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Cause, ConfigProvider, Console, Effect, Layer, References, Result } from "effect"
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
    Effect.provideService(References.MinimumLogLevel, config.logLevel)
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

const describe = (error: { readonly message: string; readonly cause?: unknown }): string => {
  const { cause } = error
  return cause instanceof Error && cause.message !== error.message
    ? `${error.message} (${describe(cause)})`
    : error.message
}

NodeRuntime.runMain(program, { disableErrorReporting: true })
