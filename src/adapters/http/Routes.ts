import { Context, Effect, Layer, Option } from "effect"
import type { FindMyWay } from "effect/http"
import { type HttpApi, HttpApiBuilder, type HttpApiEndpoint, type HttpApiGroup } from "effect/http-api"
import type { Chat } from "../../domain/Chat.ts"
import type { TurnFeed } from "../../domain/TurnFeed.ts"
import type { ConversationRepo } from "../../ports/ConversationRepo.ts"
import type { TaskTools } from "../../ports/TaskTools.ts"
import {
  AgentApi,
  type AgentGroups,
  Api,
  Authentication,
  type ChatBody,
  type FairShare,
  type Identified,
  type JsonBody,
  type OwnPath,
  type ValidRequest
} from "./Api.ts"
import * as Handlers from "./Handlers.ts"
import { authentication, chatBody, fairShare, identified, jsonBody, ownPath, validRequest } from "./Middleware.ts"

/** How the router must be set up: paths are matched as they are written. */
export const routerConfig: Partial<FindMyWay.RouterConfig> = {
  caseSensitive: true,
  // Node bounds the whole path, and the schemas tell what is too long for an id.
  maxParamLength: Number.POSITIVE_INFINITY
}

const middleware = Layer.mergeAll(chatBody, fairShare, identified, jsonBody, ownPath, validRequest)

/** The agent's groups among those of an API. */
type OwnGroups<Groups> = Extract<Groups, { readonly identifier: AgentGroups["identifier"] }>

/** What these groups ask for: the application's middleware, and a `CurrentUser` if that provides none. */
type Asked<Groups> = Exclude<
  | HttpApiEndpoint.Middleware<HttpApiGroup.Endpoints<OwnGroups<Groups>>>
  | HttpApiEndpoint.MiddlewareServices<HttpApiGroup.Endpoints<OwnGroups<Groups>>>,
  ChatBody | FairShare | Identified | JsonBody | OwnPath | ValidRequest
>

/** What answers the agent's endpoints needs, beside `Asked`. */
type Needed = Chat | ConversationRepo | TaskTools | TurnFeed

/**
 * What answers the agent's endpoints in an application's own API, to which `AgentApi` was added with a middleware that provides
 * the `CurrentUser`. Dies where a group of the agent is missing there.
 *
 * @example
 * ```ts
 * class AppApi extends HttpApi.make("app")
 *   .add(BookingsGroup)
 *   .addHttpApi(AgentApi.prefix("/agent").middleware(SignIn)) {}
 *
 * HttpApiBuilder.layer(AppApi).pipe(Layer.provide([bookings, Routes.agent(AppApi)]), Layer.provide(signIn))
 * ```
 */
export const agent = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): Layer.Layer<HttpApiGroup.ToService<Id, AgentGroups>, never, Asked<Groups> | Needed> =>
  hasAgent(api)
    ? Handlers.agent(api).pipe(Layer.provide(tokensUnlessOtherwise()), Layer.provide(middleware))
    : Layer.effectContext<HttpApiGroup.ToService<Id, AgentGroups>, never, never>(
        Effect.die(new Error(`The API "${api.identifier}" lacks groups of the AgentApi`))
      )

/** Whether the groups are there that the handlers know: those of the agent, with somebody around them who signs users in. */
const hasAgent = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): api is HttpApi.HttpApi<Id, Groups> & HttpApi.HttpApi<Id, AgentGroups> =>
  Object.keys(AgentApi.groups).every((name) => name in api.groups)

/**
 * The handlers know of tokens alone: where a middleware of the application's is around them instead, nobody asks this one.
 * One for each API: layers are built once, and what signs users in is not the same everywhere in a router.
 */
const tokensUnlessOtherwise = () =>
  Layer.effect(
    Authentication,
    Effect.map(Effect.context<never>(), (context) =>
      Option.getOrElse(Context.getOption(context, Authentication), () =>
        Authentication.of({ bearer: () => Effect.die(new Error("Users are signed in by the application")) })
      )
    )
  )

/**
 * The endpoints of the `Api` on the application's `HttpRouter`, beside whatever else it has: without the page, the document
 * and what makes a problem of every answer that is none of theirs.
 */
export const layer = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([agent(Api), Handlers.health]),
  Layer.provide([authentication, identified])
)
