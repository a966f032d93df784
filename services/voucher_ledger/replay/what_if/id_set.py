"""A set of ids in bounded memory: what is asked of a day of millions of orders must not cost a gigabyte."""

import sqlite3
from typing import Final

# SQLite keeps so much of the set in memory and the rest in a file of its own that no crash can leave behind.
CACHE_KIB: Final = 65_536


class IdSet:
    """Ids that were added, each once, on disk where they are many. Close it when it is no longer asked."""

    def __init__(self) -> None:
        # An empty name is a private temporary database (sqlite.org/inmemorydb.html, "Temporary Databases").
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE id (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, one: str) -> None:
        """Put an id in; nothing changes where it is in already. Raises sqlite3.OperationalError on a full disk."""
        self._connection.execute("INSERT OR IGNORE INTO id VALUES (?)", (one,))

    def __contains__(self, one: str) -> bool:
        return self._connection.execute("SELECT 1 FROM id WHERE id = ?", (one,)).fetchone() is not None

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
