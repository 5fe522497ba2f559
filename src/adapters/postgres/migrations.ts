import { Effect, Schema } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { directCallStatements } from "./directCalls.ts"
import type { SchemaName } from "./Schema.ts"

/** The table in which the migrations that ran are kept: in the schema with all the others, which may be one of the application's. */
export const migrationsTable = "turnkeeper_migrations"

/*
 * No write waits for a lock for longer than a second, but for the step, which has a connection of its own: whatever
 * shares a connection with it would wait as well.
 *
 * One lock order everywhere: conversation, turn, the user's counter, tasks; and behind the turn the user's rate limit. Every time is clock_timestamp(), never now():
 * a statement may have waited for a lock. Every key begins with user_id. Functions keep their plans on the indexes
 * (enable_seqscan = off): a plan that was made while a table was empty would scan it whole until the next analyze. And they keep
 * to the schema that they were made in, whatever the search_path of whoever calls them: it is in force while a migration runs.
 */
const tables = [
  `create table conversations (
    user_id text collate "C" not null,
    id uuid not null,
    title text not null,
    next_seq int not null,
    last_turn_id uuid not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    primary key (user_id, id)
  )`,
  // The predicate is always true. It keeps look-ups by id, which do not state it, from ever choosing this index.
  `create index conversations_by_activity on conversations (user_id, updated_at desc, id desc)
    where created_at > '-infinity'`,
  `create table turns (
    user_id text collate "C" not null,
    id uuid not null,
    conversation_id uuid not null,
    idempotency_key text collate "C",
    request_hash bytea not null,
    status text not null check (status in ('running', 'completed', 'failed', 'stopped', 'deleted')),
    holder uuid not null,
    fence int not null default 1,
    lease_until timestamptz not null,
    attempts int not null default 1,
    steps int not null default 0,
    told_from int not null default 0,
    seq int not null,
    context json not null,
    pending json,
    prompt_tokens int not null default 0,
    completion_tokens int not null default 0,
    response text,
    failure text,
    retryable boolean not null default false,
    created_at timestamptz(3) not null,
    finished_at timestamptz(3),
    primary key (user_id, id)
  ) with (fillfactor = 80)`,
  "comment on column turns.seq is 'the seq of its user message'",
  "comment on column turns.told_from is 'where in the telling of its last step the reply begins'",
  "comment on column turns.pending is 'a model answer whose tools work outside this database, stored before they run'",
  "create unique index turns_key on turns (user_id, idempotency_key) where idempotency_key is not null",
  "create unique index turns_running on turns (user_id, conversation_id) where status = 'running'",
  "create index turns_deleted on turns (finished_at) where status = 'deleted'",
  `create table messages (
    user_id text collate "C" not null,
    conversation_id uuid not null,
    seq int not null,
    id uuid not null,
    turn_id uuid not null,
    role text not null check (role in ('user', 'assistant')),
    content text not null,
    created_at timestamptz(3) not null,
    primary key (user_id, conversation_id, seq),
    foreign key (user_id, conversation_id) references conversations (user_id, id) on delete cascade
  )`,
  `create table steps (
    user_id text collate "C" not null,
    conversation_id uuid not null,
    seq int not null,
    step int not null,
    turn_id uuid not null,
    content text not null,
    told_from int not null,
    prompt_tokens int not null,
    completion_tokens int not null,
    created_at timestamptz(3) not null,
    primary key (user_id, conversation_id, seq, step),
    foreign key (user_id, conversation_id, seq) references messages (user_id, conversation_id, seq) on delete cascade
  )`,
  `create table tool_calls (
    user_id text collate "C" not null,
    conversation_id uuid not null,
    seq int not null,
    step int not null,
    position int not null,
    id uuid not null,
    turn_id uuid not null,
    provider_call_id text not null,
    tool_name text not null,
    arguments json not null,
    result json not null,
    status text not null check (status in ('success', 'error')),
    primary key (user_id, conversation_id, seq, step, position),
    foreign key (user_id, conversation_id, seq, step) references steps (user_id, conversation_id, seq, step)
      on delete cascade
  )`,
  `create table user_counters (
    user_id text collate "C" primary key,
    next_task_id int not null
  ) with (fillfactor = 50)`,
  `create table tasks (
    user_id text collate "C" not null,
    id int not null,
    title text not null,
    description text,
    completed boolean not null default false,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    primary key (user_id, id)
  )`,
  // The generic cell rate algorithm: one time a user, the one at which the whole allowance is back.
  `create table rate_limits (
    user_id text collate "C" primary key,
    full_at timestamptz not null
  ) with (fillfactor = 50)`,
  // What one instance wants of the one that runs a turn, and is told by it. It is worth nothing after a crash.
  `create unlogged table turn_watches (
    user_id text collate "C" not null,
    turn_id uuid not null,
    until timestamptz not null,
    stop boolean not null,
    fence int,
    steps int,
    told_from int,
    told_text text,
    told_calls text,
    primary key (user_id, turn_id)
  ) with (fillfactor = 50)`,
  "create index turn_watches_until on turn_watches (until)"
]

const functions = [
  // Parallel arrays, not one json: several times as quick, and an escaped NUL in a json cannot be taken apart.
  `create type turn_outcome as (
    outcome text, turn_id uuid, conversation_id uuid, fence int, steps int, seq int, retry_ms int, body text,
    failure text, retryable boolean, context text, pending text, prompt_tokens int, completion_tokens int,
    message_seqs int[], message_roles text[], message_contents text[],
    step_seqs int[], step_numbers int[], step_contents text[],
    call_ids uuid[], call_seqs int[], call_steps int[], call_positions int[], call_provider_ids text[],
    call_tools text[], call_arguments text[], call_results text[], call_statuses text[]
  )`,

  // A lease much further ahead than its length counts as over, or a clock that was set back by an hour would stop the
  // conversation for an hour; a second is allowed for smaller corrections.
  `create function lease_holds(p_until timestamptz, p_now timestamptz, p_lease_ms int) returns boolean
  language sql immutable as $$
    select p_until > p_now and p_until <= p_now + (p_lease_ms + 1000) * interval '1 millisecond'
  $$`,

  `create function turn_claimed(p_user text, p_turn uuid, p_window int) returns turn_outcome
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  declare o turn_outcome;
  begin
    select t.conversation_id, t.fence, t.steps, t.seq, t.context::text, t.pending::text, t.prompt_tokens,
        t.completion_tokens
      into o.conversation_id, o.fence, o.steps, o.seq, o.context, o.pending, o.prompt_tokens, o.completion_tokens
      from turns t where t.user_id = p_user and t.id = p_turn;
    o.outcome := 'claimed';
    o.turn_id := p_turn;
    select array_agg(m.seq), array_agg(m.role), array_agg(m.content)
      into o.message_seqs, o.message_roles, o.message_contents
      from (select x.seq, x.role, x.content from messages x
        where x.user_id = p_user and x.conversation_id = o.conversation_id and x.seq > o.seq - p_window
        order by x.seq) m;
    select array_agg(s.seq), array_agg(s.step), array_agg(s.content)
      into o.step_seqs, o.step_numbers, o.step_contents
      from (select x.seq, x.step, x.content from steps x
        where x.user_id = p_user and x.conversation_id = o.conversation_id and x.seq > o.seq - p_window
        order by x.seq, x.step) s;
    select array_agg(c.id), array_agg(c.seq), array_agg(c.step), array_agg(c.position), array_agg(c.provider_call_id),
        array_agg(c.tool_name), array_agg(c.arguments::text), array_agg(c.result::text), array_agg(c.status)
      into o.call_ids, o.call_seqs, o.call_steps, o.call_positions, o.call_provider_ids,
        o.call_tools, o.call_arguments, o.call_results, o.call_statuses
      from (select x.* from tool_calls x
        where x.user_id = p_user and x.conversation_id = o.conversation_id and x.seq > o.seq - p_window
        order by x.seq, x.step, x.position) c;
    return o;
  end $$`,

  `create function turn_failed(p_user text, p_turn uuid, p_retryable boolean) returns turn_outcome
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  declare o turn_outcome;
  begin
    select t.conversation_id, t.seq, t.failure, t.retryable and p_retryable, t.prompt_tokens, t.completion_tokens
      into o.conversation_id, o.seq, o.failure, o.retryable, o.prompt_tokens, o.completion_tokens
      from turns t where t.user_id = p_user and t.id = p_turn;
    o.outcome := 'failed';
    o.turn_id := p_turn;
    select array_agg(c.id), array_agg(c.seq), array_agg(c.step), array_agg(c.position), array_agg(c.provider_call_id),
        array_agg(c.tool_name), array_agg(c.arguments::text), array_agg(c.result::text), array_agg(c.status)
      into o.call_ids, o.call_seqs, o.call_steps, o.call_positions, o.call_provider_ids,
        o.call_tools, o.call_arguments, o.call_results, o.call_statuses
      from (select x.* from tool_calls x
        where x.user_id = p_user and x.conversation_id = o.conversation_id and x.seq = o.seq
        order by x.step, x.position) c;
    return o;
  end $$`,

  // How many turns of a user run; not counted further than up to a limit.
  `create function turns_at_once(p_user text, p_limit int) returns bigint
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  begin
    return (select count(*) from (select 1 from turns x where x.user_id = p_user and x.status = 'running' limit p_limit) y);
  end $$`,

  // How many conversations a user has; not counted further than up to a limit, and not at all without one.
  `create function conversations_up_to(p_user text, p_limit int) returns bigint
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  begin
    if p_limit is null then return null; end if;
    return (select count(*) from (select 1 from conversations c where c.user_id = p_user limit p_limit) y);
  end $$`,

  // Takes a turn up, or tells how it stands. What needs no decision is told without a lock; the rest is decided under
  // the locks, on the row as it is then.
  `create function turn_take_up(p_user text, p_turn uuid, p_holder uuid, p_lease_ms int, p_window int,
    p_max_attempts int, p_at_once int, p_by_key boolean, p_begun boolean)
  returns turn_outcome language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '100ms' as $$
  declare o turn_outcome; t turns; v_last uuid; v_now timestamptz;
  begin
    o.turn_id := p_turn;
    select * into t from turns x where x.user_id = p_user and x.id = p_turn;
    for v_look in 1..2 loop
      if t.id is null or t.status = 'deleted' then
        o.outcome := 'gone';
        return o;
      end if;
      o.conversation_id := t.conversation_id;
      if t.status in ('completed', 'stopped') then
        o.outcome := 'completed';
        o.body := t.response;
        return o;
      end if;
      v_now := clock_timestamp();
      if t.status = 'running' and t.holder <> p_holder and lease_holds(t.lease_until, v_now, p_lease_ms) then
        o.outcome := 'running';
        o.retry_ms := ceil(extract(epoch from t.lease_until - v_now) * 1000);
        return o;
      end if;
      exit when v_look = 2;
      select c.last_turn_id into v_last from conversations c
        where c.user_id = p_user and c.id = t.conversation_id for no key update;
      select * into t from turns x where x.user_id = p_user and x.id = p_turn for no key update;
    end loop;
    if t.status = 'running' and t.holder = p_holder then
      return turn_claimed(p_user, p_turn, p_window); -- this very request was here before, and its answer was lost
    end if;
    if t.status = 'failed' and p_begun then
      return turn_failed(p_user, p_turn, v_last = t.id); -- who waited for it takes its failure for the answer
    end if;
    if t.status = 'failed' and (not p_by_key or not t.retryable or v_last is distinct from t.id) then
      return turn_failed(p_user, p_turn, false);
    end if;
    if t.status = 'failed' and p_at_once is not null then
      insert into rate_limits as r (user_id, full_at) values (p_user, v_now)
        on conflict (user_id) do update set full_at = r.full_at; -- the lock under which running turns are counted
      if turns_at_once(p_user, p_at_once) >= p_at_once then
        o.outcome := 'too_many_turns';
        return o;
      end if;
    end if;
    if t.status = 'running' and t.attempts >= p_max_attempts then
      update turns x set status = 'failed', failure = '{"code":"abandoned"}', retryable = false, finished_at = v_now,
          fence = x.fence + 1
        where x.user_id = p_user and x.id = p_turn;
      return turn_failed(p_user, p_turn, false);
    end if;
    if t.status = 'failed' then -- whoever wanted it stopped wanted that of another attempt
      delete from turn_watches w where w.user_id = p_user and w.turn_id = p_turn;
    end if;
    update turns x set status = 'running', fence = x.fence + 1, holder = p_holder,
        lease_until = v_now + p_lease_ms * interval '1 millisecond',
        attempts = case when x.status = 'failed' then 1 else x.attempts + 1 end,
        failure = null, retryable = false, finished_at = null
      where x.user_id = p_user and x.id = p_turn;
    return turn_claimed(p_user, p_turn, p_window);
  end $$`,

  `create function turn_begin(p_user text, p_turn uuid, p_holder uuid, p_key text, p_request text, p_conversation uuid,
    p_start boolean, p_new_conversation uuid, p_title text, p_message uuid, p_content text, p_context json, p_lease_ms int,
    p_window int, p_max_attempts int, p_per_minute int, p_at_once int, p_max_conversations int, p_begun boolean)
  returns turn_outcome language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '100ms' as $$
  declare
    o turn_outcome;
    t turns;
    v_hash bytea := sha256(convert_to(p_request, 'UTF8'));
    v_conversation uuid := coalesce(p_conversation, p_new_conversation);
    v_new boolean;
    v_seq int;
    v_last uuid;
    v_now timestamptz;
    v_claimed uuid;
    v_full_at timestamptz;
    v_each interval := coalesce(interval '1 minute' / p_per_minute, interval '0');
  begin
    for v_look in 1..3 loop
      -- 1. The key decides first, whatever has become of the conversation.
      if p_key is null then
        select * into t from turns x where x.user_id = p_user and x.id = p_turn;
      else
        select * into t from turns x where x.user_id = p_user and x.idempotency_key = p_key;
      end if;
      if found then
        if t.request_hash <> v_hash then
          o.outcome := 'key_reused';
          return o;
        end if;
        return turn_take_up(p_user, t.id, p_holder, p_lease_ms, p_window, p_max_attempts, p_at_once, true, p_begun);
      end if;
      if p_begun then
        o.outcome := 'gone';
        return o;
      end if;

      -- 2. and 3. The conversation's row is the lock of all that is in it; a running turn is always its last.
      v_new := p_conversation is null;
      v_seq := 1;
      if p_conversation is not null then
        -- First without it: a crowd that finds the conversation busy would else queue for the lock, and the running turn
        -- with it.
        select x.* into t from conversations c join turns x on x.user_id = c.user_id and x.id = c.last_turn_id
          where c.user_id = p_user and c.id = p_conversation;
        v_now := clock_timestamp();
        if t.status = 'running' and t.id <> p_turn and t.holder <> p_holder
          and lease_holds(t.lease_until, v_now, p_lease_ms)
          and (p_key is null or t.idempotency_key is distinct from p_key) then
          o.outcome := 'busy';
          o.retry_ms := ceil(extract(epoch from t.lease_until - v_now) * 1000);
          return o;
        end if;
        select c.next_seq, c.last_turn_id into v_seq, v_last from conversations c
          where c.user_id = p_user and c.id = p_conversation for no key update;
        v_new := not found;
        if v_new and not p_start then
          o.outcome := 'not_found';
          return o;
        end if;
        v_seq := coalesce(v_seq, 1);
        select * into t from turns x where x.user_id = p_user and x.id = v_last;
        if t.status = 'running' and (p_key is null or t.idempotency_key is distinct from p_key) then
          o := turn_take_up(p_user, t.id, p_holder, p_lease_ms, p_window, p_max_attempts, null, false, false);
          if o.outcome = 'claimed' then
            o.outcome := 'claimed_other';
            return o;
          end if;
          if o.outcome = 'running' then
            o.outcome := 'busy';
            return o;
          end if;
          o := null; -- it was out of attempts and has failed: the way is free
        end if;
      end if;
      v_now := clock_timestamp();

      -- 4. to 6. First without a lock, so that a flood of requests writes nothing.
      if p_at_once is not null and turns_at_once(p_user, p_at_once) >= p_at_once then
        o.outcome := 'too_many_turns';
      elsif p_per_minute is not null then
        select r.full_at into v_full_at from rate_limits r where r.user_id = p_user;
        if v_full_at > v_now + interval '1 minute' - v_each then
          o.outcome := 'rate_limited';
          o.retry_ms := ceil(extract(epoch from v_full_at - v_now - interval '1 minute' + v_each) * 1000);
        end if;
      end if;
      if o.outcome is null and v_new and conversations_up_to(p_user, p_max_conversations) >= p_max_conversations
      then
        o.outcome := 'too_many_conversations';
      end if;
      if o.outcome is not null then
        -- A rival, or this request when it was sent before, may have begun this very turn meanwhile, and have used the
        -- allowance up.
        exit when not exists (select 1 from turns x where x.user_id = p_user and x.id = p_turn)
          and (p_key is null
            or not exists (select 1 from turns x where x.user_id = p_user and x.idempotency_key = p_key));
        o := null;
        continue;
      end if;

      -- 7. Claim the key: this waits for a rival that has it uncommitted, and then looks at what the rival did. The same when
      -- a rival starts the conversation of this id: a conversation has one running turn.
      insert into turns as x (user_id, id, conversation_id, idempotency_key, request_hash, status, holder, lease_until,
          seq, context, created_at)
        values (p_user, p_turn, v_conversation, p_key, v_hash, 'running', p_holder,
          v_now + p_lease_ms * interval '1 millisecond', v_seq, p_context, v_now)
        on conflict do nothing
        returning x.id into v_claimed;
      continue when v_claimed is null;
      -- The user's limits, under a lock: many may have come at once, and others have been before this one. The turn itself is
      -- counted already.
      if coalesce(p_per_minute, p_at_once, p_max_conversations) is not null then
        insert into rate_limits as r (user_id, full_at) values (p_user, v_now + v_each)
          on conflict (user_id) do update set full_at = greatest(r.full_at, v_now) + v_each
            where p_per_minute is null or greatest(r.full_at, v_now) <= v_now + interval '1 minute' - v_each;
        if not found then
          o.outcome := 'rate_limited';
          o.retry_ms := ceil(extract(epoch from v_each) * 1000);
        else
          if p_at_once is not null and turns_at_once(p_user, p_at_once + 1) > p_at_once then
            o.outcome := 'too_many_turns';
          elsif v_new
            and conversations_up_to(p_user, p_max_conversations) >= p_max_conversations then
            o.outcome := 'too_many_conversations';
          end if;
          if o.outcome is not null then
            update rate_limits r set full_at = r.full_at - v_each where r.user_id = p_user;
          end if;
        end if;
        if o.outcome is not null then
          delete from turns x where x.user_id = p_user and x.id = p_turn;
          return o;
        end if;
      end if;
      if v_new then
        insert into conversations (user_id, id, title, next_seq, last_turn_id, created_at, updated_at)
          values (p_user, v_conversation, p_title, 2, p_turn, v_now, v_now)
          on conflict do nothing;
        if not found then
          -- A rival has started the conversation of this id meanwhile, and its turn is over already: this one goes on there.
          delete from turns x where x.user_id = p_user and x.id = p_turn;
          update rate_limits r set full_at = r.full_at - v_each where r.user_id = p_user;
          continue;
        end if;
      else
        update conversations c set next_seq = v_seq + 1, last_turn_id = p_turn, updated_at = v_now
          where c.user_id = p_user and c.id = v_conversation;
      end if;
      insert into messages (user_id, conversation_id, seq, id, turn_id, role, content, created_at)
        values (p_user, v_conversation, v_seq, p_message, p_turn, 'user', p_content, v_now);
      return turn_claimed(p_user, p_turn, p_window);
    end loop;
    if o.outcome is null then
      o.outcome := 'busy';
      o.retry_ms := 100;
    end if;
    return o;
  end $$`,

  // The fence, under the locks: 'ok', 'done' (a write of this claim is committed already), or 'lost'.
  `create function turn_fence(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int)
  returns text language plpgsql set enable_seqscan = off set search_path from current as $$
  declare t turns;
  begin
    perform 1 from conversations c where c.user_id = p_user and c.id = p_conversation for no key update;
    select * into t from turns x where x.user_id = p_user and x.id = p_turn for no key update;
    if t.fence is distinct from p_fence then return 'lost'; end if;
    if t.status <> 'running' or t.steps = p_steps + 1 then return 'done'; end if;
    if t.steps <> p_steps then return 'lost'; end if;
    return 'ok';
  end $$`,

  // The fence of a step, with the lock of the user's tasks behind it.
  `create function turn_step_fence(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int)
  returns text language plpgsql set enable_seqscan = off set search_path from current as $$
  declare v text;
  begin
    v := turn_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
    if v = 'ok' then
      insert into user_counters (user_id, next_task_id) values (p_user, 1) on conflict (user_id) do nothing;
      perform 1 from user_counters u where u.user_id = p_user for no key update;
    elsif v = 'done' then
      perform 1 from turns t where t.user_id = p_user and t.id = p_turn and t.status = 'running';
      if not found then v := 'lost'; end if; -- the turn has ended: there is no next step
    end if;
    return v;
  end $$`,

  // Begins the transaction of a step. Whoever freezes in it is thrown out after two seconds, or it would block all others.
  `create function turn_step_begin(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int)
  returns text language plpgsql set enable_seqscan = off set search_path from current as $$
  begin
    perform set_config('lock_timeout', '5s', true), set_config('idle_in_transaction_session_timeout', '2s', true);
    return turn_step_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
  end $$`,

  `create function turn_step_record(p_user text, p_conversation uuid, p_turn uuid, p_content text, p_told_from int,
    p_prompt_tokens int, p_completion_tokens int, p_lease_ms int, p_ids uuid[], p_provider_ids text[], p_tools text[],
    p_arguments text[], p_results text[], p_statuses text[])
  returns int language plpgsql set enable_seqscan = off set search_path from current as $$
  declare v_seq int; v_step int; v_now timestamptz := clock_timestamp();
  begin
    update turns t set steps = t.steps + 1, pending = null, prompt_tokens = t.prompt_tokens + p_prompt_tokens,
        completion_tokens = t.completion_tokens + p_completion_tokens,
        lease_until = v_now + p_lease_ms * interval '1 millisecond'
      where t.user_id = p_user and t.id = p_turn returning t.seq, t.steps into v_seq, v_step;
    insert into steps (user_id, conversation_id, seq, step, turn_id, content, told_from, prompt_tokens, completion_tokens,
        created_at)
      values (p_user, p_conversation, v_seq, v_step, p_turn, p_content, p_told_from, p_prompt_tokens,
        p_completion_tokens, v_now);
    insert into tool_calls (user_id, conversation_id, seq, step, position, id, turn_id, provider_call_id, tool_name,
        arguments, result, status)
      select p_user, p_conversation, v_seq, v_step, c.n - 1, c.id, p_turn, c.provider_id, c.tool, c.arguments::json,
        c.result::json, c.status
      from unnest(p_ids, p_provider_ids, p_tools, p_arguments, p_results, p_statuses)
        with ordinality c(id, provider_id, tool, arguments, result, status, n);
    return v_seq;
  end $$`,

  // Keeps what the next step is to do outside of this database.
  `create function turn_pend(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int, p_pending text,
    p_prompt_tokens int, p_completion_tokens int, p_lease_ms int)
  returns text language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare v text := turn_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
  begin
    if v <> 'ok' then return 'lost'; end if;
    update turns t set pending = p_pending::json, prompt_tokens = t.prompt_tokens + p_prompt_tokens,
        completion_tokens = t.completion_tokens + p_completion_tokens,
        lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
      where t.user_id = p_user and t.id = p_turn and t.pending is null;
    return 'pended';
  end $$`,

  `create function turn_complete(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int,
    p_message uuid, p_content text, p_response text, p_prompt_tokens int, p_completion_tokens int, p_stopped boolean,
    p_told_from int, out outcome text, out body text)
  language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare v_seq int; v_now timestamptz;
  begin
    outcome := turn_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
    if outcome = 'done' then
      select t.response into body from turns t
        where t.user_id = p_user and t.id = p_turn and t.status in ('completed', 'stopped');
      outcome := case when body is null then 'lost' else 'completed' end;
      return;
    end if;
    if outcome = 'lost' then return; end if;
    v_now := clock_timestamp();
    update conversations c set next_seq = c.next_seq + 1, updated_at = v_now
      where c.user_id = p_user and c.id = p_conversation returning c.next_seq - 1 into v_seq;
    insert into messages (user_id, conversation_id, seq, id, turn_id, role, content, created_at)
      values (p_user, p_conversation, v_seq, p_message, p_turn, 'assistant', p_content, v_now);
    update turns t set status = case when p_stopped then 'stopped' else 'completed' end, response = p_response,
        told_from = p_told_from, finished_at = v_now,
        prompt_tokens = t.prompt_tokens + p_prompt_tokens, completion_tokens = t.completion_tokens + p_completion_tokens
      where t.user_id = p_user and t.id = p_turn;
    outcome := 'completed';
    body := p_response;
  end $$`,

  `create function turn_fail(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int, p_failure text,
    p_retryable boolean, p_prompt_tokens int, p_completion_tokens int)
  returns turn_outcome language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare o turn_outcome; v text := turn_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
  begin
    if v = 'ok' then
      update turns t set status = 'failed', failure = p_failure, retryable = p_retryable,
          finished_at = clock_timestamp(), prompt_tokens = t.prompt_tokens + p_prompt_tokens,
          completion_tokens = t.completion_tokens + p_completion_tokens
        where t.user_id = p_user and t.id = p_turn;
      return turn_failed(p_user, p_turn, true);
    end if;
    if v = 'done' then
      perform 1 from turns t where t.user_id = p_user and t.id = p_turn and t.status = 'failed';
      if found then return turn_failed(p_user, p_turn, true); end if;
    end if;
    o.outcome := 'lost';
    return o;
  end $$`,

  // All of an instance's turns in one statement. Rows locked by an open step are skipped: the step moves its own lease.
  // Answers those that others have now, or that are gone; not those that ended under this very claim.
  `create function turns_renew(p_users text[], p_turns uuid[], p_fences int[], p_lease_ms int)
  returns setof uuid language plpgsql set enable_seqscan = off set search_path from current as $$
  begin
    update turns t set lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
      from (select x.user_id, x.id from unnest(p_users, p_turns, p_fences) h(user_id, id, fence)
        join turns x on x.user_id = h.user_id and x.id = h.id and x.fence = h.fence and x.status = 'running'
        for no key update of x skip locked) l
      where t.user_id = l.user_id and t.id = l.id;
    return query select h.id from unnest(p_users, p_turns, p_fences) h(user_id, id, fence)
      where not exists (select 1 from turns x
        where x.user_id = h.user_id and x.id = h.id and x.fence = h.fence and x.status <> 'deleted');
  end $$`,

  `create function turns_hand_back(p_users text[], p_turns uuid[], p_fences int[])
  returns void language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  begin
    update turns t set lease_until = '-infinity', fence = t.fence + 1, attempts = t.attempts - 1
      from (select x.user_id, x.id from unnest(p_users, p_turns, p_fences) h(user_id, id, fence)
        join turns x on x.user_id = h.user_id and x.id = h.id and x.fence = h.fence and x.status = 'running'
        order by x.user_id, x.id for no key update of x) l
      where t.user_id = l.user_id and t.id = l.id;
  end $$`,

  `create function turns_settled(p_users text[], p_turns uuid[], p_lease_ms int)
  returns setof uuid language plpgsql stable set enable_seqscan = off set search_path from current as $$
  begin
    return query select h.id from unnest(p_users, p_turns) h(user_id, id)
      where not exists (select 1 from turns x where x.user_id = h.user_id and x.id = h.id and x.status = 'running'
        and lease_holds(x.lease_until, clock_timestamp(), p_lease_ms));
  end $$`,

  // Whoever watches says so again when half of the time is over, so that a look writes nothing mostly. Rows are taken in the
  // order of the keys' own collation, which is not that of a parameter.
  `create function turns_watch(p_users text[], p_turns uuid[], p_stops boolean[], p_ms int)
  returns table (turn_id uuid, status text, fence int, steps int, told_from int, told_text text, told_calls text)
  language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '100ms' as $$
  declare v_now timestamptz := clock_timestamp();
  begin
    insert into turn_watches as w (user_id, turn_id, until, stop)
      select h.user_id, h.id, v_now + p_ms * interval '1 millisecond', h.stop
        from unnest(p_users, p_turns, p_stops) h(user_id, id, stop)
        join turns t on t.user_id = h.user_id and t.id = h.id and t.status = 'running'
        left join turn_watches x on x.user_id = h.user_id and x.turn_id = h.id
        where x.until is null or x.until < v_now + p_ms / 2 * interval '1 millisecond' or h.stop and not x.stop
        order by t.user_id, t.id for key share of t -- or an erasure could leave behind what is inserted while it goes on
      on conflict on constraint turn_watches_pkey do update set until = excluded.until,
        stop = excluded.stop or (w.stop and w.until > v_now);
    if found then perform pg_notify('turnkeeper_turns.' || current_schema(), 'watched'); end if;
    return query select t.id, t.status, t.fence, t.steps, w.told_from, w.told_text, w.told_calls
      from unnest(p_users, p_turns) h(user_id, id)
      join turns t on t.user_id = h.user_id and t.id = h.id
      left join turn_watches w on w.user_id = t.user_id and w.turn_id = t.id and w.fence = t.fence and w.steps = t.steps;
  end $$`,

  `create function turns_watched() returns table (turn_id uuid, stop boolean, told boolean)
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  declare v_now timestamptz := clock_timestamp(); -- as it is, it could not be looked up in an index
  begin
    return query select w.turn_id, w.stop, w.told_text is not null from turn_watches w where w.until > v_now;
  end $$`,

  `create function turns_tell(p_users text[], p_turns uuid[], p_fences int[], p_steps int[], p_froms int[], p_texts text[],
    p_calls text[])
  returns void language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '100ms' as $$
  begin
    update turn_watches w set fence = l.fence, steps = l.steps, told_from = l.told_from, told_text = l.told_text,
        told_calls = l.told_calls
      from (select x.user_id, x.turn_id, h.fence, h.steps, h.told_from, h.told_text, h.told_calls
        from unnest(p_users, p_turns, p_fences, p_steps, p_froms, p_texts, p_calls)
          h(user_id, turn_id, fence, steps, told_from, told_text, told_calls)
        join turns t on t.user_id = h.user_id and t.id = h.turn_id and t.status = 'running' and t.fence = h.fence
        join turn_watches x on x.user_id = t.user_id and x.turn_id = t.id
        order by x.user_id, x.turn_id for no key update of x) l
      where w.user_id = l.user_id and w.turn_id = l.turn_id;
    if found then perform pg_notify('turnkeeper_turns.' || current_schema(), 'told'); end if;
  end $$`,

  // Candidates, without a lock: each is decided again by turn_take_up.
  `create function turns_abandoned(p_limit int, p_lease_ms int)
  returns table (user_id text, conversation_id uuid, turn_id uuid)
  language plpgsql stable set enable_seqscan = off set search_path from current as $$
  begin
    return query select t.user_id, t.conversation_id, t.id from turns t
      where t.status = 'running' and not lease_holds(t.lease_until, clock_timestamp(), p_lease_ms)
      order by t.lease_until limit p_limit;
  end $$`,

  // A key outlives its conversation without any content, so that a late retry is told that it is gone.
  `create function conversation_delete(p_user text, p_conversation uuid)
  returns boolean language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare v_turns uuid[];
  begin
    perform 1 from conversations c where c.user_id = p_user and c.id = p_conversation for update;
    if not found then return false; end if;
    select array_agg(m.turn_id) into v_turns from messages m
      where m.user_id = p_user and m.conversation_id = p_conversation and m.role = 'user';
    delete from turns t where t.user_id = p_user and t.id = any (v_turns) and t.idempotency_key is null;
    update turns t set status = 'deleted', fence = t.fence + 1, response = null, failure = null, context = '{}',
        pending = null, retryable = false, finished_at = clock_timestamp()
      where t.user_id = p_user and t.id = any (v_turns);
    delete from turn_watches w where w.user_id = p_user and w.turn_id = any (v_turns);
    delete from conversations c where c.user_id = p_user and c.id = p_conversation;
    return true;
  end $$`,

  // Only what is there at the beginning goes: what begins meanwhile stays whole. A rate limit in force stays until it is
  // swept, or erasing would be a way around it.
  `create function user_erase(p_user text)
  returns void language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare v_conversations uuid[]; v_turns uuid[];
  begin
    select array_agg(x.id) into v_conversations from (
      select c.id from conversations c where c.user_id = p_user order by c.id for update) x;
    select array_agg(x.id) into v_turns from (
      select t.id from turns t where t.user_id = p_user
        and (t.status = 'deleted' or t.conversation_id = any (v_conversations)) order by t.id for update) x;
    -- Locks the counter also where there was none, or what is added meanwhile would stay, and its number go.
    insert into user_counters as u (user_id, next_task_id) values (p_user, 1)
      on conflict (user_id) do update set next_task_id = u.next_task_id;
    delete from direct_calls d where d.user_id = p_user;
    delete from tasks t where t.user_id = p_user;
    delete from conversations c where c.user_id = p_user and c.id = any (v_conversations);
    delete from turns t where t.user_id = p_user and t.id = any (v_turns);
    delete from user_counters u where u.user_id = p_user;
    delete from turn_watches w where w.user_id = p_user;
    delete from rate_limits r where r.user_id = p_user and r.full_at <= clock_timestamp();
  end $$`,

  `create function conversation_rename(p_user text, p_conversation uuid, p_title text)
  returns setof conversations language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  begin
    return query update conversations c set title = p_title
      where c.user_id = p_user and c.id = p_conversation returning c.*;
  end $$`,

  // Whoever has never had a number above the limit cannot have that many tasks: only others are counted, under the lock of the
  // counter.
  `create function task_add(p_user text, p_title text, p_description text, p_limit int)
  returns setof tasks language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  declare v_id int; v_now timestamptz;
  begin
    insert into user_counters as u (user_id, next_task_id) values (p_user, 2)
      on conflict (user_id) do update set next_task_id = u.next_task_id + 1 returning next_task_id - 1 into v_id;
    if v_id > p_limit
      and p_limit <= (select count(*) from (select 1 from tasks t where t.user_id = p_user limit p_limit) x) then
      update user_counters u set next_task_id = v_id where u.user_id = p_user;
      return;
    end if;
    v_now := clock_timestamp();
    return query insert into tasks as t (user_id, id, title, description, created_at, updated_at)
      values (p_user, v_id, p_title, p_description, v_now, v_now) returning t.*;
  end $$`,

  `create function task_complete(p_user text, p_id int)
  returns setof tasks language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  begin
    return query update tasks t set completed = true,
        updated_at = case when t.completed then t.updated_at else clock_timestamp() end
      where t.user_id = p_user and t.id = p_id returning t.*;
  end $$`,

  // A null leaves the title and the completion as they are; a description may itself be null, so a flag tells.
  `create function task_update(p_user text, p_id int, p_title text, p_describe boolean, p_description text,
    p_completed boolean)
  returns setof tasks language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  begin
    return query update tasks t set title = coalesce(p_title, t.title),
        description = case when p_describe then p_description else t.description end,
        completed = coalesce(p_completed, t.completed), updated_at = clock_timestamp()
      where t.user_id = p_user and t.id = p_id returning t.*;
  end $$`,

  `create function task_remove(p_user text, p_id int)
  returns setof tasks language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '1s' as $$
  begin
    return query delete from tasks t where t.user_id = p_user and t.id = p_id returning t.*;
  end $$`,

  // The JSON that clients and the model see, to the byte.
  `create function task_json(p_task tasks) returns text language sql stable as $$
    select row_to_json(x)::text from (select p_task.id, p_task.title, p_task.description, p_task.completed,
      to_char(p_task.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') created_at,
      to_char(p_task.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') updated_at) x
  $$`,

  // An operation on tasks as a value. p_title is the status of a list, and p_number the limit of that or of an addition, which has
  // none at -1. An empty title leaves the title as it is, and p_describe tells whether to 'leave', 'clear' or 'set' the description.
  `create function task_perform(p_user text, p_kind text, p_number int, p_bytes int, p_title text, p_describe text,
    p_description text, inout result text, inout status text)
  language plpgsql set enable_seqscan = off set search_path from current as $$
  declare v_task tasks; v_tasks text[]; v_found int; v_description text := case when p_describe = 'set' then p_description end;
  begin
    if p_kind = 'known' then return; end if;
    if p_kind = 'list' then
      select array_agg(task_json(x.t) order by x.n) filter (where x.n <= p_number and x.bytes <= p_bytes), count(*)
        into v_tasks, v_found
        from (select z.y t, row_number() over (order by (z.y).id) n,
            sum(octet_length((z.y).title) + coalesce(octet_length((z.y).description), 0)) over (order by (z.y).id) bytes
          from (select y from tasks y
            where y.user_id = p_user and (p_title = 'all' or y.completed = (p_title = 'completed'))
            order by y.id limit p_number + 1) z) x;
      result := '{"success":true,"tasks":[' || coalesce(array_to_string(v_tasks, ','), '') || '],"count":'
        || coalesce(cardinality(v_tasks), 0)
        || case when v_found > coalesce(cardinality(v_tasks), 0) then ',"has_more":true}' else '}' end;
      status := 'success';
      return;
    end if;
    case p_kind
      when 'add' then select * into v_task from task_add(p_user, p_title, v_description, nullif(p_number, -1));
      when 'complete' then select * into v_task from task_complete(p_user, p_number);
      when 'update' then
        select * into v_task
          from task_update(p_user, p_number, nullif(p_title, ''), p_describe <> 'leave', v_description, null);
      when 'remove' then select * into v_task from task_remove(p_user, p_number);
    end case;
    if v_task.id is not null then
      result := '{"success":true,"task":' || task_json(v_task) || '}';
      status := 'success';
    end if;
  end $$`,

  // Checks what an application has put off until the commit, which would fail with all that is in it; and leaves it put off.
  // Triggers of the application run here, under its own settings.
  `create function constraints_hold() returns void language plpgsql as $$
  begin
    set constraints all immediate;
    raise sqlstate 'TK001';
  exception when sqlstate 'TK001' then null;
  end $$`,

  // A whole step whose calls are operations on tasks, in one statement.
  `create function turn_step(p_user text, p_conversation uuid, p_turn uuid, p_fence int, p_steps int, p_content text,
    p_told_from int, p_prompt_tokens int, p_completion_tokens int, p_lease_ms int, p_ids uuid[], p_provider_ids text[], p_tools text[],
    p_arguments text[], p_kinds text[], p_numbers int[], p_bytes int[], p_titles text[], p_describes text[],
    p_descriptions text[], inout results text[], inout statuses text[], out outcome text, out seq int)
  language plpgsql set enable_seqscan = off set search_path from current set lock_timeout = '200ms' as $$
  declare v_result text; v_status text;
  begin
    outcome := turn_step_fence(p_user, p_conversation, p_turn, p_fence, p_steps);
    if outcome <> 'ok' then return; end if;
    for i in 1..coalesce(cardinality(p_kinds), 0) loop
      select x.result, x.status into v_result, v_status from task_perform(p_user, p_kinds[i], p_numbers[i], p_bytes[i],
        p_titles[i], p_describes[i], p_descriptions[i], results[i], statuses[i]) x;
      results[i] := v_result;
      statuses[i] := v_status;
    end loop;
    seq := turn_step_record(p_user, p_conversation, p_turn, p_content, p_told_from, p_prompt_tokens, p_completion_tokens,
      p_lease_ms, p_ids, p_provider_ids, p_tools, p_arguments, results, statuses);
  end $$`
]

/**
 * The way from an empty schema to what this version needs. It only goes forward: from the first release on, a migration
 * that ran is never changed.
 */
export const migrations = (schema: SchemaName) =>
  Migrator.fromRecord({
    "0001_turns": within(
      schema,
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Effect.forEach(
          [...tables, ...functions, ...directCallStatements],
          (statement) => sql.unsafe(statement),
          { discard: true }
        )
      })
    )
  })

const decodePath = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ path: Schema.String })]))

/** Runs a migration with its schema for a search_path, and that of the transaction again behind it. */
const within = <E>(schema: SchemaName, migration: Effect.Effect<void, E, SqlClient.SqlClient>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [{ path }] = yield* Effect.flatMap(sql`select current_setting('search_path') path`, decodePath)
    // Temporary tables come last, or one of the application's could stand before a table of the same name.
    yield* sql`select set_config('search_path', ${`"${schema}", pg_temp`}, true)`
    yield* migration
    yield* sql`select set_config('search_path', ${path}, true)`
  })

/** The id of the last of `migrations`: what a database must have. */
export const latestMigration = 1
