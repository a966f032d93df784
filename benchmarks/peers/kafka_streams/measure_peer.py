"""Measures the Kafka Streams peer alone: `python -m benchmarks.peers.kafka_streams.measure_peer --bootstrap HOST:PORT`.

Preloads the claims, starts the peer, and prints claims a second from RUNNING until the last outcome is visible to a
read_committed reader; the same for the second half alone, when the JVM has compiled what is hot; and the peer's own
CPU seconds for a million claims (JVM start-up and compilation included).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks.peers.kafka_streams import peer
from benchmarks.peers.kafka_streams.traffic import Claim, create_topics, delete_topics, outcomes, preload

OUTCOME_TIMEOUT_SECONDS = 600.0


def measure(
    bootstrap: str, store: peer.Store, claim_count: int, threads: int, directory: Path, options: list[str]
) -> str:
    """One run on fresh topics; a line with its figures. Raises `PeerError` or `TimeoutError` if it does not finish."""
    run = uuid.uuid4().hex[:8]
    commands, events = f"peer-measure-{run}.commands", f"peer-measure-{run}.events"
    state, log = directory / run, directory / f"{run}.log"
    create_topics(bootstrap, (commands, events))
    try:
        preload(bootstrap, commands, (Claim(f"c-{index}", f"u{index:07d}") for index in range(claim_count)))
        process = peer.start(bootstrap, commands, events, store, threads, state, log, options=options)
        try:
            peer.wait_until_running(process, log)
            running_at = time.monotonic()
            half_at, half_count = wait_for_outcomes(bootstrap, events, claim_count)
            ended_at = time.monotonic()
            cpu_seconds = cpu_seconds_of(process.pid)
        finally:
            peer.stop(process)
        whole_per_second = claim_count / (ended_at - running_at)
        second_half_per_second = (claim_count - half_count) / (ended_at - half_at)
        cpu_seconds_per_million = cpu_seconds * 1_000_000 / claim_count
        return (
            f"{store}: {whole_per_second:,.0f} claims/s, second half {second_half_per_second:,.0f} claims/s, "
            f"CPU {cpu_seconds_per_million:.1f} s per million"
        )
    finally:
        delete_topics(bootstrap, (f"peer-measure-{run}", peer.application_id(state)))


def wait_for_outcomes(bootstrap: str, topic: str, count: int) -> tuple[float, int]:
    """Return once `count` records of the topic are visible to a read_committed reader.

    The result is the monotonic time at which half of them were, and how many were just then.
    """
    seen_count = 0
    half_at, half_count = 0.0, 0
    for messages in outcomes(bootstrap, topic, OUTCOME_TIMEOUT_SECONDS):
        seen_count += len(messages)
        if half_count == 0 and seen_count >= count / 2:
            half_at, half_count = time.monotonic(), seen_count
        if seen_count >= count:
            break
    return half_at, half_count


def cpu_seconds_of(process_id: int) -> float:
    """User and system time of a running process so far (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: list[str] | None = None) -> int:
    """Measure each store named; see the module."""
    parser = argparse.ArgumentParser(description="Measure the Kafka Streams peer.")
    parser.add_argument("--bootstrap", required=True, help="Kafka's bootstrap servers")
    parser.add_argument("--claims", type=int, default=500_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--store", action="append", choices=("rocksdb", "memory"), help="default: both in turn")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the peer")
    chosen = parser.parse_args(arguments)
    options = [word for setting in chosen.set for word in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="peer-measure-") as directory:
        for store in chosen.store or ("rocksdb", "memory"):
            print(measure(chosen.bootstrap, store, chosen.claims, chosen.threads, Path(directory), options), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
