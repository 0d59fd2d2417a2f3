-- What was delivered to the studio's own inboxes. The message is that of the delivery, and so is `seq`.
CREATE TABLE inbox_items (
    tenant TEXT NOT NULL,
    -- The delivery.
    id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    channel TEXT NOT NULL,
    -- 0 (none) to 6 (blocker).
    severity BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- When and by whom it was read first; NULL: unread.
    read_at BIGINT,
    read_by TEXT,
    PRIMARY KEY (tenant, id)
);
-- By arrival; `seq` tells apart what came at once.
CREATE UNIQUE INDEX inbox_items_newest ON inbox_items (tenant, created_at, seq);
CREATE INDEX inbox_items_unread ON inbox_items (tenant, created_at, seq, severity) WHERE read_at IS NULL;
CREATE INDEX inbox_items_expires ON inbox_items (tenant, expires_at);

-- Recipients of a channel who want nothing any more. No part of the channel's document, so that applying it anew does
-- not write to them again.
CREATE TABLE opt_outs (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- Lower case.
    address TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, channel, address)
);
