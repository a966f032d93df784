"""What may go wrong with the chain of seals, in the books of tests/integration/books.py; see corruptions.py."""

from tests.integration.corruptions import SEALS, Corruption

# The chain of order.commands/0 has more than three seals.
_OF_ORDERS = "topic = 'order.commands' AND partition = 0"
_SECOND = f"{_OF_ORDERS} AND number = 2"


def _planted(statements: str, told_by: tuple[str, str]) -> Corruption:
    return Corruption(statements, SEALS, told_by, frozenset([SEALS]))


CORRUPTIONS = {
    "a seal of other events": _planted(
        f"UPDATE books.seal SET events_sha256 = sha256('other') WHERE {_SECOND}", ("number", "2")
    ),
    "a seal with the check of another event": _planted(
        f"UPDATE books.seal SET event_checks = '\\x00000000' WHERE {_SECOND}", ("number", "2")
    ),
    "a seal changed and made to fit its row": _planted(
        f"""UPDATE books.seal SET events_sha256 = sha256('other') WHERE {_SECOND};
        UPDATE books.seal s SET seal = books.seal_of(former.seal, s) FROM books.seal former
        WHERE s.topic = 'order.commands' AND s.partition = 0 AND s.number = 2
          AND former.topic = s.topic AND former.partition = s.partition AND former.number = 1""",
        ("number", "3"),
    ),
    "a seal dropped": _planted(f"DELETE FROM books.seal WHERE {_SECOND}", ("former_number", "1")),
    "the first seal dropped": _planted(f"DELETE FROM books.seal WHERE {_OF_ORDERS} AND number = 1", ("number", "2")),
    "the last seals dropped": _planted(f"DELETE FROM books.seal WHERE {_OF_ORDERS} AND number > 2", ("number", "2")),
    "a seal dropped and the rest numbered anew": _planted(
        f"""DELETE FROM books.seal WHERE {_SECOND};
        UPDATE books.seal SET number = number - 1 WHERE {_OF_ORDERS} AND number > 2""",
        ("follows", "False"),
    ),
    "a seal that begins after the one before it": _planted(
        f"UPDATE books.seal SET first_offset = first_offset - 1 WHERE {_SECOND}", ("number", "2")
    ),
}
