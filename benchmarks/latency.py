"""Latency: claims sent at a steady rate, each timed from produce() to the moment at which another process, a
read_committed consumer of the events, has the answer in its hands.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Producer

from benchmarks import cost, traffic
from benchmarks.contestants import Contestant, Ledger
from benchmarks.world import World
from voucher_ledger.runtime import kafka

CLAIMS_PER_SECOND = 5_000
TICK_SECONDS = 0.001
READER_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds by name (`median`, `p99`, `p999`, `max`) over `claims`, of the contestant `who`.

    `stage_median_milliseconds` holds the medians of the way `to_topic`, from there `to_decision` and from there
    `to_reader`; nothing of a peer, whose events do not tell when it decided. `sender_late_max_milliseconds` is how far
    behind its own schedule the sender ever was: more than a few mean that the machine had no CPU to spare.
    """

    who: str
    claims: int
    milliseconds: dict[str, float]
    stage_median_milliseconds: dict[str, float]
    sender_late_max_milliseconds: float
    cores_used: dict[str, float]


def measure(world: World, contestant: Contestant, who: str, warm_up_seconds: int, seconds: int) -> Latency:
    """Send claims for `warm_up_seconds`, whose answers do not count, and for `seconds` more.

    Raises TimeoutError where an answer does not come.
    """
    warm_up = CLAIMS_PER_SECOND * warm_up_seconds
    total = warm_up + CLAIMS_PER_SECOND * seconds
    with contestant.running(world) as running:
        command = [sys.executable, "-m", "benchmarks.latency_reader", "--count", str(total)]
        environment = {**os.environ, **world.variables}
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as reader:
            try:
                assert reader.stdout is not None
                if reader.stdout.readline() != b"READY\n":
                    raise RuntimeError("the reader of the events did not start; its error is above")
                start = cost.snapshot(running, world.servers)
                late_max_seconds = _send(world, warm_up, total)
                spent = cost.between(start, cost.snapshot(running, world.servers))
                told, _ = reader.communicate(timeout=READER_SECONDS_MAX)
            finally:
                reader.kill()
        running.check()
    if reader.returncode != 0:
        raise TimeoutError("not every claim was answered; the reader's error is above")
    measured: dict[str, Any] = orjson.loads(told)
    return Latency(
        who,
        measured["claims"],
        measured["milliseconds"],
        measured["stage_median_milliseconds"] if isinstance(contestant, Ledger) else {},
        late_max_seconds * 1_000,
        {name: getattr(spent, name) / spent.seconds for name in ("own", "kafka", "postgres", "elsewhere")},
    )


def _send(world: World, warm_up: int, total: int) -> float:
    """Send `total` claims, evenly spaced; the most seconds that one left after its time, of those after `warm_up`.

    The id of a claim holds the time of its produce() on the clock that all processes of the machine share.
    """
    producer = Producer(kafka.producer_config(world.settings))
    late_max_seconds = 0.0
    start = time.monotonic()
    for number in range(total):
        due = start + number / CLAIMS_PER_SECOND
        while (now := time.monotonic()) < due:
            producer.poll(0)
            time.sleep(TICK_SECONDS)
        if number >= warm_up:
            late_max_seconds = max(late_max_seconds, now - due)
        kind = "warm" if number < warm_up else "timed"
        key, value = traffic.claim(f"{kind}-{number}-{time.monotonic_ns()}", number)
        producer.produce("claim.commands", value, key)
    if producer.flush(traffic.FLUSH_SECONDS_MAX):
        raise TimeoutError("the broker did not take all claims")
    return late_max_seconds
