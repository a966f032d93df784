"""A test's Postgres need not wait for its disk."""

import psycopg


def never_flush(dsn: str) -> None:
    """For good, restarts included. Tests kill processes, never the machine: what a killed server had written, the
    kernel has and the server finds again, flushed or not.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
