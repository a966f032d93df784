-- What `voucher-ledger audit` proves. Each check is a query that returns the rows which break it: none, when it holds.
-- The line after a check's name says what it proves. All checks see one snapshot, so traffic may run meanwhile: what a
-- batch changes is committed whole, a draw of a lease is whole by itself.
--
-- Checks are written for tens of millions of rows: whole tables are read, joined and grouped, not looked up.

-- name: accounts_equal_their_postings
-- Every account holds exactly what the transfers moved to it, less what they moved from it.
WITH moved AS (
    SELECT campaign_id, debit_role, debit_shard, credit_role, credit_shard, sum(vouchers) AS vouchers,
           sum(amount_minor) AS amount_minor
    FROM books.transfer GROUP BY campaign_id, debit_role, debit_shard, credit_role, credit_shard
), posted AS (
    SELECT campaign_id, role, shard, sum(vouchers) AS vouchers, sum(amount_minor) AS amount_minor
    FROM (SELECT campaign_id, debit_role AS role, debit_shard AS shard, -vouchers AS vouchers,
                 -amount_minor AS amount_minor FROM moved
          UNION ALL
          SELECT campaign_id, credit_role, credit_shard, vouchers, amount_minor FROM moved) AS sides
    GROUP BY campaign_id, role, shard
)
SELECT campaign_id, role::text AS role, shard, a.vouchers, p.vouchers AS posted_vouchers, a.amount_minor,
       p.amount_minor AS posted_minor
FROM books.account a FULL JOIN posted p USING (campaign_id, role, shard)
WHERE a.vouchers IS NULL OR a.vouchers <> coalesce(p.vouchers, 0) OR a.amount_minor <> coalesce(p.amount_minor, 0);

-- name: campaigns_sum_to_zero
-- All accounts of a campaign sum to zero in each unit: nothing was made and nothing was lost.
SELECT campaign_id, sum(vouchers) AS vouchers, sum(amount_minor) AS amount_minor
FROM books.account GROUP BY campaign_id HAVING sum(vouchers) <> 0 OR sum(amount_minor) <> 0;

-- name: no_account_is_overdrawn
-- No account but the contra accounts `funding` and `loss` is below zero, and these are never above it.
SELECT campaign_id, role::text AS role, shard, vouchers, amount_minor FROM books.account
WHERE CASE WHEN role IN ('funding', 'loss') THEN vouchers > 0 OR amount_minor > 0
           ELSE vouchers < 0 OR amount_minor < 0 END;

-- name: quota_and_budget_are_approved
-- Quota and budget are what was funded, and that is what accepted commands opened or topped up, each with its approval.
WITH funded AS (
    SELECT campaign_id, sum(vouchers) AS vouchers, sum(amount_minor) AS amount_minor,
           count(*) FILTER (WHERE approved_by IS NULL) AS unapproved
    FROM books.transfer WHERE debit_role = 'funding' GROUP BY campaign_id
), accepted AS (
    SELECT campaign_id, sum((outcome -> 'data' ->> 'quota')::bigint) AS vouchers,
           sum((outcome -> 'data' ->> 'budget_minor')::bigint) AS amount_minor
    FROM books.campaign_command WHERE outcome ->> 'type' IN ('campaign.opened', 'campaign.topped_up')
    GROUP BY campaign_id
)
SELECT campaign_id, c.quota, f.vouchers AS funded_vouchers, a.vouchers AS accepted_vouchers, c.budget_minor,
       f.amount_minor AS funded_minor, a.amount_minor AS accepted_minor, f.unapproved
FROM books.campaign c FULL JOIN funded f USING (campaign_id) FULL JOIN accepted a USING (campaign_id)
WHERE c.quota IS NULL OR c.quota <> coalesce(f.vouchers, 0) OR c.budget_minor <> coalesce(f.amount_minor, 0)
   OR c.quota <> coalesce(a.vouchers, 0) OR c.budget_minor <> coalesce(a.amount_minor, 0)
   OR f.unapproved > 1;  -- the opening itself is approved by nobody else

-- name: quota_and_budget_are_kept
-- Pool, leases and vouchers together are what was funded and booked as loss, to the last unit: no voucher is past both.
WITH balances AS (
    SELECT campaign_id,
           coalesce(sum(vouchers) FILTER (WHERE role NOT IN ('funding', 'loss')), 0) AS vouchers,
           coalesce(sum(amount_minor) FILTER (WHERE role NOT IN ('funding', 'loss')), 0) AS amount_minor,
           coalesce(-sum(vouchers) FILTER (WHERE role = 'loss'), 0) AS lost_vouchers,
           coalesce(-sum(amount_minor) FILTER (WHERE role = 'loss'), 0) AS lost_minor
    FROM books.account GROUP BY campaign_id
), out AS (
    SELECT campaign_id, count(*) AS vouchers, sum(face_value_minor) AS amount_minor
    FROM books.voucher WHERE state <> 'expired' GROUP BY campaign_id
)
SELECT campaign_id, c.quota, b.vouchers AS booked_vouchers, o.vouchers AS vouchers_out, b.lost_vouchers,
       c.budget_minor, b.amount_minor AS booked_minor, o.amount_minor AS out_minor, b.lost_minor
FROM books.campaign c FULL JOIN balances b USING (campaign_id) FULL JOIN out o USING (campaign_id)
WHERE c.quota IS NULL OR b.vouchers IS NULL
   OR b.vouchers <> c.quota + b.lost_vouchers OR b.amount_minor <> c.budget_minor + b.lost_minor
   OR o.vouchers > c.quota + b.lost_vouchers OR o.amount_minor > c.budget_minor + b.lost_minor;

-- name: tranches_are_kept
-- Before a tranche, no more was granted than was released by then. (Top-ups and what came back count as released at any
-- time: they come by other topics, whose record times may run ahead of a claim's.)
WITH paced AS (
    SELECT campaign_id, quota, release_at_ms, release_quota FROM books.campaign WHERE cardinality(release_at_ms) > 0
), granted AS (
    SELECT campaign_id, width_bucket(t.at_ms, p.release_at_ms) AS tranches_released, sum(t.vouchers) AS vouchers
    FROM books.transfer t JOIN paced p USING (campaign_id)
    WHERE t.debit_role IN ('lease', 'loss') AND t.credit_role = 'granted' GROUP BY campaign_id, tranches_released
), returned AS (
    SELECT campaign_id, sum(t.vouchers) AS vouchers FROM books.transfer t JOIN paced USING (campaign_id)
    WHERE t.credit_role = 'pool' AND t.debit_role NOT IN ('funding', 'lease') GROUP BY campaign_id
), tranche AS (
    SELECT p.campaign_id, t.place, t.at_ms,
           p.quota - sum(t.quota) OVER (PARTITION BY p.campaign_id ORDER BY t.place DESC) AS released
    FROM paced p, unnest(p.release_at_ms, p.release_quota) WITH ORDINALITY AS t (at_ms, quota, place)
)
SELECT t.campaign_id, t.at_ms, t.released, coalesce(r.vouchers, 0) AS returned, sum(g.vouchers) AS granted_before
FROM tranche t JOIN granted g ON g.campaign_id = t.campaign_id AND g.tranches_released < t.place
LEFT JOIN returned r ON r.campaign_id = t.campaign_id
GROUP BY t.campaign_id, t.place, t.at_ms, t.released, r.vouchers
HAVING sum(g.vouchers) > t.released + coalesce(r.vouchers, 0);

-- name: loss_is_of_honoured_claims
-- Only campaigns that honour overspending have a loss, and it is whole vouchers, each at its face value.
SELECT campaign_id, c.overspend, a.shard, -a.vouchers AS lost_vouchers, -a.amount_minor AS lost_minor, c.face_value_minor
FROM books.account a LEFT JOIN books.campaign c USING (campaign_id)
WHERE a.role = 'loss' AND (a.amount_minor <> a.vouchers::numeric * c.face_value_minor
   OR (c.overspend IS DISTINCT FROM 'honour' AND (a.vouchers, a.amount_minor) <> (0, 0)));

-- name: vouchers_equal_balances
-- Count and value of the vouchers in each state are the balances `granted`, `held` and `spent`, shard by shard.
WITH counted AS (
    SELECT campaign_id, state::text AS role, shard, count(*) AS vouchers, sum(face_value_minor) AS amount_minor
    FROM books.voucher WHERE state <> 'expired' GROUP BY campaign_id, state, shard
), booked AS (
    SELECT campaign_id, role::text AS role, shard, vouchers, amount_minor
    FROM books.account WHERE role IN ('granted', 'held', 'spent')
)
SELECT campaign_id, role, shard, b.vouchers AS booked_vouchers, c.vouchers AS counted_vouchers,
       b.amount_minor AS booked_minor, c.amount_minor AS counted_minor
FROM booked b FULL JOIN counted c USING (campaign_id, role, shard)
WHERE coalesce(b.vouchers, 0) <> coalesce(c.vouchers, 0) OR coalesce(b.amount_minor, 0) <> coalesce(c.amount_minor, 0);

-- name: vouchers_equal_their_postings
-- Each voucher is, with its whole value, in the one account that its state names, by its own transfers alone.
WITH trail AS (
    SELECT voucher_id, min(campaign_id) AS campaign_id, max(campaign_id) AS last_campaign_id,
           sum(vouchers * ((credit_role = 'granted')::int - (debit_role = 'granted')::int)) AS granted,
           sum(amount_minor * ((credit_role = 'granted')::int - (debit_role = 'granted')::int)) AS granted_minor,
           sum(vouchers * ((credit_role = 'held')::int - (debit_role = 'held')::int)) AS held,
           sum(amount_minor * ((credit_role = 'held')::int - (debit_role = 'held')::int)) AS held_minor,
           sum(vouchers * ((credit_role = 'spent')::int - (debit_role = 'spent')::int)) AS spent,
           sum(amount_minor * ((credit_role = 'spent')::int - (debit_role = 'spent')::int)) AS spent_minor
    FROM books.transfer WHERE voucher_id IS NOT NULL GROUP BY voucher_id
)
SELECT voucher_id, v.campaign_id, v.state::text AS state, v.face_value_minor, t.granted AS posted_granted,
       t.granted_minor AS posted_granted_minor, t.held AS posted_held, t.held_minor AS posted_held_minor,
       t.spent AS posted_spent, t.spent_minor AS posted_spent_minor
FROM books.voucher v FULL JOIN trail t USING (voucher_id)
WHERE v.state IS NULL OR t.granted IS NULL OR t.campaign_id <> v.campaign_id OR t.last_campaign_id <> v.campaign_id
   OR t.granted <> (v.state = 'granted')::int OR t.granted_minor <> v.face_value_minor * (v.state = 'granted')::int
   OR t.held <> (v.state = 'held')::int OR t.held_minor <> v.face_value_minor * (v.state = 'held')::int
   OR t.spent <> (v.state = 'spent')::int OR t.spent_minor <> v.face_value_minor * (v.state = 'spent')::int;

-- name: user_limits_are_kept
-- No user was ever granted more vouchers of a campaign than its limit.
SELECT v.campaign_id, v.user_id, count(*) AS vouchers, c.per_user_limit
FROM books.voucher v LEFT JOIN books.campaign c USING (campaign_id)
GROUP BY v.campaign_id, v.user_id, c.per_user_limit
HAVING c.per_user_limit IS NULL OR count(*) > c.per_user_limit;

-- name: day_limits_are_kept
-- No user was granted more vouchers of a campaign in one of its days than it allows.
WITH limited AS (
    SELECT campaign_id, (limits ->> 'per_user_day')::integer AS per_user_day,
           (limits ->> 'day_utc_offset_minutes')::integer AS offset_minutes
    FROM books.campaign WHERE limits ->> 'per_user_day' IS NOT NULL
), granted AS (
    SELECT campaign_id, v.user_id, l.per_user_day,
           to_char(to_timestamp(v.granted_at_ms / 1000.0 + l.offset_minutes * 60) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day
    FROM books.voucher v JOIN limited l USING (campaign_id)
)
SELECT campaign_id, user_id, day, count(*) AS vouchers, per_user_day
FROM granted GROUP BY campaign_id, user_id, day, per_user_day HAVING count(*) > per_user_day;

-- name: device_and_channel_limits_are_kept
-- The count of each device and channel that a campaign limits is that of its vouchers, and not past the limit.
WITH limited AS (
    SELECT campaign_id, limits FROM books.campaign WHERE limits IS NOT NULL
), counted AS (
    SELECT 'device'::books.limit_kind AS kind, campaign_id, v.device_id AS name, count(*) AS vouchers
    FROM books.voucher v JOIN limited l USING (campaign_id)
    WHERE v.device_id IS NOT NULL AND l.limits ->> 'per_device' IS NOT NULL GROUP BY campaign_id, v.device_id
    UNION ALL
    SELECT 'channel', campaign_id, v.channel, count(*)
    FROM books.voucher v JOIN limited l USING (campaign_id)
    WHERE l.limits -> 'channel_quotas' ->> v.channel IS NOT NULL GROUP BY campaign_id, v.channel
), compared AS (
    SELECT kind, campaign_id, name, n.vouchers, n.vouchers_max, c.vouchers AS counted_vouchers,
           CASE kind WHEN 'device' THEN l.limits ->> 'per_device' ELSE l.limits -> 'channel_quotas' ->> name END AS most
    FROM books.limit_count n FULL JOIN counted c USING (kind, campaign_id, name) LEFT JOIN limited l USING (campaign_id)
)
SELECT kind::text AS kind, campaign_id, name, vouchers, counted_vouchers, vouchers_max, most AS campaign_max
FROM compared
WHERE coalesce(vouchers, 0) <> coalesce(counted_vouchers, 0) OR vouchers > vouchers_max
   OR vouchers_max IS DISTINCT FROM most::bigint;

-- name: reservations_equal_held_vouchers
-- Each held reservation holds its vouchers, of its own user and campaign, and each held voucher has one reservation.
WITH held AS (
    SELECT order_id, voucher_id, campaign_id, user_id, discount_minor,
           count(*) OVER (PARTITION BY voucher_id) AS reservations
    FROM books.reservation_voucher WHERE state = 'held'
)
SELECT voucher_id, r.order_id, v.user_id AS voucher_user_id, r.user_id AS order_user_id, v.face_value_minor,
       r.discount_minor, r.reservations
FROM held r FULL JOIN (SELECT * FROM books.voucher WHERE state = 'held') AS v USING (voucher_id)
WHERE r.order_id IS NULL OR v.user_id IS NULL OR r.reservations > 1 OR r.user_id <> v.user_id
   OR r.campaign_id <> v.campaign_id OR r.discount_minor > v.face_value_minor;

-- name: reservations_equal_payments
-- Each settled (or refunded) reservation has one payment of its user, of the order's amount less the discount.
SELECT order_id, p.payment_id, r.state::text AS reservation_state, p.state AS payment_state, r.amount_minor,
       r.discount_minor, p.discount_minor AS payment_discount_minor, p.paid_minor
FROM (SELECT * FROM books.reservation WHERE state IN ('settled', 'refunded')) AS r
FULL JOIN books.payment p USING (order_id)
WHERE r.state IS NULL OR p.state IS NULL OR r.state::text <> p.state OR r.user_id <> p.user_id
   OR r.discount_minor <> p.discount_minor OR p.paid_minor <> r.amount_minor - r.discount_minor;

-- name: payments_equal_spent_vouchers
-- Each spent voucher was spent by one settled order, and is worth what it took off that order.
WITH settled AS (
    SELECT order_id, voucher_id, campaign_id, user_id, discount_minor,
           count(*) OVER (PARTITION BY voucher_id) AS reservations
    FROM books.reservation_voucher WHERE state = 'settled'
)
SELECT voucher_id, r.order_id, v.user_id AS voucher_user_id, r.user_id AS order_user_id, v.face_value_minor,
       r.discount_minor, r.reservations
FROM settled r FULL JOIN (SELECT * FROM books.voucher WHERE state = 'spent') AS v USING (voucher_id)
WHERE r.order_id IS NULL OR v.user_id IS NULL OR r.reservations > 1 OR r.user_id <> v.user_id
   OR r.campaign_id <> v.campaign_id OR r.discount_minor <> v.face_value_minor;

-- name: payments_equal_spent_balance
-- Vouchers and discounts of the payments that were not wholly refunded are the balance `spent`.
WITH paid AS (
    SELECT r.campaign_id, sum(1 + coalesce(cardinality(r.more_voucher_ids), 0)) AS vouchers,
           sum(p.discount_minor) AS discount_minor
    FROM books.payment p LEFT JOIN books.reservation r USING (order_id) WHERE p.state = 'settled' GROUP BY r.campaign_id
), spent AS (
    SELECT campaign_id, sum(vouchers) AS vouchers, sum(amount_minor) AS amount_minor
    FROM books.account WHERE role = 'spent' GROUP BY campaign_id
)
SELECT campaign_id, s.vouchers AS spent_vouchers, p.vouchers AS paid_vouchers, s.amount_minor AS spent_minor, p.discount_minor
FROM spent s FULL JOIN paid p USING (campaign_id)
WHERE coalesce(s.vouchers, 0) <> coalesce(p.vouchers, 0)
   OR coalesce(s.amount_minor, 0) <> coalesce(p.discount_minor, 0);

-- name: refunds_equal_payments
-- What a payment gave back is the sum of its refunds, at most what was paid; only all of it returns the discount.
WITH given AS (
    SELECT payment_id, sum(amount_minor) AS amount_minor, sum(discount_returned_minor) AS discount_returned_minor
    FROM books.refund GROUP BY payment_id
)
SELECT payment_id, p.order_id, p.state, p.paid_minor, p.refunded_minor, g.amount_minor AS refunds_minor,
       p.discount_minor, g.discount_returned_minor
FROM books.payment p FULL JOIN given g USING (payment_id)
WHERE p.state IS NULL OR p.refunded_minor > p.paid_minor OR p.refunded_minor <> coalesce(g.amount_minor, 0)
   OR (p.state = 'refunded') <> (p.refunded_minor = p.paid_minor AND g.amount_minor IS NOT NULL)
   OR coalesce(g.discount_returned_minor, 0) <> p.discount_minor * (p.state = 'refunded')::int;

-- name: category_budgets_are_kept
-- What a category's budget has committed is the sum of its discounts held and settled, and within the budget.
WITH committed AS (
    SELECT campaign_id, category, sum(discount_minor) AS discount_minor
    FROM books.reservation WHERE state IN ('held', 'settled') GROUP BY campaign_id, category
)
SELECT campaign_id, category, b.budget_minor, b.committed_minor, r.discount_minor AS reserved_minor
FROM books.category_budget b LEFT JOIN committed r USING (campaign_id, category)
WHERE b.committed_minor <> coalesce(r.discount_minor, 0) OR b.committed_minor NOT BETWEEN 0 AND b.budget_minor;

-- name: several_vouchers_are_allowed
-- An order of several vouchers has no more than its campaign allows, each once, and their discounts are the order's.
SELECT r.order_id, r.campaign_id, r.voucher_id, r.more_voucher_ids, c.vouchers_per_order_max, r.discount_minor,
       r.voucher_discounts_minor
FROM books.reservation r LEFT JOIN books.campaign c USING (campaign_id)
WHERE r.more_voucher_ids IS NOT NULL AND (c.campaign_id IS NULL
   OR 1 + cardinality(r.more_voucher_ids) > c.vouchers_per_order_max OR 0 >= ANY (r.voucher_discounts_minor)
   OR r.discount_minor <> (SELECT sum(d.minor) FROM unnest(r.voucher_discounts_minor) AS d (minor))
   OR 1 + cardinality(r.more_voucher_ids) <> (
       SELECT count(DISTINCT s.voucher_id) FROM unnest(r.voucher_id || r.more_voucher_ids) AS s (voucher_id)));

-- name: several_vouchers_move_together
-- What moved a voucher of an order of several moved all of them, each once: none was applied or given back alone.
WITH moved AS (
    SELECT t.cause_topic, t.cause_partition, t.cause_offset, t.order_id, t.debit_role, t.credit_role,
           array_agg(t.voucher_id ORDER BY t.cause_index) AS voucher_ids
    FROM books.transfer t JOIN books.reservation r USING (order_id)
    WHERE r.more_voucher_ids IS NOT NULL AND t.vouchers > 0
    GROUP BY t.cause_topic, t.cause_partition, t.cause_offset, t.order_id, t.debit_role, t.credit_role
)
SELECT order_id, m.cause_topic, m.cause_partition, m.cause_offset, m.debit_role::text AS debit_role,
       m.credit_role::text AS credit_role, m.voucher_ids AS moved_voucher_ids,
       r.voucher_id || r.more_voucher_ids AS voucher_ids
FROM moved m JOIN books.reservation r USING (order_id)
WHERE m.voucher_ids <> r.voucher_id || r.more_voucher_ids;

-- name: transfers_have_a_cause
-- Each transfer comes from a record that was decided. (A lease is drawn for a batch just before it is decided: its
-- cause may lie ahead, by no more than the largest batch can.)
SELECT t.cause_topic, t.cause_partition, t.cause_offset, t.cause_index, t.campaign_id, t.debit_role::text AS debit_role,
       t.credit_role::text AS credit_role, t.voucher_id, p.next_offset
FROM books.transfer t LEFT JOIN books.position p ON p.topic = t.cause_topic AND p.partition = t.cause_partition
WHERE p.next_offset IS NULL OR t.cause_offset < 0
   OR t.cause_offset >= p.next_offset + CASE WHEN t.cause_index < 0 THEN 200000 ELSE 0 END;

-- name: no_cause_twice
-- No record moved the same thing twice.
SELECT cause_topic, cause_partition, cause_offset, cause_index, count(*) AS transfers
FROM books.transfer GROUP BY cause_topic, cause_partition, cause_offset, cause_index HAVING count(*) > 1;

-- name: lines_are_kept
-- The places of each line have its tickets, from the first to the last that was given out, each once.
WITH placed AS (
    SELECT campaign_id, partition, count(*) AS places, min(ticket) AS first_ticket, max(ticket) AS last_ticket
    FROM books.waiting_place GROUP BY campaign_id, partition
)
SELECT campaign_id, partition, l.head, l.next_ticket, p.places, p.first_ticket, p.last_ticket
FROM books.waiting_line l FULL JOIN placed p USING (campaign_id, partition)
WHERE l.next_ticket IS NULL OR l.next_ticket <> coalesce(p.places, 0) OR p.first_ticket <> 0
   OR p.last_ticket <> l.next_ticket - 1;

-- name: nobody_waits_twice
-- No user has two places in the lines of a campaign.
SELECT p.campaign_id, p.user_id, count(*) AS places
FROM books.waiting_place p JOIN books.waiting_line l USING (campaign_id, partition)
WHERE p.ticket >= l.head GROUP BY p.campaign_id, p.user_id HAVING count(*) > 1;

-- name: who_left_a_line_was_served
-- Of those whom a line has let go, as many have a voucher by their claim as it has admitted, and nobody has none at all
-- before the campaign's end, but for those whose device or channel had all that it may have.
WITH left_line AS (
    SELECT p.campaign_id, p.partition, p.user_id, p.command_id, p.device_id, p.channel FROM books.waiting_place p
    JOIN books.waiting_line l USING (campaign_id, partition) WHERE p.ticket < l.head
), held AS (
    SELECT f.campaign_id, f.partition, f.user_id, f.command_id, f.device_id, f.channel,
           count(v.voucher_id) FILTER (WHERE v.command_id = f.command_id) AS by_claim, count(v.voucher_id) AS vouchers
    FROM left_line f LEFT JOIN books.voucher v ON v.user_id = f.user_id AND v.campaign_id = f.campaign_id
    GROUP BY f.campaign_id, f.partition, f.user_id, f.command_id, f.device_id, f.channel
), reached AS (
    SELECT kind, campaign_id, name FROM books.limit_count WHERE vouchers >= vouchers_max
), served AS (
    SELECT h.campaign_id, h.partition, sum(h.by_claim) AS by_claim,
           count(*) FILTER (WHERE h.vouchers = 0 AND d.name IS NULL AND c.name IS NULL) AS without
    FROM held h
    LEFT JOIN reached d ON d.kind = 'device' AND d.campaign_id = h.campaign_id AND d.name = h.device_id
    LEFT JOIN reached c ON c.kind = 'channel' AND c.campaign_id = h.campaign_id AND c.name = h.channel
    GROUP BY h.campaign_id, h.partition
)
SELECT l.campaign_id, l.partition, l.head, l.admitted, s.by_claim, s.without
FROM books.waiting_line l JOIN books.campaign c USING (campaign_id) LEFT JOIN served s USING (campaign_id, partition)
WHERE coalesce(s.by_claim, 0) < l.admitted
   OR (s.without > 0 AND c.state <> 'closed'
       AND c.ends_at_ms > (SELECT max(record_time_ms) FROM books.position WHERE topic = 'claim.commands'));

-- name: movements_are_those_of_the_design
-- Each transfer is a movement that a command of its topic may cause, of one voucher where it is a voucher's.
WITH allowed (cause_topic, debit_role, credit_role, index_min, index_max, vouchers, of_voucher, of_order) AS (VALUES
    ('campaign.commands', 'funding', 'pool', 0, 0, NULL, false, false),
    ('claim.commands', 'pool', 'lease', -2147483648, -1, NULL, false, false),
    ('claim.commands', 'lease', 'lease', -2147483648, -1, NULL, false, false),
    ('claim.commands', 'pool', 'lease', 1, 1, NULL, false, false),  -- returned by the batch itself and granted again
    ('claim.commands', 'lease', 'granted', 0, 0, 1, true, false),
    ('claim.commands', 'loss', 'granted', 0, 0, 1, true, false),  -- honoured past quota or budget
    ('claim.commands', 'granted', 'pool', 0, 0, 1, true, false),
    -- Of the vouchers of one order, at most ten: settlement counts two for each, spent and unused.
    ('order.commands', 'granted', 'held', 0, 9, 1, true, true),
    ('order.commands', 'held', 'granted', 0, 9, 1, true, true),
    ('payment.commands', 'held', 'spent', 0, 18, 1, true, true),
    ('payment.commands', 'held', 'pool', 1, 19, 0, true, true),
    ('payment.commands', 'spent', 'granted', 0, 9, 1, true, true),
    ('payment.commands', 'spent', 'pool', 0, 9, 1, true, true)
)
SELECT t.cause_topic, t.cause_partition, t.cause_offset, t.cause_index, t.campaign_id, t.debit_role::text AS debit_role,
       t.credit_role::text AS credit_role, t.vouchers, t.amount_minor, t.voucher_id, t.order_id
FROM books.transfer t
WHERE NOT EXISTS (
    SELECT FROM allowed a
    WHERE a.cause_topic = t.cause_topic AND a.debit_role::books.account_role = t.debit_role
      AND a.credit_role::books.account_role = t.credit_role AND t.cause_index BETWEEN a.index_min AND a.index_max
      AND t.vouchers = coalesce(a.vouchers, t.vouchers) AND (t.voucher_id IS NOT NULL) = a.of_voucher
      AND (t.order_id IS NOT NULL) = a.of_order);

-- name: positions_match_their_outbox
-- The outbox rows of a partition follow one another without gap or overlap and end at its position.
WITH chain AS (
    SELECT topic, partition, first_offset, next_offset,
           lead(first_offset) OVER (PARTITION BY topic, partition ORDER BY first_offset) AS following_offset
    FROM books.outbox
)
SELECT topic, partition, o.first_offset, o.next_offset AS outbox_next_offset, o.following_offset,
       p.next_offset AS position_next_offset, p.decided, p.dead_lettered
FROM chain o FULL JOIN books.position p USING (topic, partition)
WHERE p.next_offset IS NULL OR o.next_offset <> coalesce(o.following_offset, p.next_offset)
   OR p.decided < 0 OR p.dead_lettered < 0 OR p.decided + p.dead_lettered > p.next_offset;

-- name: seals_follow_one_another
-- The seals of a partition are a chain without a gap: each is the digest of its row and of the seal before it, begins
-- where that one ends, and the last ends at the position. (Nothing is asked of a partition that has none yet.)
WITH chain AS (
    SELECT s AS sealed, topic, partition, number, kind, first_offset, next_offset, seal,
           lag(number) OVER in_order AS former_number, lag(next_offset) OVER in_order AS former_next_offset,
           lag(seal) OVER in_order AS former_seal, lead(number) OVER in_order AS following_number
    FROM books.seal s WINDOW in_order AS (PARTITION BY topic, partition ORDER BY number)
)
SELECT topic, partition, number, kind::text AS kind, first_offset, c.next_offset, former_number, former_next_offset,
       seal = books.seal_of(former_seal, sealed) AS follows, p.next_offset AS position_next_offset
FROM chain c LEFT JOIN books.position p USING (topic, partition)
WHERE number <> coalesce(former_number, 0) + 1 OR seal <> books.seal_of(former_seal, sealed)
   OR (kind <> 'moved' AND first_offset <> former_next_offset)
   OR (following_number IS NULL AND c.next_offset <> p.next_offset);
