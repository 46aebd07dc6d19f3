-- What somebody should hear of, written with the fact it is about, until it is delivered or too old.
CREATE TABLE notices (
    tenant TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    record TEXT NOT NULL,                   -- see chat_balance::Notice
    PRIMARY KEY (tenant, key)
);
CREATE INDEX notices_in_order ON notices (at, tenant, key);
