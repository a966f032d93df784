"""`voucher-ledger plan`: when a campaign's cards run out, what it costs, and tranches that spread them over it."""
