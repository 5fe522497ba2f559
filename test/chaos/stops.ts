/** The commits of the protocol, and where about each an instance may stop. */
export const stops = [
  "before begin",
  "after begin",
  "before step",
  "within step",
  "after step",
  "before complete",
  "after complete",
  "before fail",
  "after fail",
  "before takeUp",
  "after takeUp",
  "before renew",
  "after renew",
  "before handBack",
  "after handBack"
]

/** What an instance prints when it has stopped. */
export const stoppedLine = "chaos: stopped"
