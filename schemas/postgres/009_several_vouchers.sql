-- Several vouchers on one order, all of one campaign that allows it. The default is what campaigns had so far.
ALTER TABLE books.campaign ADD COLUMN vouchers_per_order_max integer NOT NULL DEFAULT 1
    CONSTRAINT campaign_vouchers_per_order CHECK (vouchers_per_order_max BETWEEN 1 AND 10);

-- The further vouchers lie in the order's own row and not in a table beside it: they are held, spent and given back
-- with it or not at all, and an order of one voucher has no more to read or write. `voucher_discounts_minor` says what
-- each takes off, that of `voucher_id` first; `discount_minor` remains the order's whole discount.
ALTER TABLE books.reservation
    ADD COLUMN more_voucher_ids text[] COLLATE "C",
    ADD COLUMN voucher_discounts_minor bigint[],
    ADD CONSTRAINT reservation_several_pairs CHECK (
        (more_voucher_ids IS NULL) = (voucher_discounts_minor IS NULL)
        AND cardinality(voucher_discounts_minor) = cardinality(more_voucher_ids) + 1),
    ADD CONSTRAINT reservation_several_bound CHECK (cardinality(more_voucher_ids) BETWEEN 1 AND 9);

-- One row for each voucher of each order; `place` counts them from 0, in the order in which they apply.
CREATE VIEW books.reservation_voucher AS
SELECT order_id, voucher_id, coalesce(voucher_discounts_minor[1], discount_minor) AS discount_minor, 0 AS place,
       campaign_id, user_id, state
FROM books.reservation
UNION ALL
SELECT r.order_id, m.voucher_id, m.discount_minor, m.place::integer, r.campaign_id, r.user_id, r.state
FROM books.reservation r,
     unnest(r.more_voucher_ids, r.voucher_discounts_minor[2:]) WITH ORDINALITY AS m (voucher_id, discount_minor, place)
WHERE r.more_voucher_ids IS NOT NULL;

CREATE VIEW ledger.reservation_voucher AS
SELECT order_id, voucher_id, discount_minor, place, campaign_id, user_id, state::text AS state
FROM books.reservation_voucher;

GRANT SELECT ON books.reservation_voucher TO voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON ledger.reservation_voucher TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
