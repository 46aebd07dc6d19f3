-- The service tier that a step asked for; null: the standard one.
ALTER TABLE steps ADD COLUMN tier TEXT;
