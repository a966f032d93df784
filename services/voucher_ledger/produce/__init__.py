"""`voucher-ledger produce`: commands from a file or a pipe, checked and sent."""
