-- Seals: a hash chain for each partition of the command topics, a row a batch, over the events and dead letters that the
-- batch publishes. Whoever changes, drops or adds a historic record, or a row of the chain, is found and the place is named
-- (`voucher-ledger replay verify --seals`, docs/OPERATIONS.md). The chain of a ledger that was there before begins at
-- its next batch.
--
-- batch: decided, or skipped by an operator. rebuilt: made from the topics by `replay rebuild`, which knows no batches.
-- moved: an operator moved the position (`replay seek`), and nothing was decided by it.
CREATE TYPE books.seal_kind AS ENUM ('batch', 'rebuilt', 'moved');

-- `events_sha256` is of the values of the batch's event records in the order of their commands, a line break between two;
-- `event_checks` holds a CRC-32 (4 bytes, big-endian) for each of them in that order, by which the one that was changed is
-- named. Their commands are those from `first_offset` on, one after the other, unless `event_offsets` (8 bytes each,
-- big-endian) says which. The same of dead letters, whose offsets are always given; core/sealing.py has their form.
CREATE TABLE books.seal (
    topic          text COLLATE "C" NOT NULL,
    partition      integer NOT NULL,
    number         bigint NOT NULL,
    kind           books.seal_kind NOT NULL,
    first_offset   bigint NOT NULL,
    next_offset    bigint NOT NULL,
    events         integer NOT NULL,
    dead_letters   integer NOT NULL,
    sealed_at_ms   bigint NOT NULL,
    events_sha256  bytea NOT NULL,
    event_checks   bytea NOT NULL,
    event_offsets  bytea,
    letters_sha256 bytea,
    letter_checks  bytea,
    letter_offsets bytea,
    seal           bytea NOT NULL,
    CONSTRAINT seal_key PRIMARY KEY (topic, partition, number),
    CONSTRAINT seal_of_a_range CHECK (first_offset >= 0 AND (next_offset > first_offset OR kind = 'moved')),
    CONSTRAINT seal_of_events CHECK (events >= 0 AND octet_length(events_sha256) = 32
        AND octet_length(event_checks) = 4 * events AND coalesce(octet_length(event_offsets), 0) IN (0, 8 * events)),
    CONSTRAINT seal_of_letters CHECK (dead_letters >= 0 AND (dead_letters > 0) = (letters_sha256 IS NOT NULL)
        AND coalesce(octet_length(letters_sha256), 32) = 32
        AND coalesce(octet_length(letter_checks), 0) = 4 * dead_letters
        AND coalesce(octet_length(letter_offsets), 0) = 8 * dead_letters)
) WITH (fillfactor = 100);
-- Checks and digests do not compress: TOAST must not try.
ALTER TABLE books.seal ALTER COLUMN event_checks SET STORAGE EXTERNAL, ALTER COLUMN letter_checks SET STORAGE EXTERNAL;
-- By which the batch of a record is found.
CREATE INDEX seal_first_offset ON books.seal (topic, partition, first_offset);

-- The seal of a row: SHA-256 of the seal before it (32 zero bytes before the first) and of every column of the row. What
-- may be long goes in by its own digest, all else has a fixed length or ends with a zero byte, so nothing can be shifted
-- from one column into the next. replay/seals/chain.py has the same in Python.
CREATE FUNCTION books.seal_of(former_seal bytea, sealed books.seal) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(coalesce(former_seal, decode(repeat('00', 32), 'hex'))
        || convert_to(sealed.topic, 'UTF8') || '\x00'::bytea || int4send(sealed.partition) || int8send(sealed.number)
        || convert_to(sealed.kind::text, 'UTF8') || '\x00'::bytea
        || int8send(sealed.first_offset) || int8send(sealed.next_offset)
        || int4send(sealed.events) || int4send(sealed.dead_letters) || int8send(sealed.sealed_at_ms)
        || sealed.events_sha256 || sha256(sealed.event_checks) || sha256(coalesce(sealed.event_offsets, ''))
        || sha256(coalesce(sealed.letters_sha256, '')) || sha256(coalesce(sealed.letter_checks, ''))
        || sha256(coalesce(sealed.letter_offsets, '')))
$$;

-- A row's place in the chain is Postgres' to say and nobody else's. The lock on the partition's position, which whoever
-- seals holds by then, keeps two from taking the same place; the key would refuse the second.
CREATE FUNCTION books.link_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE former record;
BEGIN
    SELECT number, seal INTO former FROM books.seal s
    WHERE s.topic = NEW.topic AND s.partition = NEW.partition ORDER BY number DESC LIMIT 1;
    NEW.number := coalesce(former.number, 0) + 1;
    NEW.sealed_at_ms := extract(epoch FROM clock_timestamp()) * 1000;
    NEW.seal := books.seal_of(former.seal, NEW);
    RETURN NEW;
END $$;

CREATE TRIGGER seal_linked BEFORE INSERT ON books.seal FOR EACH ROW EXECUTE FUNCTION books.link_seal();

CREATE FUNCTION books.refuse_seal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'books.seal is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'A seal that could be changed would prove nothing.';
END $$;

CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON books.seal
    FOR EACH STATEMENT EXECUTE FUNCTION books.refuse_seal_change();

-- Nothing is published that is not sealed: what is published goes through the outbox. A processor of a version before
-- seals is stopped by this at its next batch (insufficient_privilege ends it, and no record is blamed), so that it can't
-- leave a gap in the chain.
CREATE FUNCTION books.refuse_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM batches b WHERE NOT EXISTS (
        SELECT FROM books.seal s WHERE s.topic = b.topic AND s.partition = b.partition
          AND s.first_offset = b.first_offset AND s.next_offset = b.next_offset)) THEN
        RAISE EXCEPTION 'a batch without its seal was refused'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Run processors of the version that the database has.';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_sealed AFTER INSERT ON books.outbox REFERENCING NEW TABLE AS batches
    FOR EACH STATEMENT EXECUTE FUNCTION books.refuse_unsealed();

CREATE VIEW ledger.seal AS
SELECT topic, partition, number, kind::text AS kind, first_offset, next_offset, events, dead_letters,
       to_timestamp(sealed_at_ms / 1000.0) AS sealed_at, encode(seal, 'hex') AS seal
FROM books.seal;

GRANT SELECT ON ledger.seal TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON books.seal TO voucher_ledger_writer, voucher_ledger_operator;
-- Not `number`, `sealed_at_ms` and `seal`: those Postgres says.
GRANT INSERT (topic, partition, kind, first_offset, next_offset, events, dead_letters, events_sha256, event_checks,
    event_offsets, letters_sha256, letter_checks, letter_offsets) ON books.seal
    TO voucher_ledger_writer, voucher_ledger_operator;
