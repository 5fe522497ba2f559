/*
 * Calls under a key that clients have tools carry out themselves, and what came of them. The lock of a user's new keys comes
 * before that of the key, and this before that of the user's counter. Erasing a user has the counter first, since what was
 * committed under it must all go; it meets the lock of a key that is taken up again only.
 */
const table = `create table direct_calls (
    user_id text collate "C" not null,
    idempotency_key text collate "C" not null,
    id uuid not null,
    request_hash bytea not null,
    status text check (status in ('success', 'error')),
    result json,
    created_at timestamptz(3) not null,
    primary key (user_id, idempotency_key)
  )`

/** What the migrations are to make for direct calls. */
export const directCallStatements: ReadonlyArray<string> = [
  table,
  "comment on column direct_calls.result is 'null until a tool that works outside this database has answered'",
  "create index direct_calls_created on direct_calls (created_at)",

  // Looks a key up, or remembers it: 'begun', 'carried', 'reused' or 'too_many'. Whoever has it in another transaction is
  // waited for; and one new key of a user for another, or each would count as if there were no other.
  `create function direct_call_key(p_user text, p_key text, p_request text, p_id uuid, p_limit int, out outcome text,
    out call_id uuid, out call_status text, out call_result text)
  language plpgsql set enable_seqscan = off set search_path from current as $$
  declare v_hash bytea := sha256(convert_to(p_request, 'UTF8')); v_alone boolean := false; c direct_calls;
  begin
    loop
      select * into c from direct_calls d where d.user_id = p_user and d.idempotency_key = p_key for no key update;
      exit when found;
      if not v_alone then
        perform pg_advisory_xact_lock(hashtextextended('turnkeeper/direct_calls/' || p_user, 0));
        v_alone := true;
        continue;
      end if;
      if p_limit <= (select count(*) from (select 1 from direct_calls d where d.user_id = p_user limit p_limit) x) then
        outcome := 'too_many';
        return;
      end if;
      insert into direct_calls as d (user_id, idempotency_key, id, request_hash, created_at)
        values (p_user, p_key, p_id, v_hash, clock_timestamp()) on conflict (user_id, idempotency_key) do nothing
        returning * into c;
      exit when found;
    end loop;
    if c.request_hash <> v_hash then outcome := 'reused'; return; end if;
    outcome := case when c.result is null then 'begun' else 'carried' end;
    call_id := c.id;
    call_status := c.status;
    call_result := c.result::text;
  end $$`,

  // Keeps a result, the first of several, and answers what is kept; nothing where the call was erased meanwhile.
  `create function direct_call_finish(p_user text, p_key text, p_id uuid, p_status text, p_result text)
  returns table (call_status text, call_result text) language plpgsql set enable_seqscan = off set search_path from current as $$
  begin
    return query update direct_calls d
      set status = coalesce(d.status, p_status), result = coalesce(d.result, p_result::json)
      where d.user_id = p_user and d.idempotency_key = p_key and d.id = p_id returning d.status, d.result::text;
  end $$`,

  // Begins a call, which may have no key. As a transaction (p_inside) it has the lock of the user's tasks, as a step has, and
  // whoever freezes in it is thrown out after two seconds.
  `create function direct_call_begin(p_user text, p_key text, p_request text, p_id uuid, p_limit int, p_inside boolean,
    out outcome text, out call_id uuid, out call_status text, out call_result text)
  language plpgsql set enable_seqscan = off set search_path from current as $$
  begin
    perform set_config('lock_timeout', case when p_inside then '5s' else '200ms' end, true);
    if p_key is null then
      outcome := 'begun';
      call_id := p_id;
    else
      select * into outcome, call_id, call_status, call_result
        from direct_call_key(p_user, p_key, p_request, p_id, p_limit);
    end if;
    if not p_inside or outcome <> 'begun' then return; end if;
    perform set_config('idle_in_transaction_session_timeout', '2s', true);
    insert into user_counters (user_id, next_task_id) values (p_user, 1) on conflict (user_id) do nothing;
    perform 1 from user_counters u where u.user_id = p_user for no key update;
  end $$`
]
