import { Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiError,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { Api } from "turnkeeper/http"
import { Person } from "./People.ts"
import { Visitor } from "./Visitors.ts"

/** The cookie that a session is known by. */
export const sessionCookie = HttpApiSecurity.apiKey({ in: "cookie", key: "session" })

export class NotSignedIn extends Schema.TaggedError<NotSignedIn>()("NotSignedIn", {}, { httpApiStatus: 401 }) {}

/** Tells whose session it is. The agent's endpoints ask for a `CurrentUser`, and go by no other. */
export class SignIn extends HttpApiMiddleware.Service<SignIn, { provides: Api.CurrentUser }>()("front-desk/SignIn", {
  security: { session: sessionCookie },
  error: [NotSignedIn, HttpApiError.ServiceUnavailable]
}) {}

class PeopleGroup extends HttpApiGroup.make("people").add(
  HttpApiEndpoint.post("signIn", "/sign-in", {
    payload: Schema.Struct({ name: Schema.NonEmptyString.check(Schema.isMaxLength(100)) }),
    success: Person,
    error: HttpApiError.ServiceUnavailable
  })
) {}

class VisitorsGroup extends HttpApiGroup.make("visitors")
  .add(
    HttpApiEndpoint.get("list", "/visitors", {
      success: Schema.Array(Visitor),
      error: HttpApiError.ServiceUnavailable
    })
  )
  .middleware(SignIn) {}

/** All that the application answers: its own groups, and the agent's below `/agent`, behind the same sign-in. */
export class App extends HttpApi.make("front-desk")
  .add(PeopleGroup, VisitorsGroup)
  .addHttpApi(Api.AgentApi.prefix("/agent").middleware(SignIn))
  .annotateMerge(OpenApi.annotations({ title: "Front desk", version: "1" })) {}
