-- The index of documents, in tables of its own beside the store's. `{vector}` is the schema that the
-- server's operator put the extension into.
CREATE TABLE rag_owners (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    UNIQUE (tenant, user_id)
);

-- Whose vectors there are; those of two models are never compared.
CREATE TABLE rag_spaces (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT COLLATE "C" NOT NULL,
    dimensions BIGINT NOT NULL,
    UNIQUE (model, dimensions)
);

CREATE TABLE rag_documents (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner BIGINT NOT NULL REFERENCES rag_owners (pk),
    id TEXT COLLATE "C" NOT NULL,
    collection TEXT COLLATE "C",
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content TEXT NOT NULL,
    text_bytes BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    chunked_by TEXT NOT NULL,
    space BIGINT NOT NULL REFERENCES rag_spaces (pk),
    added_at BIGINT NOT NULL,
    UNIQUE (owner, id)
);

CREATE TABLE rag_chunks (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner BIGINT NOT NULL,
    document BIGINT NOT NULL REFERENCES rag_documents (pk) ON DELETE CASCADE,
    space BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    heading TEXT NOT NULL,
    first_byte BIGINT NOT NULL,
    end_byte BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    last_line BIGINT NOT NULL,
    -- Its words, and its owner as one more.
    words TSVECTOR NOT NULL,
    embedding {vector}.VECTOR NOT NULL
);
CREATE INDEX rag_chunks_document ON rag_chunks (document);
CREATE INDEX rag_chunks_owner ON rag_chunks (owner, space);
CREATE INDEX rag_chunks_words ON rag_chunks USING gin (words);
