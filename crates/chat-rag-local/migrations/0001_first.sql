-- Whose documents; `version` is raised by every write of the owner's, so that whoever keeps the
-- owner's vectors in memory knows whether they still hold.
CREATE TABLE owners (
    pk INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, user)
) STRICT;

-- A document's chunks have the keys `first_chunk` to `first_chunk + chunks - 1`.
CREATE TABLE documents (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL REFERENCES owners (pk),
    id TEXT NOT NULL,
    collection TEXT,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content TEXT NOT NULL,
    text_bytes INTEGER NOT NULL,
    first_chunk INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    -- How it was split.
    chunked_by TEXT NOT NULL,
    -- Whose vectors it has.
    embedding TEXT,
    added_at INTEGER NOT NULL,
    UNIQUE (owner, id)
) STRICT;

CREATE TABLE chunks (
    pk INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents (pk),
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    heading TEXT NOT NULL,
    first_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL
) STRICT;

-- All vectors of a document in one value, in the order of its chunks.
CREATE TABLE vectors (
    document INTEGER PRIMARY KEY REFERENCES documents (pk),
    codes BLOB NOT NULL
) STRICT;

-- The words of each chunk, and its owner as one more word: a search names it, so that it walks the
-- owner's chunks only. The texts themselves are in `chunks`.
CREATE VIRTUAL TABLE words USING fts5 (
    owner, heading, body,
    content = '', contentless_delete = 1,
    tokenize = 'porter unicode61 remove_diacritics 2'
);
