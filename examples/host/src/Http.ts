import { Effect, Layer, Option } from "effect"
import { HttpApiBuilder, HttpApiError } from "effect/http-api"
import type { SqlError } from "effect/sql"
import { Api, Routes } from "turnkeeper/http"
import { App, NotSignedIn, SignIn, sessionCookie } from "./Api.ts"
import { People } from "./People.ts"
import { Visitors } from "./Visitors.ts"

const orUnavailable = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>) =>
  effect.pipe(
    Effect.tapError((error) => Effect.logWarning("The database could not do it", error)),
    Effect.mapError(() => new HttpApiError.ServiceUnavailable())
  )

const signIn = Layer.effect(
  SignIn,
  Effect.gen(function* () {
    const people = yield* People
    return SignIn.of({
      session: Effect.fnUntraced(function* (handle, { credential }) {
        const person = yield* orUnavailable(people.bySession(credential))
        if (Option.isNone(person)) return yield* new NotSignedIn()
        return yield* Effect.provideService(handle, Api.CurrentUser, person.value)
      })
    })
  })
)

const peopleGroup = HttpApiBuilder.group(
  App,
  "people",
  Effect.fn(function* (handlers) {
    const people = yield* People
    return handlers.handleAll({
      signIn: Effect.fnUntraced(function* ({ payload }) {
        const { person, token } = yield* orUnavailable(people.signIn(payload.name))
        yield* HttpApiBuilder.securitySetCookie(sessionCookie, token, { sameSite: "strict", path: "/" })
        return person
      })
    })
  })
)

const visitorsGroup = HttpApiBuilder.group(
  App,
  "visitors",
  Effect.fn(function* (handlers) {
    const visitors = yield* Visitors
    return handlers.handleAll({
      list: Effect.fnUntraced(function* () {
        const { id } = yield* Api.CurrentUser
        return yield* orUnavailable(visitors.announcedBy(id))
      })
    })
  })
)

/** What answers all of the `App`, and its document at `/openapi.json`. */
export const layer = HttpApiBuilder.layer(App, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([peopleGroup, visitorsGroup, Routes.agent(App)]),
  Layer.provide(signIn)
)
