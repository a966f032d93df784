"""What operators reach for after the night: proofs, traces and repairs from the topics and the ledger."""
