-- What is known of files; their bytes are elsewhere.
CREATE TABLE files (
    scope INTEGER NOT NULL REFERENCES scopes (pk),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    content TEXT NOT NULL,          -- hash of the bytes
    created_at INTEGER NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;
