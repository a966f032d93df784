"""`voucher-ledger status`: how far the processors are, and what the ledger holds."""
