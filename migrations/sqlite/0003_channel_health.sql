-- Channels that have had nothing but failures, and since when. A row exists only while a channel fails.
CREATE TABLE channel_health (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    failing_since BIGINT NOT NULL,
    PRIMARY KEY (tenant, channel)
);
