-- One row that `/readyz` writes to see whether the database takes writes. Holds a time and nothing of any tenant.
CREATE TABLE write_probe (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
