"""Proofs from the topics alone, beside the audit's proofs from SQL."""
