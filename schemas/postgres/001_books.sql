-- The books: what the processors write. Readers use the views of schema `ledger` (002_ledger_views.sql).
--
-- Times are Kafka record timestamps in milliseconds since 1970 (`_ms`), kept as integers so that COPY does not parse
-- dates on the hot path; the views show them as timestamptz. Every text key is COLLATE "C": keys are compared, never
-- sorted for people, and a plan must not depend on the locale of the server.
CREATE SCHEMA books;

-- The order of the labels is the order in which accounts are locked (see account_key).
CREATE TYPE books.account_role AS ENUM ('funding', 'pool', 'lease', 'granted', 'held', 'spent', 'loss');
CREATE TYPE books.campaign_state AS ENUM ('open', 'paused', 'closed');
CREATE TYPE books.voucher_state AS ENUM ('granted', 'held', 'spent', 'expired');
CREATE TYPE books.reservation_state AS ENUM ('held', 'cancelled', 'expired', 'settled', 'refunded');

CREATE TABLE books.campaign (
    campaign_id      text COLLATE "C" PRIMARY KEY,
    command_id       text COLLATE "C" NOT NULL,
    state            books.campaign_state NOT NULL,
    name             text NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    quota            bigint NOT NULL CHECK (quota >= 0),
    budget_minor     bigint NOT NULL CHECK (budget_minor >= 0),
    voucher_kind     text COLLATE "C" NOT NULL,
    face_value_minor bigint NOT NULL CHECK (face_value_minor > 0),
    percent_bp       integer,
    min_spend_minor  bigint NOT NULL,
    starts_at_ms     bigint NOT NULL,
    ends_at_ms       bigint NOT NULL,
    per_user_limit   integer NOT NULL CHECK (per_user_limit > 0),
    voucher_ttl_ms   bigint NOT NULL,
    hold_ttl_ms      bigint NOT NULL,
    categories       text[]
);

-- Campaign commands are rare, so each accepted one is remembered with its answer (duplicates are answered from here).
CREATE TABLE books.campaign_command (
    campaign_id text COLLATE "C" NOT NULL,
    command_id  text COLLATE "C" NOT NULL,
    type        text COLLATE "C" NOT NULL,
    content     jsonb NOT NULL,
    outcome     jsonb NOT NULL,
    PRIMARY KEY (campaign_id, command_id)
);

-- One row carries both units: `vouchers` counts cards, `amount_minor` the campaign's currency. The shard is the
-- claim.commands partition that granted (0 for funding, pool and loss), so that no account is hot.
CREATE TABLE books.account (
    campaign_id  text COLLATE "C" NOT NULL REFERENCES books.campaign,
    role         books.account_role NOT NULL,
    shard        integer NOT NULL,
    vouchers     bigint NOT NULL DEFAULT 0,
    amount_minor bigint NOT NULL DEFAULT 0,
    draws        integer NOT NULL DEFAULT 0,
    CONSTRAINT account_key PRIMARY KEY (campaign_id, role, shard),
    CONSTRAINT account_not_overdrawn CHECK (role IN ('funding', 'loss') OR (vouchers >= 0 AND amount_minor >= 0))
) WITH (fillfactor = 20);

-- The sum of discounts held or spent in a category, beside the category's own budget.
CREATE TABLE books.category_budget (
    campaign_id     text COLLATE "C" NOT NULL REFERENCES books.campaign,
    category        text COLLATE "C" NOT NULL,
    budget_minor    bigint NOT NULL,
    committed_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, category),
    CONSTRAINT category_budget_not_exceeded CHECK (committed_minor BETWEEN 0 AND budget_minor)
) WITH (fillfactor = 20);

-- The unique key on (user, campaign, ordinal) holds the limit per user even where producers that hash keys
-- differently bring one user's claims to two partitions at once: the second commit fails and decides again.
CREATE TABLE books.voucher (
    voucher_id       text COLLATE "C" NOT NULL,
    campaign_id      text COLLATE "C" NOT NULL,
    user_id          text COLLATE "C" NOT NULL,
    ordinal          integer NOT NULL,
    shard            integer NOT NULL,
    state            books.voucher_state NOT NULL,
    face_value_minor bigint NOT NULL CHECK (face_value_minor >= 0),
    granted_at_ms    bigint NOT NULL,
    expires_at_ms    bigint NOT NULL,
    command_id       text COLLATE "C" NOT NULL,
    city_tier        smallint,
    channel          text COLLATE "C",
    version          integer NOT NULL DEFAULT 0,
    swept            boolean NOT NULL DEFAULT false,
    CONSTRAINT voucher_key PRIMARY KEY (voucher_id),
    CONSTRAINT voucher_user_limit UNIQUE (user_id, campaign_id, ordinal)
) WITH (fillfactor = 60);
-- What the sweeper has not seen due yet. Not `WHERE state = 'granted'`: an index that names the state would make every
-- change of it write all indexes anew (no HOT update), at the peak hour; `swept` is set once, when a due row is seen closed.
CREATE INDEX voucher_due ON books.voucher (expires_at_ms) WHERE NOT swept;

CREATE TABLE books.reservation (
    order_id       text COLLATE "C" NOT NULL,
    voucher_id     text COLLATE "C" NOT NULL,
    campaign_id    text COLLATE "C" NOT NULL,
    user_id        text COLLATE "C" NOT NULL,
    merchant_id    text COLLATE "C" NOT NULL,
    category       text COLLATE "C" NOT NULL,
    city_tier      smallint,
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
    state          books.reservation_state NOT NULL,
    reserved_at_ms bigint NOT NULL,
    expires_at_ms  bigint NOT NULL,
    closing_reason text,
    version        integer NOT NULL DEFAULT 0,
    swept          boolean NOT NULL DEFAULT false,
    CONSTRAINT reservation_key PRIMARY KEY (order_id)
) WITH (fillfactor = 60);
CREATE INDEX reservation_due ON books.reservation (expires_at_ms) WHERE NOT swept;  -- as voucher_due

CREATE TABLE books.payment (
    payment_id     text COLLATE "C" NOT NULL,
    order_id       text COLLATE "C" NOT NULL,
    user_id        text COLLATE "C" NOT NULL,
    paid_minor     bigint NOT NULL CHECK (paid_minor >= 0),
    discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0,
    state          text COLLATE "C" NOT NULL DEFAULT 'settled' CHECK (state IN ('settled', 'refunded')),
    settled_at_ms  bigint NOT NULL,
    version        integer NOT NULL DEFAULT 0,
    CONSTRAINT payment_key PRIMARY KEY (payment_id),
    CONSTRAINT payment_one_per_order UNIQUE (order_id),
    CONSTRAINT refund_within_payment CHECK (refunded_minor BETWEEN 0 AND paid_minor)
);

CREATE TABLE books.refund (
    refund_id               text COLLATE "C" NOT NULL,
    payment_id              text COLLATE "C" NOT NULL,
    order_id                text COLLATE "C" NOT NULL,
    user_id                 text COLLATE "C" NOT NULL,
    amount_minor            bigint NOT NULL CHECK (amount_minor >= 0),
    reason                  text,
    discount_returned_minor bigint NOT NULL,
    voucher_restored        boolean NOT NULL,
    CONSTRAINT refund_key PRIMARY KEY (refund_id)
);

-- Append-only. The id of a transfer is its cause: the record that moved it and its index among that record's
-- transfers; lease transfers count downwards from -1 by the lease's own draw number.
CREATE TABLE books.transfer (
    campaign_id     text COLLATE "C" NOT NULL,
    debit_role      books.account_role NOT NULL,
    debit_shard     integer NOT NULL,
    credit_role     books.account_role NOT NULL,
    credit_shard    integer NOT NULL,
    vouchers        bigint NOT NULL CHECK (vouchers >= 0),
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    voucher_id      text COLLATE "C",
    order_id        text COLLATE "C",
    cause_topic     text COLLATE "C" NOT NULL,
    cause_partition integer NOT NULL,
    cause_offset    bigint NOT NULL,
    cause_index     integer NOT NULL,
    at_ms           bigint NOT NULL,
    reason          text,
    approved_by     text,
    -- The numbers first: they tell almost all keys apart without comparing text.
    CONSTRAINT transfer_key PRIMARY KEY (cause_offset, cause_partition, cause_index, cause_topic),
    CONSTRAINT transfer_moves_something CHECK (vouchers > 0 OR amount_minor > 0)
);

CREATE FUNCTION books.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'books.transfer is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Book a compensating transfer instead.';
END $$;

CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON books.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION books.refuse_change();

-- What has been decided, per partition. `topic_id` tells a topic that was made anew under the same name.
CREATE TABLE books.position (
    topic          text COLLATE "C" NOT NULL,
    partition      integer NOT NULL,
    next_offset    bigint NOT NULL CHECK (next_offset >= 0),
    epoch          bigint NOT NULL CHECK (epoch > 0),
    topic_id       text COLLATE "C" NOT NULL,
    instance       text COLLATE "C" NOT NULL,
    record_time_ms bigint NOT NULL DEFAULT 0,
    decided        bigint NOT NULL DEFAULT 0,
    dead_lettered  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

-- The events of decided batches that are not yet known to be published: one compressed row a batch and partition.
CREATE TABLE books.outbox (
    topic        text COLLATE "C" NOT NULL,
    partition    integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    events       bytea NOT NULL,
    dead_letters bytea,
    PRIMARY KEY (topic, partition, first_offset),
    CHECK (next_offset > first_offset)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Already compressed: TOAST must not try again.
ALTER TABLE books.outbox ALTER COLUMN events SET STORAGE EXTERNAL, ALTER COLUMN dead_letters SET STORAGE EXTERNAL;
