"""`voucher-ledger demo`: the grey-release day on a Kafka and a Postgres of its own, and the proof that all is right."""
