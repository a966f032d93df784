"""What a takeover says of published answers that its ledger does not know, where the group's offset is gone."""

from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from voucher_ledger.runtime import recovery
from voucher_ledger.runtime.errors import Inconsistent
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.recovery import Recovery

DECIDED, END = 50, 80


def taken_over(answered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "last_answered", lambda *_: answered)
    monkeypatch.setattr(recovery, "committed_offsets", lambda *_, **_named: {})
    place = TopicPartition("claim.commands", 3, OFFSET_INVALID)
    consumer: Any = Mock(**{"committed.return_value": [place], "get_watermark_offsets.return_value": (0, END)})
    held = Position(epoch=2, next_offset=DECIDED)
    positions: Any = Mock(**{"known.return_value": {3: DECIDED}, "raise_epoch.return_value": held})
    nothing: Any = Mock()
    names = ("group", "claim.commands", "claim.events")
    Recovery(nothing, consumer, nothing, positions, nothing, *names, 1).take_over([3])


@pytest.mark.parametrize(
    ("answered", "advice"),
    [
        (DECIDED, "`voucher-ledger replay rebuild` makes the ledger anew"),
        (END - 1, "`voucher-ledger replay rebuild` makes the ledger anew"),
        (END, "the topic ends at 80: no command lies there.*`voucher-ledger replay verify`"),
        (900_000, "the topic ends at 80: no command lies there.*`voucher-ledger replay verify`"),
    ],
)
def test_an_answer_past_the_end_of_the_commands_is_no_sign_of_an_older_ledger(
    answered: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Inconsistent, match=advice):
        taken_over(answered, monkeypatch)
