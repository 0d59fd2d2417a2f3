-- Which document each step of a tenant's configuration changed: a reader that knows version n asks what came after it.
-- Steps before this migration have no row. A reader counts the rows and reads everything where one is missing.
CREATE TABLE document_changes (
    tenant TEXT NOT NULL,
    config_version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tenant, config_version)
);
