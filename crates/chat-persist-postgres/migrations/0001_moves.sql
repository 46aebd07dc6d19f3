-- The moves of a turn as functions, so that each is one round trip and one commit. They run READ
-- COMMITTED: each statement sees what was committed before it began, so what must not change
-- meanwhile is locked first.
--
-- Everybody locks in this order, which is why nobody waits in a circle: the scope (shared; an import
-- alone), the conversation, new ids (smaller lock first), the turn, its steps, messages. Whoever adds
-- or removes messages or turns holds the conversation; whoever changes steps or events holds the
-- turn. A turn is found by its id; its user is compared as user_id || '', so that no index is tempted
-- to read all turns of the user, whatever the planner believes of a young table. A function that finds a rule broken writes nothing and says so; the caller reads and explains.

-- What an advisory lock is about: all ids of a scope (an empty id), or one of them.
CREATE FUNCTION lock_of(in_tenant TEXT, in_user TEXT, in_id TEXT) RETURNS BIGINT
LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(in_tenant || ' ' || in_user || ' ' || in_id, 0)
$$;

-- Makes a turn durable. Answers 'new', or why not: key, turn, no_user_message, parent_unfinished,
-- parent_missing, user_message_taken, reply_taken.
CREATE FUNCTION accept_turn(
    in_tenant TEXT, in_user TEXT, in_conversation TEXT, in_title TEXT, in_created_at BIGINT,
    in_model TEXT, in_instructions TEXT, in_options TEXT, in_archived BOOLEAN, in_expires_at BIGINT,
    in_turn TEXT, in_kind TEXT, in_user_message TEXT, in_reply TEXT, in_turn_model TEXT,
    in_owner TEXT, in_key TEXT, in_hash TEXT, in_at BIGINT,
    in_first_seq BIGINT, in_last_seq BIGINT, in_payload TEXT,
    in_is_new BOOLEAN, in_parent TEXT, in_role TEXT, in_record TEXT, in_token_counts TEXT
) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    message_lock CONSTANT BIGINT := lock_of(in_tenant, in_user, in_user_message);
    reply_lock CONSTANT BIGINT := lock_of(in_tenant, in_user, in_reply);
    has_conversation BOOLEAN;
    found_now RECORD;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock_of(in_tenant, in_user, ''));
    SELECT TRUE INTO has_conversation FROM conversations c
     WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation
       FOR NO KEY UPDATE;
    -- A message and a reply that is being written must not get the same id.
    PERFORM pg_advisory_xact_lock(least(message_lock, reply_lock));
    PERFORM pg_advisory_xact_lock(greatest(message_lock, reply_lock));

    -- One statement, one view: a reply is either still being written or a message.
    SELECT
        EXISTS (SELECT 1 FROM turns t WHERE t.tenant = in_tenant AND t.user_id = in_user
            AND t.idempotency_key = in_key) AS key,
        EXISTS (SELECT 1 FROM turns t WHERE t.tenant = in_tenant AND t.id = in_turn) AS turn,
        (SELECT m.conversation FROM messages m WHERE m.tenant = in_tenant
            AND m.user_id = in_user AND m.id = in_parent) AS parent_in,
        (SELECT t.conversation FROM turns t WHERE t.tenant = in_tenant AND t.user_id = in_user
            AND t.reply = in_parent AND t.closed_at IS NULL) AS parent_unfinished_in,
        (SELECT m.conversation FROM messages m WHERE m.tenant = in_tenant
            AND m.user_id = in_user AND m.id = in_user_message AND m.role = 'user') AS asked_in,
        EXISTS (SELECT 1 FROM messages m WHERE m.tenant = in_tenant AND m.user_id = in_user
            AND m.id = in_user_message)
        OR EXISTS (SELECT 1 FROM turns t WHERE t.tenant = in_tenant AND t.user_id = in_user
            AND t.reply = in_user_message AND t.closed_at IS NULL) AS user_message,
        EXISTS (SELECT 1 FROM messages m WHERE m.tenant = in_tenant AND m.user_id = in_user
            AND m.id = in_reply)
        OR EXISTS (SELECT 1 FROM turns t WHERE t.tenant = in_tenant AND t.user_id = in_user
            AND t.reply = in_reply AND t.closed_at IS NULL) AS reply
    INTO found_now;

    IF found_now.key THEN
        RETURN 'key';
    ELSIF found_now.turn THEN
        RETURN 'turn';
    ELSIF NOT in_is_new THEN
        IF found_now.asked_in IS DISTINCT FROM in_conversation THEN
            RETURN 'no_user_message';
        END IF;
    ELSIF in_parent IS NOT NULL AND found_now.parent_in IS DISTINCT FROM in_conversation THEN
        IF found_now.parent_unfinished_in = in_conversation THEN
            RETURN 'parent_unfinished';
        END IF;
        RETURN 'parent_missing';
    ELSIF found_now.user_message THEN
        RETURN 'user_message_taken';
    END IF;
    IF found_now.reply THEN
        RETURN 'reply_taken';
    END IF;

    IF has_conversation THEN
        UPDATE conversations c SET head = in_reply, updated_at = in_at
         WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation;
    ELSE
        INSERT INTO conversations (tenant, user_id, id, title, created_at, updated_at, head, model,
                instructions, options, archived, expires_at)
        VALUES (in_tenant, in_user, in_conversation, in_title, in_created_at, in_at, in_reply,
                in_model, in_instructions, in_options, in_archived, in_expires_at);
    END IF;
    IF in_is_new THEN
        INSERT INTO messages (tenant, user_id, id, conversation, parent, role, record, token_counts)
        VALUES (in_tenant, in_user, in_user_message, in_conversation, in_parent, in_role, in_record,
                in_token_counts);
    END IF;
    INSERT INTO turns (tenant, id, user_id, conversation, kind, user_message, reply, model,
            first_owner, idempotency_key, request_hash, created_at, owner, state, epoch, last_seq)
    VALUES (in_tenant, in_turn, in_user, in_conversation, in_kind, in_user_message, in_reply,
            in_turn_model, in_owner, in_key, in_hash, in_at, in_owner, 'accepted', 1, in_last_seq);
    INSERT INTO event_segments (tenant, turn, first_seq, last_seq, payload)
    VALUES (in_tenant, in_turn, in_first_seq, in_last_seq, in_payload);
    RETURN 'new';
END
$$;

-- Locks the turn if the fence holds and the turn goes on; its state, or null.
CREATE FUNCTION locked_turn(in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT)
RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT t.state FROM turns t
     WHERE t.tenant = in_tenant AND t.id = in_turn AND t.user_id || '' = in_user
       AND t.epoch = in_epoch
       AND t.closed_at IS NULL
       FOR NO KEY UPDATE);
END
$$;

-- Opens a step and sets the turn running. False if the fence does not hold or the step is there.
CREATE FUNCTION open_step(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_step BIGINT, in_purpose TEXT,
    in_model TEXT, in_state TEXT, in_attempts BIGINT, in_input_bound BIGINT,
    in_input_estimate BIGINT, in_opened_at BIGINT
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    turn_state CONSTANT TEXT := locked_turn(in_tenant, in_turn, in_user, in_epoch);
BEGIN
    IF turn_state IS NULL THEN
        RETURN FALSE;
    END IF;
    INSERT INTO steps (tenant, turn, step, purpose, model, state, attempts, input_bound,
            input_estimate, opened_at, amounts)
    VALUES (in_tenant, in_turn, in_step, in_purpose, in_model, in_state, in_attempts, in_input_bound,
            in_input_estimate, in_opened_at, '[]')
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    IF turn_state <> 'running' THEN
        UPDATE turns t SET state = 'running' WHERE t.tenant = in_tenant AND t.id = in_turn;
    END IF;
    RETURN TRUE;
END
$$;

-- Journals the next attempt of an open step. False if it is not the next, or the fence is broken.
CREATE FUNCTION dispatch_attempt(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_step BIGINT, in_attempt BIGINT
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    IF locked_turn(in_tenant, in_turn, in_user, in_epoch) IS NULL THEN
        RETURN FALSE;
    END IF;
    UPDATE steps p SET attempts = in_attempt,
            state = CASE p.state WHEN 'held' THEN 'dispatched' ELSE p.state END
     WHERE p.tenant = in_tenant AND p.turn = in_turn AND p.step = in_step
       AND p.state IN ('held', 'dispatched', 'streaming') AND p.attempts + 1 = in_attempt;
    RETURN FOUND;
END
$$;

-- Appends the events that come next. Whether a stop is wanted, or null if they do not come next or
-- the fence is broken.
CREATE FUNCTION append_events(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_first_seq BIGINT,
    in_last_seq BIGINT, in_payload TEXT, in_streaming_step BIGINT
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    stop_wanted BOOLEAN;
BEGIN
    UPDATE turns t SET last_seq = in_last_seq
     WHERE t.tenant = in_tenant AND t.id = in_turn AND t.user_id || '' = in_user
       AND t.epoch = in_epoch
       AND t.closed_at IS NULL AND t.last_seq + 1 = in_first_seq AND in_first_seq <= in_last_seq
    RETURNING t.stop_requested INTO stop_wanted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO event_segments (tenant, turn, first_seq, last_seq, payload)
    VALUES (in_tenant, in_turn, in_first_seq, in_last_seq, in_payload);
    IF in_streaming_step IS NOT NULL THEN
        UPDATE steps p SET state = 'streaming'
         WHERE p.tenant = in_tenant AND p.turn = in_turn AND p.step = in_streaming_step
           AND p.state = 'dispatched';
    END IF;
    RETURN stop_wanted;
END
$$;

-- Closes an open step. False if it is not open, or the fence is broken.
CREATE FUNCTION close_step(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_step BIGINT, in_state TEXT,
    in_amounts TEXT
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    IF locked_turn(in_tenant, in_turn, in_user, in_epoch) IS NULL THEN
        RETURN FALSE;
    END IF;
    -- The ledger is late from the moment the step was opened: the call carries no other time.
    UPDATE steps p SET state = in_state, amounts = in_amounts,
            settling_since = CASE in_state WHEN 'settling' THEN p.opened_at END
     WHERE p.tenant = in_tenant AND p.turn = in_turn AND p.step = in_step
       AND p.state IN ('held', 'dispatched', 'streaming');
    RETURN FOUND;
END
$$;

-- Ends a turn: reply (if in_reply is not null), steps, last events, state, the conversation's head.
-- False if any rule is broken.
CREATE FUNCTION close_turn(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_first_seq BIGINT,
    in_last_seq BIGINT, in_payload TEXT, in_state TEXT, in_failure TEXT, in_closed_at BIGINT,
    in_steps BIGINT[], in_step_states TEXT[], in_step_amounts TEXT[],
    in_reply TEXT, in_reply_conversation TEXT, in_reply_parent TEXT, in_role TEXT, in_record TEXT,
    in_token_counts TEXT
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    in_conversation TEXT;
    ending RECORD;
BEGIN
    -- The conversation of a turn never changes, so it may be read before it is locked.
    SELECT t.conversation INTO in_conversation FROM turns t
     WHERE t.tenant = in_tenant AND t.id = in_turn AND t.user_id || '' = in_user;
    PERFORM 1 FROM conversations c
     WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation
       FOR NO KEY UPDATE;
    -- Locked by a statement of its own, so that the next one sees the steps as they are now.
    IF locked_turn(in_tenant, in_turn, in_user, in_epoch) IS NULL THEN
        RETURN FALSE;
    END IF;
    UPDATE turns t
       SET state = in_state, failure = in_failure, closed_at = in_closed_at, last_seq = in_last_seq
     WHERE t.tenant = in_tenant AND t.id = in_turn
       AND t.last_seq + 1 = in_first_seq AND in_first_seq <= in_last_seq
       -- Every open step is named, and every named step is open or was closed in just this way.
       AND NOT EXISTS (SELECT 1 FROM steps p WHERE p.tenant = in_tenant AND p.turn = in_turn
            AND p.state IN ('held', 'dispatched', 'streaming') AND p.step <> ALL (in_steps))
       AND NOT EXISTS (SELECT 1 FROM unnest(in_steps, in_step_amounts) AS named (step, amounts)
              LEFT JOIN steps p
                ON p.tenant = in_tenant AND p.turn = in_turn AND p.step = named.step
             WHERE p.step IS NULL OR (p.state NOT IN ('held', 'dispatched', 'streaming')
                AND p.amounts <> named.amounts))
       AND (in_reply IS NULL OR (t.reply = in_reply AND t.conversation = in_reply_conversation
            AND t.user_message = in_reply_parent
            AND EXISTS (SELECT 1 FROM messages m WHERE m.tenant = in_tenant
                AND m.user_id = in_user AND m.id = t.user_message)))
    RETURNING t.reply, t.user_message INTO ending;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    UPDATE steps p SET state = named.state, amounts = named.amounts,
            settling_since = CASE named.state WHEN 'settling' THEN in_closed_at END
      FROM unnest(in_steps, in_step_states, in_step_amounts) AS named (step, state, amounts)
     WHERE p.tenant = in_tenant AND p.turn = in_turn AND p.step = named.step
       AND p.state IN ('held', 'dispatched', 'streaming');
    IF in_reply IS NOT NULL THEN
        INSERT INTO messages (tenant, user_id, id, conversation, parent, role, record, token_counts)
        VALUES (in_tenant, in_user, in_reply, in_conversation, in_reply_parent, in_role, in_record,
                in_token_counts);
    END IF;
    INSERT INTO event_segments (tenant, turn, first_seq, last_seq, payload)
    VALUES (in_tenant, in_turn, in_first_seq, in_last_seq, in_payload);
    -- A head that was moved meanwhile stays.
    UPDATE conversations c SET updated_at = in_closed_at,
            head = CASE WHEN in_reply IS NULL AND c.head = ending.reply THEN ending.user_message
                        ELSE c.head END
     WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation;
    RETURN TRUE;
END
$$;

-- Deletes a conversation with everything that belongs to it; if in_expired_at is not null, only if
-- its time was over then. Answers 'deleted', 'none' or 'busy': a turn is running, or the ledger may
-- not have its amounts yet.
CREATE FUNCTION delete_conversation(
    in_tenant TEXT, in_user TEXT, in_conversation TEXT, in_expired_at BIGINT
) RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM conversations c
     WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation
       AND (in_expired_at IS NULL OR c.expires_at <= in_expired_at)
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'none';
    END IF;
    IF EXISTS (SELECT 1 FROM turns t
         WHERE t.tenant = in_tenant AND t.user_id = in_user AND t.conversation = in_conversation
           AND (t.closed_at IS NULL OR EXISTS (SELECT 1 FROM steps p
                WHERE p.tenant = t.tenant AND p.turn = t.id AND p.state = 'settling'))) THEN
        RETURN 'busy';
    END IF;
    DELETE FROM event_segments e USING turns t
     WHERE t.tenant = in_tenant AND t.user_id = in_user AND t.conversation = in_conversation
       AND e.tenant = t.tenant AND e.turn = t.id;
    DELETE FROM steps p USING turns t
     WHERE t.tenant = in_tenant AND t.user_id = in_user AND t.conversation = in_conversation
       AND p.tenant = t.tenant AND p.turn = t.id;
    DELETE FROM turns t
     WHERE t.tenant = in_tenant AND t.user_id = in_user AND t.conversation = in_conversation;
    DELETE FROM messages m
     WHERE m.tenant = in_tenant AND m.user_id = in_user AND m.conversation = in_conversation;
    DELETE FROM conversations c
     WHERE c.tenant = in_tenant AND c.user_id = in_user AND c.id = in_conversation;
    RETURN 'deleted';
END
$$;
