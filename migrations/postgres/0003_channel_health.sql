-- Channels that have had nothing but failures, and since when. A row exists only while a channel fails.
CREATE TABLE channel_health (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    failing_since BIGINT NOT NULL,
    PRIMARY KEY (tenant, channel)
);

ALTER TABLE channel_health ENABLE ROW LEVEL SECURITY;
ALTER TABLE channel_health FORCE ROW LEVEL SECURITY;
CREATE POLICY channel_health_tenant ON channel_health USING ((tenant = current_setting('notify.tenant', true)) IS TRUE);
