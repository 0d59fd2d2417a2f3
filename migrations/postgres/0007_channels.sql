-- The turn that a delivery has in the line of a target with a rate: reserved, and not to be asked for again.
ALTER TABLE work_queue ADD COLUMN slot_at BIGINT;
-- At which targets, and how far the line of each had been moved when the turn was reserved.
ALTER TABLE work_queue ADD COLUMN slot_lines BYTEA;

-- Who took over from a digest, or repeats it: no event leads there.
CREATE INDEX deliveries_no_event ON deliveries (tenant, cause) WHERE event_seq IS NULL;

-- Targets with a rate: when the bucket is full again by the turns that were used (used_at) and by those that were
-- reserved (full_at), how far the line was moved so far, and until when the target asked for a pause. Targets may be
-- shared by tenants, so a key is a hash and nothing but times is here.
CREATE TABLE send_targets (
    key BYTEA NOT NULL PRIMARY KEY,
    full_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    moved BIGINT NOT NULL,
    paused_until BIGINT NOT NULL
);
CREATE INDEX send_targets_full ON send_targets (full_at);

-- How channels are: breaker, pause, last results, last check. Derived from attempts, so no ledger entry tells of it.
CREATE TABLE channel_state (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- Of the document that breaker and pause are about.
    version BIGINT,
    breaker TEXT NOT NULL,
    breaker_since BIGINT,
    breaker_until BIGINT,
    breaker_round BIGINT NOT NULL,
    paused_until BIGINT,
    success_at BIGINT,
    error_at BIGINT,
    error_result TEXT,
    error_status BIGINT,
    error_text TEXT,
    check_due BIGINT,
    check_at BIGINT,
    check_result TEXT,
    check_text TEXT,
    -- JSON: secret references to salted fingerprints and since when they hold.
    secrets TEXT,
    PRIMARY KEY (tenant, channel)
);

ALTER TABLE channel_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE channel_state FORCE ROW LEVEL SECURITY;
CREATE POLICY channel_state_tenant ON channel_state USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
