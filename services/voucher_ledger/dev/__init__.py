"""The embedded default: a real Kafka and a real Postgres on this machine, started and stopped by one command."""
