-- What noise control remembers of a tenant. The version moves with every commit that changes it: whoever plans on a
-- copy learns that it is stale.
ALTER TABLE tenant_heads ADD COLUMN noise_version BIGINT NOT NULL DEFAULT 0;
-- When the owner of a tenant has to look at its timers; NULL: it has none.
ALTER TABLE tenants ADD COLUMN next_timer BIGINT;

-- The key is a hash: values of events are not in this table. `value` is JSON.
CREATE TABLE noise_state (
    tenant TEXT NOT NULL,
    key BLOB NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    due_at BIGINT,
    expires_at BIGINT,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX noise_state_due ON noise_state (tenant, due_at) WHERE due_at IS NOT NULL;

-- Alerts that wait for the end of quiet hours or maintenance, rendered and committed to.
CREATE TABLE held_alerts (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    event_seq BIGINT,
    rule TEXT NOT NULL,
    rule_version BIGINT NOT NULL,
    action TEXT NOT NULL,
    channel TEXT NOT NULL,
    control TEXT NOT NULL,
    message TEXT NOT NULL,
    message_salt BLOB NOT NULL,
    message_commitment TEXT NOT NULL,
    held_at BIGINT NOT NULL,
    release_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX held_alerts_release ON held_alerts (tenant, release_at, id);

-- Alerts that open digests have collected; the ledger knows those of closed ones.
CREATE TABLE digest_items (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    number BIGINT NOT NULL,
    event TEXT NOT NULL,
    event_seq BIGINT,
    rule TEXT NOT NULL,
    action TEXT NOT NULL,
    severity TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, digest, number)
);
