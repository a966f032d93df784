"""A tool's transaction is committed only where all of it was acknowledged and its producer heard of no trouble."""

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from voucher_ledger.replay import transactions
from voucher_ledger.replay.errors import ended
from voucher_ledger.replay.transactions import Transactions
from voucher_ledger.run.exit_codes import INTERRUPTED, TERMINATED, ExitCode
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.settings import Settings

NOWHERE = Settings(kafka="nowhere", postgres="nowhere")


class Producing:
    """A producer that fails where it is told to: records it does not deliver, and troubles it tells of when polled."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._trouble: Callable[[KafkaError], None] = configuration["error_cb"]
        self._reports: list[Callable[[], None]] = []
        self.undelivered: KafkaError | None = None
        self.troubles: list[KafkaError] = []
        self.done: list[str] = []

    def init_transactions(self, _seconds: float) -> None:
        self.done.append("init")

    def begin_transaction(self) -> None:
        self.done.append("begin")

    def produce(self, *_: Any, on_delivery: Callable[..., None], **__: Any) -> None:
        error, record = self.undelivered, SimpleNamespace(partition=lambda: 3, offset=lambda: 40)
        self._reports.append(lambda: on_delivery(error, record))

    def flush(self, _seconds: float) -> int:
        for report in self._reports:
            report()
        self._reports.clear()
        return 0

    def poll(self, _seconds: float) -> None:
        for trouble in self.troubles:
            self._trouble(trouble)

    def commit_transaction(self, _seconds: float) -> None:
        self.done.append("commit")

    def abort_transaction(self, _seconds: float) -> None:
        self.done.append("abort")

    def purge(self) -> None:
        pass


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Producing]:
    """The producers that were opened."""
    opened: list[Producing] = []

    def open_client(_make: object, configuration: dict[str, Any]) -> Producing:
        opened.append(Producing(configuration))
        return opened[-1]

    monkeypatch.setattr(transactions, "open_client", open_client)
    return opened


def test_what_is_acknowledged_is_told_with_its_place_and_committed(made: list[Producing]) -> None:
    places: list[tuple[int, int]] = []
    with Transactions(NOWHERE, "redrive") as producer:
        producer.begin()
        producer.send("claim.commands", b"{}", b"ana", delivered=lambda *place: places.append(place))
        producer.sent()
        assert places == [(3, 40)]
        producer.commit()
    assert made[0].done == ["init", "begin", "commit"]


@pytest.mark.parametrize("end", [Transactions.flush, Transactions.sent, Transactions.commit])
def test_a_record_that_was_not_delivered_is_named_before_anything_rests_on_it(
    end: Callable[[Transactions], None], made: list[Producing]
) -> None:
    """`flush` left nothing behind: the record was given up."""
    with Transactions(NOWHERE, "redrive") as producer:
        made[0].undelivered = KafkaError(KafkaError._MSG_TIMED_OUT)
        producer.begin()
        producer.send("claim.commands", b"{}", b"ana", delivered=lambda *_: pytest.fail("it was told as delivered"))
        with pytest.raises(SessionLost, match=r"^claim\.commands: key b'ana': "):
            end(producer)
    assert "commit" not in made[0].done


def test_a_trouble_that_is_told_once_all_is_flushed_ends_the_transaction_uncommitted(made: list[Producing]) -> None:
    """A connection that is lost then may have a request on its way that would end the next transaction."""
    with Transactions(NOWHERE, "redrive") as producer:
        producer.begin()
        producer.send("claim.commands", b"{}", b"ana")
        made[0].troubles.append(KafkaError(KafkaError._MSG_TIMED_OUT))
        with pytest.raises(SessionLost, match="the producer saw an error"):
            producer.commit()
        with pytest.raises(SessionLost, match="the producer saw an error"):
            producer.begin()
    assert made[0].done == ["init", "begin", "abort"]


class Header(str):
    """A name that Kafka's client is reading when a signal comes."""

    __slots__ = ("number",)
    number: int

    def __str__(self) -> str:
        signal.raise_signal(self.number)
        return "name"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_signal_that_comes_while_a_record_is_taken_is_not_lost(
    number: int, code: int, made: list[Producing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client took it for a header whose name is no text."""
    name = Header("name")
    name.number = number

    def send() -> int:
        with Transactions(NOWHERE, "redrive") as producer:
            monkeypatch.setattr(
                made[0], "produce", Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}).produce
            )
            producer.begin()
            producer.send("claim.commands", b"{}", b"ana", headers=[(name, b"")])
        return ExitCode.DONE

    assert ended(send) == code
    assert made[0].done == ["init", "begin", "abort"]


def test_a_record_that_is_refused_without_a_signal_is_told_as_it_is(
    made: list[Producing], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TypeError("expected header key to be unicode string")

    with Transactions(NOWHERE, "redrive") as producer:
        monkeypatch.setattr(made[0], "produce", refuse)
        producer.begin()
        with pytest.raises(TypeError, match="header key"):
            producer.send("claim.commands", b"{}", b"ana")
