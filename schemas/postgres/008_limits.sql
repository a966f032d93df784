-- Limits on claims by user and day, by device and by channel, as `campaign.open` gave them; null where there are none.
ALTER TABLE books.campaign ADD COLUMN limits jsonb;

-- What the claim named: a claim sent again with another device is another claim.
ALTER TABLE books.voucher ADD COLUMN device_id text COLLATE "C";
ALTER TABLE books.waiting_place ADD COLUMN device_id text COLLATE "C";

-- The order of the labels is the order in which counts are locked (see limit_count_key).
CREATE TYPE books.limit_kind AS ENUM ('device', 'channel');

-- The vouchers ever granted to a device or by a channel, in campaigns that limit them. Claims of all partitions meet
-- here: each adds its own, and the bound is in the row, so that whoever would pass it fails and decides again. Room is
-- left in each page, since a channel's row changes with every batch.
CREATE TABLE books.limit_count (
    kind         books.limit_kind NOT NULL,
    campaign_id  text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    vouchers     bigint NOT NULL,
    vouchers_max bigint NOT NULL,
    CONSTRAINT limit_count_key PRIMARY KEY (kind, campaign_id, name),
    CONSTRAINT limit_not_passed CHECK (vouchers BETWEEN 0 AND vouchers_max)
) WITH (fillfactor = 60);

CREATE VIEW ledger.claim_limit AS
SELECT campaign_id, (limits ->> 'per_user_day')::integer AS per_user_day, (limits ->> 'per_device')::integer AS per_device,
       (limits ->> 'day_utc_offset_minutes')::integer AS day_utc_offset_minutes
FROM books.campaign WHERE limits IS NOT NULL;

CREATE VIEW ledger.channel_quota AS
SELECT c.campaign_id, q.channel, q.quota::bigint AS quota, coalesce(n.vouchers, 0) AS granted
FROM books.campaign c
CROSS JOIN jsonb_each_text(c.limits -> 'channel_quotas') AS q (channel, quota)
LEFT JOIN books.limit_count n ON n.kind = 'channel' AND n.campaign_id = c.campaign_id AND n.name = q.channel;

CREATE VIEW ledger.device AS
SELECT campaign_id, name AS device_id, vouchers AS granted, vouchers_max AS per_device
FROM books.limit_count WHERE kind = 'device' AND vouchers > 0;  -- a count that was only locked stays zero

GRANT SELECT ON ledger.claim_limit, ledger.channel_quota, ledger.device
    TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON books.limit_count TO voucher_ledger_writer, voucher_ledger_operator;
GRANT INSERT, UPDATE ON books.limit_count TO voucher_ledger_writer;
