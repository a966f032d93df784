-- Whether claims past quota or budget are refused, or granted against `loss`. The default is what campaigns had so far.
-- In an `honour` campaign `loss` has a shard for each lease, like `granted`: its row of shard 0 alone would be hot.
ALTER TABLE books.campaign ADD COLUMN overspend text COLLATE "C" NOT NULL DEFAULT 'forbid'
    CONSTRAINT campaign_overspend CHECK (overspend IN ('forbid', 'honour'));

-- Quota and budget bound all other sums. With this, what eight partitions grant past them still fits a bigint, which
-- `ledger.balance` gives its readers.
ALTER TABLE books.account ADD CONSTRAINT account_loss_fits_a_sum
    CHECK (role <> 'loss' OR amount_minor >= -1000000000000000000);

CREATE OR REPLACE VIEW ledger.campaign AS
SELECT campaign_id, name, state::text AS state, currency, quota, budget_minor, voucher_kind, face_value_minor,
       percent_bp, min_spend_minor, to_timestamp(starts_at_ms / 1000.0) AS starts_at,
       to_timestamp(ends_at_ms / 1000.0) AS ends_at, per_user_limit, categories, overspend
FROM books.campaign;
