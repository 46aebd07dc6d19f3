-- Every key begins with the tenant, so that each table can be partitioned by it. Ids compare byte by
-- byte. Times are milliseconds since the Unix epoch, money is nano-USD. A column called pk ascends
-- in the order of writing; it has gaps and names nothing. Columns of text that people or providers
-- wrote are escaped (see escape.rs), because this engine's text cannot hold U+0000; JSON columns are
-- TEXT for the same reason.

CREATE TABLE conversations (
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,        -- escaped
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    head TEXT COLLATE "C",                  -- also the id of a reply that is still being written
    model TEXT,
    instructions TEXT,                      -- escaped
    options TEXT NOT NULL,
    archived BOOLEAN NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (tenant, user_id, id)
) WITH (fillfactor = 85);
CREATE INDEX conversations_listed ON conversations (tenant, user_id, archived, updated_at, id);
CREATE INDEX conversations_expiring ON conversations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE messages (
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    conversation TEXT COLLATE "C" NOT NULL,
    parent TEXT COLLATE "C",
    role TEXT NOT NULL,
    record TEXT NOT NULL,                   -- everything else, see chat_persist::stored
    token_counts TEXT NOT NULL,
    pk BIGINT GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant, user_id, id),
    FOREIGN KEY (tenant, user_id, conversation) REFERENCES conversations
);
CREATE INDEX messages_in_order ON messages (tenant, user_id, conversation, pk);
CREATE INDEX messages_below ON messages (tenant, user_id, parent) WHERE parent IS NOT NULL;

CREATE TABLE turns (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    conversation TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    user_message TEXT COLLATE "C" NOT NULL,
    reply TEXT COLLATE "C" NOT NULL,
    model TEXT NOT NULL,
    first_owner TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C",
    request_hash TEXT NOT NULL,             -- escaped
    created_at BIGINT NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,        -- who runs it now
    state TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    stop_requested BOOLEAN NOT NULL DEFAULT FALSE,
    last_seq BIGINT NOT NULL,
    failure TEXT,
    closed_at BIGINT,                       -- not null exactly when the state is terminal
    log_expired BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, user_id, conversation) REFERENCES conversations
) WITH (fillfactor = 70);                   -- each checkpoint updates its row in place
CREATE UNIQUE INDEX turns_keyed ON turns (tenant, user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX turns_running ON turns (tenant, user_id, reply) WHERE closed_at IS NULL;
CREATE INDEX turns_owned ON turns (owner, tenant, id) WHERE closed_at IS NULL;
CREATE INDEX turns_of ON turns (tenant, user_id, conversation);
CREATE INDEX turns_logged ON turns (closed_at) WHERE closed_at IS NOT NULL AND NOT log_expired;

CREATE TABLE steps (
    tenant TEXT COLLATE "C" NOT NULL,
    turn TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    input_bound BIGINT NOT NULL,
    input_estimate BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    amounts TEXT NOT NULL,
    settling_since BIGINT,
    PRIMARY KEY (tenant, turn, step),
    FOREIGN KEY (tenant, turn) REFERENCES turns
) WITH (fillfactor = 70);
CREATE INDEX steps_settling ON steps (settling_since) WHERE state = 'settling';

CREATE TABLE event_segments (
    tenant TEXT COLLATE "C" NOT NULL,
    turn TEXT COLLATE "C" NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (tenant, turn, first_seq),
    FOREIGN KEY (tenant, turn) REFERENCES turns
);

CREATE TABLE owners (
    id TEXT COLLATE "C" PRIMARY KEY,
    lease_until BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE files (
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,                     -- escaped
    media_type TEXT NOT NULL,               -- escaped
    size_bytes BIGINT NOT NULL,
    content TEXT NOT NULL,                  -- hash of the bytes, escaped
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, user_id, id)
);

CREATE TABLE accounts (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C",                 -- the only user who finds it
    kind TEXT NOT NULL,
    granted BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    held BIGINT NOT NULL,
    posted BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 50);

CREATE TABLE holds (
    tenant TEXT COLLATE "C" NOT NULL,
    turn TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    state TEXT NOT NULL,
    legs TEXT NOT NULL,                     -- a list of {account, amount, posted}
    extended_to BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    PRIMARY KEY (tenant, turn, step)
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON holds (opened_at, tenant, turn, step) WHERE state = 'open';

-- One number for all entries, or usage rows, of one write, so that they stand together; each row adds
-- its place.
CREATE SEQUENCE written_together INCREMENT BY 1024;

CREATE TABLE entries (
    tenant TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    debit TEXT NOT NULL,                    -- source, revenue, expired or wallet:ACCOUNT
    credit TEXT NOT NULL,
    amount BIGINT NOT NULL,
    at BIGINT NOT NULL,
    pk BIGINT NOT NULL,                     -- of written_together, and the place in the write
    UNIQUE (tenant, kind, reference)
);
CREATE INDEX entries_in_order ON entries (pk);

CREATE TABLE usage (
    tenant TEXT COLLATE "C" NOT NULL,
    turn TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    conversation TEXT COLLATE "C" NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    input_uncached BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    source TEXT NOT NULL,
    amount BIGINT NOT NULL,
    price_version TEXT NOT NULL,            -- escaped
    provider_request_id TEXT,               -- escaped
    at BIGINT NOT NULL,
    pk BIGINT NOT NULL,                     -- of written_together, and the place in the write
    UNIQUE (tenant, turn, step, attempt)
);
CREATE INDEX usage_of ON usage (tenant, user_id, pk);
CREATE INDEX usage_in_order ON usage (pk);

CREATE FUNCTION entries_are_append_only() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries are append-only';
END
$$;
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_are_append_only();
CREATE TRIGGER entries_are_never_truncated BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_append_only();
