"""A connection that fails is told by what is to be done about it."""

from typing import Any

import psycopg
import pytest

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
