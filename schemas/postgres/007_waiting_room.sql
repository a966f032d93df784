-- The waiting room of campaigns with `when_empty: queue`: a line for each claims partition, written by whoever decides
-- that partition and by nobody else.
ALTER TABLE books.campaign ADD COLUMN when_empty text COLLATE "C" NOT NULL DEFAULT 'reject'
    CONSTRAINT campaign_when_empty CHECK (when_empty IN ('reject', 'queue'));

-- Tickets are given out in sequence and served in sequence: those from `head` to below `next_ticket` wait, so that a
-- position is a subtraction and leaving is an addition. Of those before `head`, `admitted` got a voucher.
CREATE TABLE books.waiting_line (
    campaign_id text COLLATE "C" NOT NULL REFERENCES books.campaign,
    partition   integer NOT NULL,
    head        bigint NOT NULL,
    next_ticket bigint NOT NULL,
    admitted    bigint NOT NULL,
    PRIMARY KEY (campaign_id, partition),
    CONSTRAINT waiting_line_in_order CHECK (admitted >= 0 AND admitted <= head AND head <= next_ticket)
) WITH (fillfactor = 20);

-- Rows stay as they are when the line moves on: they tell who waited, and nothing is written for each grant. The unique
-- key keeps a user from two places at once where producers that hash keys differently bring him to two partitions.
CREATE TABLE books.waiting_place (
    campaign_id  text COLLATE "C" NOT NULL,
    partition    integer NOT NULL,
    ticket       bigint NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    ordinal      integer NOT NULL,
    command_id   text COLLATE "C" NOT NULL,
    city_tier    smallint,
    channel      text COLLATE "C",
    queued_at_ms bigint NOT NULL,
    CONSTRAINT waiting_place_key PRIMARY KEY (campaign_id, partition, ticket),
    CONSTRAINT waiting_place_one_per_user UNIQUE (user_id, campaign_id, ordinal)
);

CREATE VIEW ledger.waiting AS
SELECT p.campaign_id, p.user_id, p.partition, p.ticket - l.head + 1 AS queue_position,
       to_timestamp(p.queued_at_ms / 1000.0) AS queued_at
FROM books.waiting_line l
JOIN books.waiting_place p ON p.campaign_id = l.campaign_id AND p.partition = l.partition AND p.ticket >= l.head;

CREATE VIEW ledger.waiting_line AS
SELECT l.campaign_id, l.partition, l.next_ticket - l.head AS waiting, l.admitted, l.head - l.admitted AS left_without,
       to_timestamp(p.queued_at_ms / 1000.0) AS head_queued_at
FROM books.waiting_line l
LEFT JOIN books.waiting_place p ON p.campaign_id = l.campaign_id AND p.partition = l.partition AND p.ticket = l.head;

CREATE OR REPLACE VIEW ledger.campaign AS
SELECT campaign_id, name, state::text AS state, currency, quota, budget_minor, voucher_kind, face_value_minor,
       percent_bp, min_spend_minor, to_timestamp(starts_at_ms / 1000.0) AS starts_at,
       to_timestamp(ends_at_ms / 1000.0) AS ends_at, per_user_limit, categories, overspend, when_empty
FROM books.campaign;

GRANT SELECT ON ledger.waiting, ledger.waiting_line
    TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON books.waiting_line, books.waiting_place TO voucher_ledger_writer, voucher_ledger_operator;
GRANT INSERT, UPDATE ON books.waiting_line TO voucher_ledger_writer;
GRANT INSERT ON books.waiting_place TO voucher_ledger_writer;
