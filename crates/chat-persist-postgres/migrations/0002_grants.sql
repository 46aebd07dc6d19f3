-- Accounts that count something else than dollars, grants that burn in an order or run out, refills.
ALTER TABLE accounts ADD COLUMN unit TEXT NOT NULL DEFAULT 'usd';
-- Newest moment, newest period filled, and lots; see chat_balance::AccountState.
ALTER TABLE accounts ADD COLUMN state TEXT NOT NULL DEFAULT '{"as_of":0}';
