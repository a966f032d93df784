"""A connection that fails is told by what is to be done about it."""

from typing import Any

import psycopg
import pytest

from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Unreachable

AT = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (f'{AT}FATAL:  password authentication failed for user "x"', "Postgres refused the login"),
        (f"{AT}fe_sendauth: no password supplied", "Postgres refused the login"),
        (f'{AT}FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "x"', "Postgres refused the login"),
        (f"{AT}FATAL:  permission denied for database", "Postgres refused the login"),
        (f"{AT}FATAL:  the database system is starting up", "Postgres refuses connections: "),
        (f"{AT}FATAL:  sorry, too many clients already", "Postgres refuses connections: "),
        (f"{AT}Connection refused\n\tIs the server running on that host?", "Postgres does not answer: "),
        ("connection timeout expired", "Postgres does not answer: "),
    ],
)
def test_a_refused_login_is_told_from_a_silent_server(cause: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_positional: Any, **_named: Any) -> None:
        raise psycopg.OperationalError(cause)

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(Unreachable) as raised:
        postgres.connect("host=127.0.0.1", application="test")
    text = str(raised.value)
    assert text.startswith(told)
    assert text.endswith(cause.splitlines()[-1].strip())
    assert "\n" not in text


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("host=db port=5433 password=geheim", "db:5433: "),
        ("postgresql://me:geheim@db/ledger", "db: "),
        ("postgresql://me:geheim@[::1]:5432/ledger", "[::1]:5432: "),
        ("host=a,b port=1,2", "a:1, b:2: "),
        ("host=a,b port=1", "a:1, b:1: "),
        ("host=db hostaddr=10.0.0.1 port=1", "10.0.0.1:1: "),
        ("host=/run/postgresql port=1", "/run/postgresql:1: "),
        ("service=ledger", ""),
        ("dbname=ledger", ""),
    ],
)
def test_a_server_that_is_silent_is_told_by_its_address(
    dsn: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq names it where it was refused, psycopg not where its own clock ran out."""
    assert silent(dsn, "connection timeout expired", monkeypatch) == (
        f"Postgres does not answer: {address}connection timeout expired"
    )
    named = f"{AT}Connection refused"
    assert silent(dsn, named, monkeypatch) == f"Postgres does not answer: {named}"


def silent(dsn: str, cause: str, monkeypatch: pytest.MonkeyPatch) -> str:
    def connect(*_positional: Any, **_named: Any) -> None:
        raise psycopg.OperationalError(cause)

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(Unreachable) as raised:
        postgres.connect(dsn, application="test")
    return str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["rebuild", "--into", "nonsense"], "--into"), (["what-if", "--sandbox", "x"], "--sandbox")],
)
def test_an_options_connection_string_is_judged_as_the_settings_is(
    arguments: list[str], option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    assert cli.main(["replay", *arguments]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {option} is no connection string: ")
