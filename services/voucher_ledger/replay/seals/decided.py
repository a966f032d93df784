"""How far the ledger has decided each partition, at this moment."""

import psycopg

from voucher_ledger.core.records import Place

_ENDS = "SELECT topic, partition, next_offset FROM books.position"


class Decided:
    """Whether a command was decided. To be asked once a record that answers it was read: a position commits before what
    it decided is published, so the answer to a command that is not decided even then was put there by somebody else.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._ends: dict[Place, int] = {}

    def covers(self, place: Place, offset: int) -> bool:
        """Whether the command at `offset` of `place` is decided; looks again only where it was not at the last look."""
        if offset >= self._ends.get(place, 0):
            rows = self._connection.execute(_ENDS)
            self._ends = {(topic, partition): following for topic, partition, following in rows}
        return 0 <= offset < self._ends.get(place, 0)
