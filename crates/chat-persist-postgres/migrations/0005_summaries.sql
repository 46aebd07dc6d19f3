-- A summary of the branch up to and including the message, made later; see chat_persist::stored.
ALTER TABLE messages ADD COLUMN summary TEXT;
