"""What is not there, or may not be used, is told by what mends it."""

import psycopg
import pytest

from voucher_ledger.runtime.errors import without_tables
from voucher_ledger.runtime.topics import without_topics


@pytest.mark.parametrize(
    ("refusal", "role"),
    [
        ('permission denied to set role "voucher_ledger_writer"', "voucher_ledger_writer"),
        ("permission denied for schema ledger\nLINE 1: SELECT", "voucher_ledger_reader"),
        ("permission denied for view position", "voucher_ledger_reader"),
        ("permission denied for table operation", "voucher_ledger_operator"),
    ],
)
def test_a_right_that_lacks_is_told_with_the_role_that_has_it(refusal: str, role: str) -> None:
    """It was "the database lacks what this version needs", and the hint was to migrate."""
    told = str(without_tables(psycopg.errors.InsufficientPrivilege(refusal)))
    assert told == f"this login may not: {refusal.splitlines()[0]}: GRANT {role} TO <login>"


def test_a_table_that_lacks_is_told_as_before() -> None:
    lacks = 'relation "ledger.position" does not exist'
    told = str(without_tables(psycopg.errors.UndefinedTable(lacks)))
    assert told.startswith(f"the database lacks what this version needs: {lacks}: run `voucher-ledger migrate` first")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["order.events"], "Kafka at k:1 has no topic order.events: run `voucher-ledger topics` first"),
        (["night.clams"], "Kafka at k:1: there is no topic night.clams: did you mean night.claims?"),
        (["claim.command"], "Kafka at k:1: there is no topic claim.command: did you mean claim.commands?"),
        (["x"], "Kafka at k:1: there is no topic x: none of that name is made by `voucher-ledger topics`"),
    ],
)  # fmt: skip
def test_a_topic_is_told_by_the_command_that_makes_it_or_as_one_that_nobody_makes(names: list[str], told: str) -> None:
    assert str(without_topics("k:1", names, ["night.claims"])) == told
