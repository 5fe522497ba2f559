import type { TurnPolicy } from "../ports/ConversationRepo.ts"
import type { Settings } from "./Settings.ts"

/** How long a claim on a turn holds unless it is renewed. */
export const leaseMillis = 15_000

/** After so many attempts a turn that nobody finished fails for good. */
const maxAttempts = 3

/** The rules under which turns are claimed. */
export const turnPolicy = (settings: Settings): TurnPolicy => ({
  leaseMillis,
  historyMessages: settings.historyMessages,
  maxAttempts,
  turnsPerMinute: settings.turnsPerMinute,
  turnsAtOnce: settings.turnsAtOnce,
  maxConversations: settings.maxConversations
})
