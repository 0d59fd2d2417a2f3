-- What came from a bus and could not be taken in: nobody was there to be told, so it waits for a person.
-- `id` begins with the time of arrival, so that it sorts by it.
CREATE TABLE quarantine (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    -- The bus and the place on it.
    origin TEXT NOT NULL,
    content_type TEXT NOT NULL,
    -- The problem, as JSON; its code again, to be looked for.
    code TEXT NOT NULL,
    problem TEXT NOT NULL,
    body BYTEA NOT NULL,
    -- 1: the body was longer and is cut.
    truncated BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE quarantine FORCE ROW LEVEL SECURITY;
CREATE POLICY quarantine_tenant ON quarantine USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
