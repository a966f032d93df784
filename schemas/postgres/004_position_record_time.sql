-- A partition in which nothing was decided has no record time; it showed 1970.
CREATE OR REPLACE VIEW ledger.position AS
SELECT topic, partition, next_offset, epoch, instance, decided, dead_lettered,
       to_timestamp(nullif(record_time_ms, 0) / 1000.0) AS record_time
FROM books.position;
