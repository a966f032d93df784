"""The operations journal: each operation with its reason and its end, and nobody rewrites it."""

import orjson
import psycopg
import pytest

from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.replay import operations
from voucher_ledger.replay.operations import OPERATOR_ROLE, ReasonMissing, recorded

pytestmark = pytest.mark.integration

REFUSED_STATEMENTS = (
    "UPDATE books.operation SET reason = 'another'",
    "DELETE FROM books.operation",
    "TRUNCATE books.operation",
)
# What the tools' role has no business with.
FOREIGN_STATEMENTS = (
    "UPDATE books.account SET vouchers = 0",
    "UPDATE books.voucher SET state = 'spent'",
    "INSERT INTO books.transfer DEFAULT VALUES",
    "UPDATE books.position SET topic_id = 'another'",
    "DELETE FROM books.position",
    # When, and under which login, Postgres says.
    (
        "INSERT INTO books.operation (operation_id, ended, actor, verb, reason, login)"
        " VALUES (gen_random_uuid(), false, 'ana', 'seek', 'stuck', 'another')"
    ),
    (
        "INSERT INTO books.operation (operation_id, ended, actor, verb, reason, at)"
        " VALUES (gen_random_uuid(), false, 'ana', 'seek', 'stuck', '1970-01-01Z')"
    ),
)


def test_the_journal_tells_who_did_what_why_and_how_it_ended_and_is_append_only(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = world.settings
    for reason in (None, "  "):
        with pytest.raises(ReasonMissing), recorded(settings, "seek", reason, {}):
            pytest.fail("nothing may be done without a reason")
    with recorded(settings, "copy", "a rehearsal", {"speed": 10, "rate": None}, "ana@desk") as operation:
        assert [entry.outcome for entry in operations.latest(settings, 1)] == ["not ended"]
        operation.result["copied"] = 7
    with pytest.raises(ZeroDivisionError), recorded(settings, "seek", "stuck", {}):
        raise ZeroDivisionError("planted")
    with pytest.raises(KeyboardInterrupt), recorded(settings, "seek", "stuck again", {}):
        raise KeyboardInterrupt

    tool = Tool(world, monkeypatch, capsys)
    told = [orjson.loads(line) for line in tool.run("operations", "--json").splitlines()]
    assert [(one["verb"], one["reason"], one["outcome"]) for one in told] == [
        ("seek", "stuck again", "interrupted"), ("seek", "stuck", "failed"), ("copy", "a rehearsal", "done"),
    ]  # fmt: skip
    assert (told[2]["actor"], told[2]["arguments"], told[2]["result"]) == ("ana@desk", {"speed": 10}, {"copied": 7})
    assert told[1]["result"] == {"error": "ZeroDivisionError: planted"}
    assert told[0]["result"] == {"error": "interrupted"}
    assert told[0]["login"] == world.connection.info.user
    assert "a rehearsal" in tool.run("operations")

    for statement in REFUSED_STATEMENTS:  # by the owner himself
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            world.connection.execute(statement.encode())
    with operations.connect(settings) as operator:
        assert operator.execute("SELECT current_user").fetchone() == (OPERATOR_ROLE,)
        for statement in (*REFUSED_STATEMENTS, *FOREIGN_STATEMENTS):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(statement.encode())
