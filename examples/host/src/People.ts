import { Context, Effect, Layer, type Option, Redacted, Schema } from "effect"
import { Digest, SecureRandom } from "effect/crypto"
import { Base64Url } from "effect/encoding"
import { SqlClient, type SqlError, SqlSchema } from "effect/sql"
import { User } from "turnkeeper"

/** One of the application's users. The agent knows them by the same id, and addresses them by this name. */
export const Person = Schema.Struct({ id: User.UserId, name: Schema.String })
export type Person = typeof Person.Type

/** Who works here, and who of them is signed in. */
export class People extends Context.Service<
  People,
  {
    /** Signs a person in, who is new where nobody is called so. Answers with the token of a new session. */
    readonly signIn: (
      name: string
    ) => Effect.Effect<{ readonly person: Person; readonly token: Redacted.Redacted }, SqlError.SqlError>
    /** Whose session it is; nobody's, where there is no such session. */
    readonly bySession: (token: Redacted.Redacted) => Effect.Effect<Option.Option<Person>, SqlError.SqlError>
  }
>()("front-desk/People") {}

export const layer = Layer.effect(
  People,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const random = yield* SecureRandom.SecureRandom
    const digest = yield* Digest.Digest

    /** What a token is stored as: whoever reads the table can sign in as nobody. */
    const hashOf = (token: Redacted.Redacted) =>
      digest.digestHex(Digest.sha256, new TextEncoder().encode(Redacted.value(token)))

    const named = SqlSchema.findOne({
      Request: Person,
      Result: Person,
      execute: (person) => sql`insert into people ${sql.insert(person)}
        on conflict (name) do update set name = excluded.name returning id, name`
    })
    const ofSession = SqlSchema.findOneOption({
      Request: Schema.String,
      Result: Person,
      execute: (tokenHash) => sql`select p.id, p.name from sessions s join people p on p.id = s.person_id
        where s.token_hash = ${tokenHash}`
    })

    const signIn = Effect.fn("People.signIn")(
      function* (name: string) {
        const id = User.UserId.make(yield* random.uuidV7())
        const person = yield* named({ id, name })
        const token = Redacted.make(Base64Url.encode(yield* random.randomBytes(32)))
        yield* sql`insert into sessions ${sql.insert({ tokenHash: yield* hashOf(token), personId: person.id })}`
        return { person, token }
      },
      Effect.catchTags({ NoSuchElementError: Effect.die, SchemaError: Effect.die })
    )
    const bySession = Effect.fn("People.bySession")(
      function* (token: Redacted.Redacted) {
        return yield* ofSession(yield* hashOf(token))
      },
      Effect.catchTag("SchemaError", Effect.die)
    )

    return People.of({ signIn, bySession })
  })
).pipe(Layer.provide([SecureRandom.layerWebCrypto, Digest.layerWebCrypto]))
