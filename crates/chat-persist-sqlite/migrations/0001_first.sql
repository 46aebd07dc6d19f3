-- Numbers called pk name rows inside this file only; ids are the caller's. Times are milliseconds
-- since the Unix epoch, money is nano-USD.

CREATE TABLE scopes (
    pk INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    UNIQUE (tenant, user)
) STRICT;

CREATE TABLE conversations (
    pk INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes (pk),
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    head TEXT,                      -- also the id of a reply that is still being written
    model TEXT,
    instructions TEXT,
    options TEXT NOT NULL,
    archived INTEGER NOT NULL,
    expires_at INTEGER,
    UNIQUE (scope, id)
) STRICT;
CREATE INDEX conversations_listed ON conversations (scope, archived, updated_at, id);
CREATE INDEX conversations_expiring ON conversations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE messages (
    pk INTEGER PRIMARY KEY,         -- ascends in the order of writing
    scope INTEGER NOT NULL REFERENCES scopes (pk),
    conversation INTEGER NOT NULL REFERENCES conversations (pk),
    id TEXT NOT NULL,
    parent INTEGER REFERENCES messages (pk),
    role TEXT NOT NULL,
    record TEXT NOT NULL,           -- everything else, see chat_persist::stored
    token_counts TEXT NOT NULL,
    UNIQUE (scope, id)
) STRICT;
CREATE INDEX messages_in_order ON messages (conversation);
CREATE INDEX messages_below ON messages (parent) WHERE parent IS NOT NULL;

CREATE TABLE turns (
    pk INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes (pk),
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations (pk),
    kind TEXT NOT NULL,
    user_message TEXT NOT NULL,
    reply TEXT NOT NULL,
    model TEXT NOT NULL,
    first_owner TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    owner TEXT NOT NULL,            -- who runs it now
    state TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL,
    failure TEXT,
    closed_at INTEGER,              -- not null exactly when the state is terminal
    log_expired INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id)
) STRICT;
CREATE UNIQUE INDEX turns_keyed ON turns (scope, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX turns_running ON turns (scope, reply) WHERE closed_at IS NULL;
CREATE INDEX turns_of ON turns (conversation);
CREATE INDEX turns_logged ON turns (closed_at) WHERE closed_at IS NOT NULL AND log_expired = 0;

CREATE TABLE steps (
    turn INTEGER NOT NULL REFERENCES turns (pk),
    step INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    input_bound INTEGER NOT NULL,
    input_estimate INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    amounts TEXT NOT NULL,
    settling_since INTEGER,
    PRIMARY KEY (turn, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_settling ON steps (settling_since) WHERE state = 'settling';

CREATE TABLE event_segments (
    turn INTEGER NOT NULL REFERENCES turns (pk),
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (turn, first_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT,                     -- the only user who finds it
    kind TEXT NOT NULL,
    granted INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    held INTEGER NOT NULL,
    posted INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    tenant TEXT NOT NULL,
    turn TEXT NOT NULL,
    step INTEGER NOT NULL,
    user TEXT NOT NULL,
    state TEXT NOT NULL,
    legs TEXT NOT NULL,             -- a list of {account, amount, posted}
    extended_to INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    PRIMARY KEY (tenant, turn, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_open ON holds (opened_at) WHERE state = 'open';

CREATE TABLE entries (
    pk INTEGER PRIMARY KEY,         -- counts from 1 in the order of writing, without gaps
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    debit TEXT NOT NULL,            -- source, revenue, expired or wallet:ACCOUNT
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (tenant, kind, reference)
) STRICT;
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;

CREATE TABLE usage (
    pk INTEGER PRIMARY KEY,         -- counts from 1 in the order of writing, without gaps
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    turn TEXT NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    conversation TEXT NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    input_uncached INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    source TEXT NOT NULL,
    amount INTEGER NOT NULL,
    price_version TEXT NOT NULL,
    provider_request_id TEXT,
    at INTEGER NOT NULL,
    UNIQUE (tenant, turn, step, attempt)
) STRICT;
CREATE INDEX usage_of ON usage (tenant, user);
