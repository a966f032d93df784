-- Roles are of the whole server, not of one database: made once, granted in each.
-- writer: the processors. reader: dashboards and services (the views only). operator: the replay tool and audits.
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['voucher_ledger_writer', 'voucher_ledger_reader', 'voucher_ledger_operator'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server has made it
        END;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA ledger TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO voucher_ledger_reader, voucher_ledger_writer, voucher_ledger_operator;

GRANT USAGE ON SCHEMA books TO voucher_ledger_writer, voucher_ledger_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA books TO voucher_ledger_writer, voucher_ledger_operator;

GRANT INSERT ON books.transfer TO voucher_ledger_writer;
GRANT INSERT, UPDATE ON books.campaign, books.account, books.category_budget, books.voucher, books.reservation,
    books.payment, books.position TO voucher_ledger_writer;
GRANT INSERT ON books.campaign_command, books.refund TO voucher_ledger_writer;
GRANT INSERT, UPDATE, DELETE ON books.outbox TO voucher_ledger_writer;
