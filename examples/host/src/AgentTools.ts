import { Effect, Schema } from "effect"
import { Tool, Tools } from "turnkeeper"
import { Caterer } from "./Caterer.ts"
import { Day, Visitor, Visitors } from "./Visitors.ts"

/** Its row is written in the transaction that says it was: it is there exactly once. */
const announceVisitor = Tool.make({
  name: "announce_visitor",
  description: "Tells the front desk that a visitor of the user is coming.",
  parameters: Schema.Struct({ name: Schema.String.annotate({ description: "The visitor's name" }), day: Day }),
  result: Schema.Struct({ visitor: Visitor }),
  kind: "transactional",
  handler: Effect.fnUntraced(function* ({ day, name }, { userId }) {
    const visitors = yield* Visitors
    return { visitor: yield* visitors.announce({ name, day, announcedBy: userId }) }
  })
})

/** Lunch cannot be in that transaction: if the process dies it is ordered again, under the same key. */
const orderLunch = Tool.make({
  name: "order_lunch",
  description: "Orders lunch from the caterer.",
  parameters: Schema.Struct({ dish: Schema.String, day: Day }),
  result: Schema.Struct({ order: Schema.String }),
  kind: "external",
  handler: Effect.fnUntraced(function* (lunch, { key }) {
    const caterer = yield* Caterer
    return { order: yield* caterer.order(lunch, key) }
  })
})

/** The application's tools, beside the five for tasks. */
export const layer = Tools.layerWith(announceVisitor, orderLunch)
