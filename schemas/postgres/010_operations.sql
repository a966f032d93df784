-- What operators did with `voucher-ledger replay --apply`: who, what, when and why. A row when an operation starts and
-- one when it ends; an operation that was killed has no end, which the view shows.
CREATE TABLE books.operation (
    operation_id uuid NOT NULL,
    ended        boolean NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    login        text COLLATE "C" NOT NULL DEFAULT session_user,  -- what Postgres knows, beside what the tool was told
    actor        text COLLATE "C" NOT NULL CHECK (actor <> ''),
    verb         text COLLATE "C" NOT NULL CHECK (verb <> ''),
    reason       text NOT NULL CHECK (btrim(reason) <> ''),
    arguments    jsonb NOT NULL DEFAULT '{}',
    outcome      text COLLATE "C" CHECK (outcome IN ('done', 'failed', 'interrupted')),
    result       jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT operation_key PRIMARY KEY (operation_id, ended),
    CONSTRAINT operation_outcome_at_its_end CHECK (ended = (outcome IS NOT NULL))
);

CREATE FUNCTION books.refuse_operation_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'books.operation is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'What was done stays on the record.';
END $$;

CREATE TRIGGER operation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON books.operation
    FOR EACH STATEMENT EXECUTE FUNCTION books.refuse_operation_change();

CREATE VIEW ledger.operation AS
SELECT s.operation_id, s.verb, s.actor, s.login, s.reason, s.arguments, s.at AS started_at, e.at AS ended_at,
       coalesce(e.outcome, 'not ended') AS outcome, coalesce(e.result, '{}') AS result
FROM books.operation s LEFT JOIN books.operation e ON e.operation_id = s.operation_id AND e.ended
WHERE NOT s.ended;

GRANT SELECT ON ledger.operation TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON books.operation TO voucher_ledger_operator;
-- Not `at` and `login`: when, and under which login, is what Postgres says, and nobody can write another's.
GRANT INSERT (operation_id, ended, actor, verb, reason, arguments, outcome, result) ON books.operation
    TO voucher_ledger_operator;
-- `replay seek` books skipped records as a processor books dead letters: it moves a position and fills the outbox.
-- What a voucher, an order or an account is, it can't touch.
GRANT INSERT, UPDATE (next_offset, epoch, instance, record_time_ms, decided, dead_lettered) ON books.position
    TO voucher_ledger_operator;
GRANT INSERT, DELETE ON books.outbox TO voucher_ledger_operator;
