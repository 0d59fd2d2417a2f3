-- Times are microseconds since 1970-01-01T00:00:00Z, hashes and salts raw bytes, ids and JSON text.

-- Directory of tenants, readable across tenants: ids, counts and times only.
CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    pending_events BIGINT NOT NULL,
    dead_deliveries BIGINT NOT NULL
);

-- The owner of a tenant's planning, on the database's clock.
CREATE TABLE leases (
    tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Deliveries that wait for an attempt or are being attempted. `ready_at` is when the next dispatcher may take the row:
-- its due time, or the end of the running claim. A claim token on a ready row means that a holder went silent.
CREATE TABLE work_queue (
    tenant TEXT NOT NULL,
    delivery_seq BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    ready_at BIGINT NOT NULL,
    claim_token TEXT,
    PRIMARY KEY (tenant, delivery_seq)
);
CREATE INDEX work_queue_ready ON work_queue (ready_at);

-- One row per tenant, locked by every commit: counters and the head of the ledger. The lock is also what makes the
-- tenant of every other row exist, so the busy tables pay for no foreign key.
CREATE TABLE tenant_heads (
    tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
    name TEXT NOT NULL,
    opaque TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    config_version BIGINT NOT NULL,
    event_seq BIGINT NOT NULL,
    delivery_seq BIGINT NOT NULL,
    log_origin TEXT NOT NULL,
    log_size BIGINT NOT NULL,
    log_root BYTEA NOT NULL,
    -- Compact range of [0, log_size): subtree roots, largest first, 32 bytes each.
    log_range BYTEA NOT NULL,
    log_at BIGINT NOT NULL,
    log_checkpoint TEXT NOT NULL
);

CREATE TABLE document_versions (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id, version)
);

CREATE TABLE document_heads (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

CREATE TABLE events (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    body TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    accepted_at BIGINT NOT NULL,
    salt BYTEA,
    PRIMARY KEY (tenant, key)
);
CREATE UNIQUE INDEX events_seq ON events (tenant, seq);
CREATE INDEX events_pending ON events (tenant, seq) WHERE state = 'pending';

-- `seq` numbers deliveries per tenant in order of creation: other tables point at it, because an index over it grows
-- at one end while one over the hashed id touches a random page per row.
CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event TEXT,
    event_seq BIGINT,
    cause TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_version BIGINT NOT NULL,
    action TEXT NOT NULL,
    channel TEXT NOT NULL,
    message TEXT NOT NULL,
    message_salt BYTEA NOT NULL,
    message_commitment TEXT NOT NULL,
    target TEXT NOT NULL,
    target_salt BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    next_attempt BIGINT NOT NULL,
    last_result TEXT,
    last_error TEXT,
    provider_reference TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX deliveries_seq ON deliveries (tenant, seq);
CREATE INDEX deliveries_event ON deliveries (tenant, event_seq);
CREATE INDEX deliveries_dead ON deliveries (tenant, seq) WHERE state = 'dead';

CREATE TABLE attempts (
    tenant TEXT NOT NULL,
    delivery_seq BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    result TEXT NOT NULL,
    http_status BIGINT,
    request BYTEA,
    request_salt BYTEA,
    response BYTEA,
    response_salt BYTEA,
    error TEXT,
    provider_reference TEXT,
    -- JSON of what followed.
    follows TEXT NOT NULL,
    PRIMARY KEY (tenant, delivery_seq, attempt)
);

-- Salt and bytes behind commitments that have no row of their own.
CREATE TABLE openings (
    tenant TEXT NOT NULL,
    commitment TEXT NOT NULL,
    salt BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (tenant, commitment)
);

CREATE TABLE ledger_entries (
    tenant TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    -- The number of the event or delivery that the entry is about. Look-ups go over it, for the same reason as above;
    -- only the few entries about something else are found by `about`.
    event_seq BIGINT,
    delivery_seq BIGINT,
    payload TEXT,
    leaf_hash BYTEA NOT NULL,
    PRIMARY KEY (tenant, seq)
);
CREATE INDEX ledger_entries_event ON ledger_entries (tenant, event_seq) WHERE event_seq IS NOT NULL;
CREATE INDEX ledger_entries_delivery ON ledger_entries (tenant, delivery_seq) WHERE delivery_seq IS NOT NULL;
CREATE INDEX ledger_entries_about ON ledger_entries (tenant, about)
    WHERE event_seq IS NULL AND delivery_seq IS NULL;

-- Roots of complete subtrees of 256, 65,536 and 16,777,216 leaves (levels 8, 16, 24).
CREATE TABLE ledger_tiles (
    tenant TEXT NOT NULL,
    level BIGINT NOT NULL,
    tile BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (tenant, level, tile)
);

CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status BIGINT NOT NULL,
    answer TEXT NOT NULL,
    remembered_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- Row-level security. A transaction names its tenant with set_config('notify.tenant', …, true); without it no row is
-- visible or writable. FORCE makes the tables' owner subject to it too, so that one role may migrate and serve; only
-- superusers and BYPASSRLS roles escape, and the store refuses to run as one. `tenants`, `leases` and `work_queue` cross
-- tenants and hold ids, counts and times only.
--
-- Every query names its tenant itself, so the policies only check. IS TRUE keeps the planner from using them to find
-- rows: over a young table without statistics it would read all rows of the tenant for each key that is looked up.
ALTER TABLE tenant_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_heads_tenant ON tenant_heads USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE document_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY document_versions_tenant ON document_versions USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE document_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY document_heads_tenant ON document_heads USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE POLICY events_tenant ON events USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY deliveries_tenant ON deliveries USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY attempts_tenant ON attempts USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE openings ENABLE ROW LEVEL SECURITY;
ALTER TABLE openings FORCE ROW LEVEL SECURITY;
CREATE POLICY openings_tenant ON openings USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY ledger_entries_tenant ON ledger_entries USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE ledger_tiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_tiles FORCE ROW LEVEL SECURITY;
CREATE POLICY ledger_tiles_tenant ON ledger_tiles USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_keys_tenant ON idempotency_keys USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
