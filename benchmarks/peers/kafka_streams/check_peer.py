"""Checks the Kafka Streams peer: `python -m benchmarks.peers.kafka_streams.check_peer --bootstrap HOST:PORT`.

Exactly one outcome a command, no event id twice, and the contract's outcome for each, under read_committed. Exit code
0 when all of this holds for both stores, 1 when something does not.

Makes topics of its own, sends 2,000 claims with duplicates, conflicts and second claims, kills the peer hard once
while it decides, and deletes what it made.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.kafka_streams import peer
from benchmarks.peers.kafka_streams.traffic import (
    Claim,
    Outcome,
    create_topics,
    delete_topics,
    outcomes,
    parse_outcome,
    preload,
)

FIRST_USER_COUNT = 1_000
QUOTA_PER_PARTITION = 100
QUOTA = 8 * QUOTA_PER_PARTITION
OUTCOME_TIMEOUT_SECONDS = 120.0
QUIET_POLLS = 2
# So that the killed process's partitions are given to the next one soon; the default is 45 s.
SHORT_SESSION = ("--set", "consumer.session.timeout.ms=6000")


def first_wave() -> list[Claim]:
    """1,000 users' claims, more than the quota."""
    return [Claim(f"c-{index}", f"u{index:07d}") for index in range(FIRST_USER_COUNT)]


def second_wave() -> list[Claim]:
    """1,000 more: the same command again, the same id with other content, and another claim of the same user."""
    repeated = [Claim(f"c-{index}", f"u{index:07d}") for index in range(500)]
    changed = [Claim(f"c-{index}", f"u{index:07d}", city_tier=6) for index in range(250)]
    other = [Claim(f"again-{index}", f"u{index:07d}") for index in range(250)]
    return repeated + changed + other


def problems_of(events: list[Outcome], first: list[Claim], second: list[Claim]) -> list[str]:
    """What is wrong with the outcomes; empty when the peer is right."""
    problems = []
    total = len(first) + len(second)
    repeated_ids = [event_id for event_id, count in Counter(event.event_id for event in events).items() if count > 1]
    if repeated_ids:
        problems.append(f"{len(repeated_ids)} event ids occur twice, {repeated_ids[0]} among them")
    if len(events) != total:
        problems.append(f"{len(events)} outcomes for {total} commands")
    sent = Counter((claim.user_id, claim.command_id) for claim in first + second)
    answered = Counter((event.key, str(event.data["command_id"])) for event in events)
    if sent != answered:
        missing, extra = sent - answered, answered - sent
        problems.append(
            f"unanswered: {missing.total()} {list(missing)[:3]}; too many: {extra.total()} {list(extra)[:3]}"
        )
    granted = [event for event in events if event.type == "voucher.granted" and "duplicate" not in event.data]
    winners = {event.key: event.data for event in granted}
    if len(winners) != len(granted):
        problems.append("a user was granted twice")
    per_partition = Counter(event.event_id.split("/")[1] for event in granted)
    expected = {
        partition: min(QUOTA_PER_PARTITION, users)
        for partition, users in Counter(
            event.event_id.split("/")[1] for event in {event.key: event for event in events}.values()
        ).items()
    }
    if per_partition != expected:
        problems.append(f"granted by partition {dict(per_partition)}, expected {expected}")
    wrong = [event for event in events if event not in granted and not follows(event, winners.get(event.key))]
    if wrong:
        problems.append(f"{len(wrong)} outcomes are wrong, such as {wrong[0]}")
    return problems


def follows(event: Outcome, grant: dict[str, object] | None) -> bool:
    """Whether an outcome other than a first grant is right, given what its user was granted."""
    if grant is None:
        return event.type == "voucher.rejected" and event.data["reason"] == "sold_out"
    if event.type == "voucher.granted":
        return {key: value for key, value in event.data.items() if key != "duplicate"} == grant
    same_command = event.data["command_id"] == grant["command_id"]
    return event.data["reason"] == ("conflict" if same_command else "user_limit")


def read_outcomes(bootstrap: str, topic: str, at_least: int) -> list[Outcome]:
    """All outcomes visible once `at_least` are there and nothing more has come for two polls."""
    events: list[Outcome] = []
    quiet_polls = 0
    for messages in outcomes(bootstrap, topic, OUTCOME_TIMEOUT_SECONDS):
        events += [parse_outcome(message) for message in messages]
        quiet_polls = 0 if messages or len(events) < at_least else quiet_polls + 1
        if quiet_polls == QUIET_POLLS:
            break
    return events


def check(bootstrap: str, store: peer.Store, directory: Path) -> list[str]:
    """Run the peer on fresh topics, kill it between two waves of claims, and return what is wrong."""
    run = uuid.uuid4().hex[:8]
    commands, events = f"peer-check-{run}.commands", f"peer-check-{run}.events"
    state, log = directory / run, directory / f"{run}.log"

    @contextmanager
    def running_peer() -> Iterator[subprocess.Popen[bytes]]:
        process = peer.start(bootstrap, commands, events, store, 2, state, log, quota=QUOTA, options=SHORT_SESSION)
        try:
            peer.wait_until_running(process, log)
            yield process
        finally:
            peer.stop(process)

    create_topics(bootstrap, (commands, events))
    try:
        first, second = first_wave(), second_wave()
        preload(bootstrap, commands, first)
        with running_peer() as process:
            preload(bootstrap, commands, second)
            # Some of the second wave is decided, some of that published: the next process must make it whole.
            process.kill()
        with running_peer():
            decided = read_outcomes(bootstrap, events, len(first) + len(second))
        print(f"{store}: {dict(Counter(outcome_name(event) for event in decided))}")
        return problems_of(decided, first, second)
    finally:
        delete_topics(bootstrap, (f"peer-check-{run}", peer.application_id(state)))


def outcome_name(event: Outcome) -> str:
    """`granted`, `duplicate` or the reason of a refusal."""
    if event.type == "voucher.granted":
        return "duplicate" if event.data.get("duplicate") is True else "granted"
    return str(event.data["reason"])


def main(arguments: list[str] | None = None) -> int:
    """Check both stores; see the module."""
    parser = argparse.ArgumentParser(description="Check the Kafka Streams peer against the contract.")
    parser.add_argument("--bootstrap", required=True, help="Kafka's bootstrap servers")
    bootstrap: str = parser.parse_args(arguments).bootstrap
    failed = False
    with tempfile.TemporaryDirectory(prefix="peer-check-") as directory:
        stores: tuple[peer.Store, ...] = ("rocksdb", "memory")
        for store in stores:
            problems = check(bootstrap, store, Path(directory))
            for problem in problems:
                print(f"{store}: {problem}", file=sys.stderr)
            failed = failed or bool(problems)
    print("FAILED" if failed else "passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
