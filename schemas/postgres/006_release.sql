-- Paced release: `release_quota[n]` vouchers become claimable at `release_at_ms[n]`; in the order of their times.
ALTER TABLE books.campaign
    ADD COLUMN release_at_ms bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN release_quota bigint[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT campaign_release_pairs CHECK (cardinality(release_at_ms) = cardinality(release_quota));

CREATE VIEW ledger.tranche AS
SELECT c.campaign_id, t.place, to_timestamp(t.at_ms / 1000.0) AS at, t.quota
FROM books.campaign c, unnest(c.release_at_ms, c.release_quota) WITH ORDINALITY AS t (at_ms, quota, place);

GRANT SELECT ON ledger.tranche TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
