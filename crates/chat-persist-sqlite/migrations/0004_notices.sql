-- What somebody should hear of, written with the fact it is about, until it is delivered or too old.
CREATE TABLE notices (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    record TEXT NOT NULL,           -- see chat_balance::Notice
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_in_order ON notices (at, tenant, key);
