-- The service tier that a step asked for; null: the standard one.
ALTER TABLE steps ADD COLUMN tier TEXT;                     -- escaped

-- Opens a step and sets the turn running. False if the fence does not hold or the step is there.
-- A process that knows no tiers goes on calling it without one.
DROP FUNCTION open_step(
    TEXT, TEXT, TEXT, BIGINT, BIGINT, TEXT, TEXT, TEXT, BIGINT, BIGINT, BIGINT, BIGINT
);
CREATE FUNCTION open_step(
    in_tenant TEXT, in_turn TEXT, in_user TEXT, in_epoch BIGINT, in_step BIGINT, in_purpose TEXT,
    in_model TEXT, in_state TEXT, in_attempts BIGINT, in_input_bound BIGINT,
    in_input_estimate BIGINT, in_opened_at BIGINT, in_tier TEXT DEFAULT NULL
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    turn_state CONSTANT TEXT := locked_turn(in_tenant, in_turn, in_user, in_epoch);
BEGIN
    IF turn_state IS NULL THEN
        RETURN FALSE;
    END IF;
    INSERT INTO steps (tenant, turn, step, purpose, model, state, attempts, input_bound,
            input_estimate, opened_at, tier, amounts)
    VALUES (in_tenant, in_turn, in_step, in_purpose, in_model, in_state, in_attempts, in_input_bound,
            in_input_estimate, in_opened_at, in_tier, '[]')
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    IF turn_state <> 'running' THEN
        UPDATE turns t SET state = 'running' WHERE t.tenant = in_tenant AND t.id = in_turn;
    END IF;
    RETURN TRUE;
END
$$;
