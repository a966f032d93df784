"""What lies past the chains' ends: decided since they were read, or put there; and chains whose commands are gone."""

from collections.abc import Callable
from threading import Event
from typing import Any

import orjson
import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import new_database, one, stop_all, tampered_copy
from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.replay.seals import verify as module
from voucher_ledger.replay.seals.chain import Chains
from voucher_ledger.replay.seals.report import Fault
from voucher_ledger.replay.seals.unsealed import Unsealed
from voucher_ledger.replay.seals.verify import verify_seals
from voucher_ledger.runtime import kafka, postgres

pytestmark = pytest.mark.integration

CLAIMS = 40
CHAIN = "topic = 'claim.commands' AND partition = 3"


@pytest.fixture
def day(world: World) -> World:
    """Two batches in partition 3, the second with a dead letter; then all processors are stopped."""
    world.open_campaign()
    _decide(world, 0, rubbish=False)
    _decide(world, CLAIMS, rubbish=True)
    stop_all(world)
    return world


def _decide(world: World, first: int, *, rubbish: bool) -> None:
    world.send("claim.commands", [claim(number) for number in range(first, first + CLAIMS)], partition=3)
    if rubbish:
        world.send_raw("claim.commands", [(b"u", b"rubbish")], partition=3)
    if not first:
        world.spawn("claims")
    world.wait_answered("claim.commands", first + CLAIMS + rubbish)


def test_what_nobody_decided_is_named_wherever_it_claims_to_come_from(day: World) -> None:
    assert verify_seals(day.settings, Event()).passed
    following = one(day.settings.postgres, f"SELECT next_offset FROM books.position WHERE {CHAIN}")
    granted = next(record for record in day.read("claim.events") if record.partition() == 3)

    def forged(partition: int, offset: int) -> tuple[bytes | None, bytes]:
        content = {**orjson.loads(granted.value() or b""), "id": f"claim.commands/{partition}/{offset}/0"}
        return granted.key(), orjson.dumps(content)

    day.send_raw("claim.events", [forged(3, following)], partition=3)
    day.send_raw("claim.events", [forged(5, 0)], partition=5)
    headers: Any = [("dlq_topic", b"claim.commands"), ("dlq_partition", b"999"), ("dlq_offset", b"4")]
    day.producer.produce(DEAD_LETTERS, b"rubbish", b"u", 0, headers=headers)
    assert day.producer.flush(WAIT_SECONDS_MAX) == 0
    report = verify_seals(day.settings, Event())
    assert report.counts == {Fault.ADDED: 3}, report.shown
    told = " | ".join(sorted(report.shown[Fault.ADDED]))
    for place in (f"claim.commands/3/{following}", "claim.commands/5/0", "claim.commands/999/4"):
        assert f"answers {place}, which nobody has decided" in told
    assert (report.beyond, report.unsealed) == (0, 0)


def test_a_tail_that_was_cut_off_the_chain_is_named(day: World) -> None:
    row = one(
        day.settings.postgres,
        f"SELECT ARRAY[number, first_offset, events, dead_letters] FROM books.seal WHERE {CHAIN} "
        "ORDER BY number DESC LIMIT 1",
    )
    number, first, events, letters = row
    day.connection.close()  # a database is copied only while nobody is connected to it
    dsn = tampered_copy(
        day,
        f"DELETE FROM books.seal WHERE {CHAIN} AND number = {number}",
        f"UPDATE books.position SET next_offset = {first} WHERE {CHAIN}",
    )
    day.connection = postgres.connect(day.settings.postgres, application="test")
    report = verify_seals(day.settings.model_copy(update={"postgres": dsn}), Event())
    assert report.counts == {Fault.ADDED: events + letters}, report.shown
    assert "seals and position were cut off" in report.shown[Fault.ADDED][0]


def test_live_traffic_beside_raises_no_alarm(day: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a partition that had no chain when the chains were read."""
    chains: Callable[..., tuple[Chains, Unsealed]] = module._chains

    def and_then_the_day_goes_on(*arguments: Any) -> tuple[Chains, Unsealed]:
        made = chains(*arguments)
        before = len(day.read("claim.events"))
        for partition, first in ((3, 1_000), (5, 2_000)):
            day.send("claim.commands", [claim(number) for number in range(first, first + CLAIMS)], partition=partition)
        day.spawn("claims")
        day.read("claim.events", before + 2 * CLAIMS)
        return made

    monkeypatch.setattr(module, "_chains", and_then_the_day_goes_on)
    report = verify_seals(day.settings, Event())
    assert report.passed, report.shown
    assert (report.beyond, report.unsealed) == (CLAIMS, CLAIMS)


@pytest.mark.parametrize("low", [CLAIMS // 2, 2 * CLAIMS])
def test_a_ledger_whose_commands_were_deleted_is_rebuilt_with_all_its_seals(
    day: World, low: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = AdminClient(kafka.admin_config(day.settings))
    for future in admin.delete_records([TopicPartition("claim.commands", 3, low)]).values():
        future.result()
    target = new_database(day)
    Tool(day, monkeypatch, capsys).run("rebuild", "--into", target, "--apply", "--reason", "lost")
    with psycopg.connect(target) as connection:
        (first,) = connection.execute(f"SELECT min(first_offset) FROM books.seal WHERE {CHAIN}".encode())
    assert first == (0,)
    report = verify_seals(day.settings.model_copy(update={"postgres": target}), Event())
    assert report.passed, report.shown
    assert report.verified == {"events": 2 * CLAIMS + 1, "dead letters": 1}
    assert report.unsealed == 0
