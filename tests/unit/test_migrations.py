"""A database that a newer version has migrated is refused: an older program would write on tables it does not know."""

import hashlib
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Self

import pytest

from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import migrations, postgres


class Connection:
    """Tells the migrations of `applied`, and keeps what is executed."""

    def __init__(self, applied: dict[str, str]) -> None:
        self.applied = applied
        self.executed: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, statement: Any, _values: object = ()) -> Any:
        self.executed.append(statement)
        return SimpleNamespace(fetchall=lambda: list(self.applied.items()))

    def transaction(self) -> Any:
        return nullcontext()


def migrated(applied: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The exit code of `migrate`, and how many statements it sent."""
    connection = Connection(applied)
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    monkeypatch.setattr(postgres, "connect", lambda *_positional, **_named: connection)
    return cli.main(["migrate"]), len(connection.executed)


def known() -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in migrations.files()}


def test_migrations_of_a_newer_version_are_named_and_nothing_is_applied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = migrated(known(), monkeypatch)
    assert (code, capsys.readouterr().out) == (ExitCode.DONE, "up to date\n")
    names = list(known())
    _, statements = migrated(known(), monkeypatch)
    for applied in (known(), {names[0]: known()[names[0]]}):
        newer = {**applied, "998_later.sql": "x", "999_latest.sql": "y"}
        assert migrated(newer, monkeypatch) == (ExitCode.USAGE, statements)
        (line,) = capsys.readouterr().err.splitlines()
        assert "998_later.sql, 999_latest.sql" in line
