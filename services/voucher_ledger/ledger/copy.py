"""Rows by COPY in its text format (PostgreSQL manual, COPY, "Text Format")."""

from collections.abc import Iterable

import psycopg


def copy_rows(connection: psycopg.Connection, statement: str, rows: Iterable[str]) -> None:
    """Append `rows`, each its columns' texts joined by tabs and ended by a line break, by `COPY table (columns)`.

    Columns need no escaping: the schemas refuse control characters, so tabs and line breaks are the separators' alone,
    and backslashes are doubled here for all rows at once.
    """
    text = "".join(rows).replace("\\", "\\\\")
    with connection.cursor() as cursor, cursor.copy(f"{statement} FROM STDIN (NULL '')") as copy:
        copy.write(text.encode())
