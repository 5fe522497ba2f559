import type { Effect } from "effect"
import type { StorageUnavailable } from "../domain/model/Errors.ts"
import type { ConversationRepo } from "../ports/ConversationRepo.ts"
import type { TaskTools } from "../ports/TaskTools.ts"

/** What is done about a call of a port: it is run or not, and something may come before it, after it or instead. */
export type Around<Method extends string> = <A, E, R>(
  method: Method,
  call: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | StorageUnavailable, R>

/** A `ConversationRepo` with something around each of its operations. */
export const conversationRepo = (
  repo: ConversationRepo["Service"],
  around: Around<keyof ConversationRepo["Service"]>
): ConversationRepo["Service"] => ({
  begin: (request, policy) => around("begin", repo.begin(request, policy)),
  takeUp: (turn, holder, policy) => around("takeUp", repo.takeUp(turn, holder, policy)),
  step: (claim, request, work, lease) => around("step", repo.step(claim, request, work, lease)),
  pend: (claim, request, lease) => around("pend", repo.pend(claim, request, lease)),
  atomically: (userId, effect) => around("atomically", repo.atomically(userId, effect)),
  complete: (claim, request) => around("complete", repo.complete(claim, request)),
  fail: (claim, request) => around("fail", repo.fail(claim, request)),
  renew: (claims, lease) => around("renew", repo.renew(claims, lease)),
  handBack: (claims) => around("handBack", repo.handBack(claims)),
  settled: (turns, lease) => around("settled", repo.settled(turns, lease)),
  abandoned: (limit, lease) => around("abandoned", repo.abandoned(limit, lease)),
  expireLeases: around("expireLeases", repo.expireLeases),
  watch: (turns, time) => around("watch", repo.watch(turns, time)),
  watched: around("watched", repo.watched),
  tell: (told) => around("tell", repo.tell(told)),
  sweep: (after) => around("sweep", repo.sweep(after)),
  list: (userId, query) => around("list", repo.list(userId, query)),
  get: (userId, conversationId) => around("get", repo.get(userId, conversationId)),
  rename: (userId, conversationId, title) => around("rename", repo.rename(userId, conversationId, title)),
  remove: (userId, conversationId) => around("remove", repo.remove(userId, conversationId)),
  messages: (userId, conversationId, query) => around("messages", repo.messages(userId, conversationId, query)),
  turn: (userId, turnId) => around("turn", repo.turn(userId, turnId)),
  eraseUser: (userId) => around("eraseUser", repo.eraseUser(userId)),
  check: around("check", repo.check)
})

/** `TaskTools` with something around each of their operations. */
export const taskTools = (
  tasks: TaskTools["Service"],
  around: Around<keyof TaskTools["Service"]>
): TaskTools["Service"] => ({
  add: (userId, task, limit) => around("add", tasks.add(userId, task, limit)),
  list: (userId, query) => around("list", tasks.list(userId, query)),
  get: (userId, taskId) => around("get", tasks.get(userId, taskId)),
  complete: (userId, taskId) => around("complete", tasks.complete(userId, taskId)),
  update: (userId, taskId, patch) => around("update", tasks.update(userId, taskId, patch)),
  remove: (userId, taskId) => around("remove", tasks.remove(userId, taskId))
})
