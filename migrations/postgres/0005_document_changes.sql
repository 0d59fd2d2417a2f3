-- Which document each step of a tenant's configuration changed: a reader that knows version n asks what came after it.
-- Steps before this migration have no row. A reader counts the rows and reads everything where one is missing.
CREATE TABLE document_changes (
    tenant TEXT NOT NULL,
    config_version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tenant, config_version)
);

ALTER TABLE document_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY document_changes_tenant ON document_changes USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
