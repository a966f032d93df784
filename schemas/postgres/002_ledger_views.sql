-- The ledger as its readers see it: the columns of the contract (and a few more at the end of each).
CREATE SCHEMA ledger;

CREATE VIEW ledger.balance AS
SELECT campaign_id, role::text AS role, 'VOUCHER'::text AS unit, sum(vouchers)::bigint AS balance
FROM books.account GROUP BY campaign_id, role
UNION ALL
SELECT a.campaign_id, a.role::text, c.currency, sum(a.amount_minor)::bigint
FROM books.account a JOIN books.campaign c USING (campaign_id) GROUP BY a.campaign_id, a.role, c.currency;

CREATE VIEW ledger.transfer AS
SELECT concat_ws('/', cause_topic, cause_partition, cause_offset, cause_index) AS transfer_id,
       campaign_id, debit_role::text AS debit_role, credit_role::text AS credit_role, vouchers, amount_minor,
       voucher_id, order_id, cause_topic, cause_partition, cause_offset, to_timestamp(at_ms / 1000.0) AS at,
       debit_shard, credit_shard, cause_index, reason, approved_by
FROM books.transfer;

CREATE VIEW ledger.voucher AS
SELECT voucher_id, campaign_id, user_id, state::text AS state, face_value_minor,
       to_timestamp(granted_at_ms / 1000.0) AS granted_at, to_timestamp(expires_at_ms / 1000.0) AS expires_at,
       city_tier, channel, command_id, shard
FROM books.voucher;

CREATE VIEW ledger.reservation AS
SELECT order_id, voucher_id, user_id, category, amount_minor, discount_minor, state::text AS state,
       campaign_id, merchant_id, city_tier, to_timestamp(reserved_at_ms / 1000.0) AS reserved_at,
       to_timestamp(expires_at_ms / 1000.0) AS expires_at
FROM books.reservation;

CREATE VIEW ledger.payment AS
SELECT payment_id, order_id, paid_minor, discount_minor, refunded_minor, user_id, state,
       to_timestamp(settled_at_ms / 1000.0) AS settled_at
FROM books.payment;

CREATE VIEW ledger.position AS
SELECT topic, partition, next_offset, epoch, instance, decided, dead_lettered,
       to_timestamp(record_time_ms / 1000.0) AS record_time
FROM books.position;

CREATE VIEW ledger.campaign AS
SELECT campaign_id, name, state::text AS state, currency, quota, budget_minor, voucher_kind, face_value_minor,
       percent_bp, min_spend_minor, to_timestamp(starts_at_ms / 1000.0) AS starts_at,
       to_timestamp(ends_at_ms / 1000.0) AS ends_at, per_user_limit, categories
FROM books.campaign;

CREATE VIEW ledger.category_budget AS
SELECT campaign_id, category, budget_minor, committed_minor FROM books.category_budget;

CREATE VIEW ledger.outbox AS
SELECT topic, partition, first_offset, next_offset, octet_length(events) AS events_bytes,
       coalesce(octet_length(dead_letters), 0) AS dead_letters_bytes
FROM books.outbox;
