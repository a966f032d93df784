"""What a tool or the sweeper sends is acknowledged, or told as lost."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from voucher_ledger.runtime import settings
from voucher_ledger.runtime.command_sender import CommandSender
from voucher_ledger.runtime.errors import SessionLost

NOWHERE = settings.load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"})


class Acknowledged:
    def topic(self) -> str:
        return "claim.commands"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7


class Answers:
    """A producer that reports on what was sent when it is flushed; so many are left without a report."""

    def __init__(self, sender: CommandSender, error: KafkaError | None, waiting: int) -> None:
        self._sender, self._error, self._waiting = sender, error, waiting

    def flush(self, _seconds: float) -> int:
        message: Any = Acknowledged()
        self._sender._delivered(self._error, message)
        return self._waiting


@pytest.mark.parametrize(
    ("error", "waiting", "told"),
    [(KafkaError(KafkaError._MSG_TIMED_OUT), 0, "1 of 0 commands"), (None, 2, "2 of 0 commands .* no answer")],
)
def test_what_was_not_acknowledged_is_told(error: KafkaError | None, waiting: int, told: str) -> None:
    sender = CommandSender(NOWHERE, "test")
    answers: Any = Answers(sender, error, waiting)
    sender._producer = answers
    with pytest.raises(SessionLost, match=told):
        sender.send([])


def test_the_last_offset_that_was_acknowledged_is_known() -> None:
    sender = CommandSender(NOWHERE, "test")
    answers: Any = Answers(sender, None, 0)
    sender._producer = answers
    assert sender.send([]) == {("claim.commands", 3): 7}
