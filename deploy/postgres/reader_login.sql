-- A login for Grafana, in role voucher_ledger_reader: for psql, with the password in READER_PASSWORD. Once more, and the
-- login has that password.
\getenv password READER_PASSWORD
SET password_encryption = 'scram-sha-256';
SELECT 'CREATE ROLE grafana LOGIN IN ROLE voucher_ledger_reader'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana PASSWORD :'password' CONNECTION LIMIT 10;
-- A panel that takes longer than this is no help at the peak hour, and must not hold the ledger up.
ALTER ROLE grafana SET statement_timeout = '10s';
ALTER ROLE grafana SET default_transaction_read_only = on;
