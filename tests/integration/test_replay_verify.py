"""The bounds of `replay verify` on the real broker: answers that are missing, doubled, astray or still to come."""

import uuid
from collections.abc import Callable
from subprocess import Popen
from threading import Event
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim, envelope
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import Program
from tests.integration.waits import wait_decided
from tests.integration.world import World
from voucher_ledger import cli
from voucher_ledger.replay.errors import Unread
from voucher_ledger.replay.topic_reader import Progress
from voucher_ledger.replay.verify import verify
from voucher_ledger.replay.verify_scope import Scope
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka
from voucher_ledger.runtime.topics import describe

pytestmark = pytest.mark.integration

# Of a command that is there; of others no position ever told.
ADDED = "it was added, or the position was set back"


def answer(offset: int, partition: int = 4, topic: str = "claim.commands", **data: Any) -> tuple[bytes, bytes]:
    event = envelope("voucher.granted", f"{topic}/{partition}/{offset}/0", {"user_id": "u", **data})
    return (b"u", orjson.dumps(event))


def decided(world: World, partition: int, next_offset: int, topic: str = "claim.commands") -> None:
    """A position as a processor would have left it."""
    world.connection.execute(
        "INSERT INTO books.position VALUES (%s, %s, %s, 1, 'x', 'test-0', 0, %s, 0)",
        (topic, partition, next_offset, next_offset),
    )


def test_missing_doubled_and_stray_answers_are_named(world: World) -> None:
    world.send("claim.commands", [claim(number) for number in range(5)], partition=4)
    world.send("claim.commands", [claim(number) for number in range(2)], partition=5)
    decided(world, 4, 3)
    decided(world, 5, 2)
    rejected = {"reason": "ended"}
    world.send_raw("claim.events", [answer(0), answer(1), answer(1), answer(3), answer(5)], partition=4)
    world.send_raw(
        "claim.events", [answer(0, 5, **rejected), (b"u", b"no event"), answer(1, 6), answer(-3, 5)], partition=5
    )
    world.send_raw("claim.events", [answer(0, 6)], partition=6)
    world.send_raw("claim.events", [answer(0, topic="order.commands")], partition=4)
    report = verify(world.settings, Event())
    assert sorted(fault for fault in report.answers.faults if "made anew" not in fault) == sorted(
        [
            "claim.events/4/2 answers claim.commands/4/1 once more",
            "claim.events/4/5 answers order.commands/4/0/0, whose answer belongs elsewhere",
            "claim.events/5/1 is no event with the id of a command",
            "claim.events/5/2 answers claim.commands/6/1/0, whose answer belongs elsewhere",
            "claim.commands/4: 1 command not answered: 2",
            "claim.commands/5: 1 command not answered: 1",
            f"claim.events/4/3 answers claim.commands/4/3, which nobody has decided: {ADDED}",
            "claim.events/4/4 answers claim.commands/4/5, which nobody has decided: it was added",
            "claim.events/5/3 is no event with the id of a command",
            "claim.events/6/0 answers claim.commands/6/0, which nobody has decided: it was added",
        ]
    )
    # The topic is another than the position knows.
    assert "claim.commands was made anew since the ledger decided it: its offsets mean others" in report.answers.faults
    assert report.answers.unanswered == {"claim.commands": 2}
    assert report.answers.fault_count == 11
    # Bounded to what was rightly answered, what was added is a fault still.
    bounded = verify(world.settings, Event(), Scope(partitions=frozenset([4]), to_offset=1))
    assert [fault for fault in bounded.answers.faults if fault.startswith("claim.events/4/3")] == [
        f"claim.events/4/3 answers claim.commands/4/3, which nobody has decided: {ADDED}"
    ]
    # What a position tells of once the events were read was decided since, and is no fault, if there was a command.
    meanwhile = "UPDATE books.position SET next_offset = 6 WHERE topic = 'claim.commands' AND partition = 4"

    class DecideWhileItIsRead(Progress):
        def advance(self, count: int) -> None:
            world.connection.execute(meanwhile)

    report = verify(world.settings, Event(), Scope(to_offset=1), progress=DecideWhileItIsRead())
    assert [fault for fault in report.answers.faults if "claim.commands/4/" in fault] == [
        "claim.commands/4/5 is answered, and no command is there"
    ]
    stopped = Event()
    stopped.set()
    with pytest.raises(Unread, match="stopped"):
        verify(world.settings, stopped)


def test_what_is_decided_but_not_published_is_waited_for_and_then_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(50)])
    killed = world.spawn("claims", instance="claims-0", window="after_commit")
    assert killed.wait(WAIT_SECONDS_MAX) == -9
    monkeypatch.setattr("voucher_ledger.replay.verify.PUBLISHED_SECONDS_MAX", 0.0)
    report = verify(world.settings, Event())
    assert any("still in the outbox" in fault for fault in report.answers.faults), report.answers.faults
    assert report.answers.unanswered.total() == sum(
        kind.count for name, kind in report.kinds.items() if name == "voucher"
    )
    # The successor publishes while it is being waited for.
    monkeypatch.setattr("voucher_ledger.replay.verify.PUBLISHED_SECONDS_MAX", WAIT_SECONDS_MAX)
    successors: list[Popen[bytes]] = []

    def succeed() -> None:
        if not successors:
            successors.append(world.spawn("claims", instance="claims-0"))

    stop = _Awaited(succeed)
    report = verify(world.settings, stop)
    assert report.passed, report.to_json()
    assert successors, "the events were there at once: nothing was waited for"
    wait_decided(world, "claim.commands", 50)


def test_a_letter_behind_the_transaction_of_a_killed_processor_of_another_room_is_not_missing(world: World) -> None:
    world.send("claim.commands", [claim(0)], partition=4)
    world.connection.execute("INSERT INTO books.position VALUES ('claim.commands', 4, 1, 1, 'x', 'test-0', 0, 0, 1)")
    killed = Producer(kafka.producer_config(world.settings, **{"transactional.id": f"killed-{uuid.uuid4()}"}))
    killed.init_transactions(WAIT_SECONDS_MAX)
    killed.begin_transaction()
    killed.produce(DEAD_LETTERS, b"never", partition=0)
    assert killed.flush(WAIT_SECONDS_MAX) == 0
    headers = {"dlq_topic": b"claim.commands", "dlq_partition": b"4", "dlq_offset": b"0", "dlq_error": b"x"}
    world.producer.produce(DEAD_LETTERS, b"letter", partition=0, headers=[*headers.items()])
    assert world.producer.flush(WAIT_SECONDS_MAX) == 0
    aborted: list[bool] = []

    def abort() -> None:
        if not aborted:
            killed.abort_transaction(WAIT_SECONDS_MAX)
            aborted.append(True)

    report = verify(world.settings, _Awaited(abort))
    assert aborted, "the letter was there at once: nothing was waited for"
    assert (report.answers.dead_letters, report.answers.unanswered.total()) == ({"claim.commands": 1}, 0)
    # Nothing is hidden any more, so what is missing is told at once.
    world.connection.execute("UPDATE books.position SET dead_lettered = 2, next_offset = 2 WHERE partition = 4")
    report = verify(world.settings, _Awaited(lambda: pytest.fail("waited for what can't come")))
    told = "the position tells of 0 events and 2 dead letters, 0 and 1 are there"
    assert f"claim.commands/4: {told}" in report.answers.faults


def test_a_position_past_the_end_of_its_topic_is_named(world: World) -> None:
    """Commands that were deleted are none: the end is where it was."""
    world.send("claim.commands", [claim(number) for number in range(3)], partition=4)
    world.send_raw("claim.events", [answer(0), answer(1), answer(2)], partition=4)
    topic_id = describe(world.settings, "claim.commands").topic_id
    decided(world, 4, 3)
    world.connection.execute("UPDATE books.position SET decided = 3, topic_id = %s", (topic_id,))

    def faults() -> list[str]:
        return verify(world.settings, Event(), Scope(partitions=frozenset([4]))).answers.faults

    assert faults() == []
    place = TopicPartition("claim.commands", 4, 3)
    admin = AdminClient(kafka.admin_config(world.settings))  # it must live until it has answered
    admin.delete_records([place])[place].result(WAIT_SECONDS_MAX)
    assert faults() == []
    world.connection.execute("UPDATE books.position SET next_offset = 6")
    told = "the position is 6, and the topic ends at 3: what comes in between would be skipped"
    assert faults() == [f"claim.commands/4: {told}"]


def test_what_is_not_there_is_refused_and_not_equal(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program(world, monkeypatch, capsys)
    refused = program.run("verify", "--campaign", "nope", code=ExitCode.CHECK_FAILED)[1]
    assert "neither the ledger nor campaign.events knows a campaign 'nope'" in refused
    refused = program.run("verify", "--partitions", "0,99", code=ExitCode.CHECK_FAILED)[1]
    assert "the command topics have partitions 0 to 7, not [99]" in refused
    refused = program.run("verify", "--seals", "--partitions", "99", code=ExitCode.CHECK_FAILED)[1]
    assert "the command topics have partitions 0 to 7, not [99]" in refused
    world.send("claim.commands", [claim(0)], partition=4)
    decided(world, 4, 1)
    for bounds in (("--from", "2999-01-01T00:00:00Z"), ("--from", "1000000"), ("--to", "2020-01-01T00:00:00Z")):
        refused = program.run("verify", *bounds, code=ExitCode.CHECK_FAILED)[1]
        assert "between --from and --to: there are decided ones at the offsets 0 to 0, of the times 20" in refused
    # A campaign that only the events tell of is one that the ledger has lost.
    opened = envelope("campaign.opened", "campaign.commands/0/0/0", {"campaign_id": "lost"})
    world.send_raw("campaign.events", [(b"lost", b"rubbish"), (b"lost", orjson.dumps(opened))], partition=0)
    assert "not equal" in program.run("verify", "--campaign", "lost", code=ExitCode.CHECK_FAILED)[0]


class _Awaited(Event):
    """An event whose every wait first does something."""

    def __init__(self, before: Callable[[], object]) -> None:
        super().__init__()
        self._before = before

    def wait(self, timeout: float | None = None) -> bool:
        self._before()
        return super().wait(timeout)


def test_wrong_bounds_are_usage_and_a_ledger_out_of_reach_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    assert cli.main(["replay", "verify", "--from", "yesterday"]) == ExitCode.USAGE
    assert cli.main(["replay", "verify", "--partitions", "0-x"]) == ExitCode.USAGE
    inverted = (("--from", "5", "--to", "2"), ("--from", "5", "--to", "5"), ("--partitions", "5-2"))
    times = ("--from", "2026-02-07T00:00:00Z", "--to", "2026-02-06T00:00:00Z")
    for bounds in (*inverted, times):
        assert cli.main(["replay", "verify", *bounds]) == ExitCode.USAGE, bounds
    assert cli.main(["replay", "verify"]) == ExitCode.UNREACHABLE
    assert "does not answer" in capsys.readouterr().err
