"""`python -m benchmarks`: measures the ledger and its peers on a cluster of its own, prints tables and writes JSON."""

import argparse
import signal
import sys
import time
from pathlib import Path

import orjson
import psycopg
from confluent_kafka import KafkaException
from rich.console import Console

from benchmarks import machine, report, results
from benchmarks.contestants import ContestantFailed
from benchmarks.peers.kafka_streams import peer
from benchmarks.plan import CLAIMS_FULL, CLAIMS_QUICK, PARTS, ROUNDS_FULL, ROUNDS_QUICK, Plan
from benchmarks.suite import Suite
from benchmarks.world import servers
from voucher_ledger.dev.errors import EmbeddedServerError
from voucher_ledger.runtime.errors import NotSetUp, Unreachable

RESULTS = Path(__file__).resolve().parent / "results.json"
INTERRUPTED = 130
FAILURES = (
    ContestantFailed,
    EmbeddedServerError,
    KafkaException,
    NotSetUp,
    RuntimeError,
    TimeoutError,
    Unreachable,
    peer.PeerError,
    psycopg.Error,
)


def plan_of(arguments: list[str] | None) -> Plan:
    """The plan of the command line; ends the program where that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer claims and rounds: under five minutes")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--claims", type=int, help=f"for each measurement ({CLAIMS_FULL:,}; quick: {CLAIMS_QUICK:,})")
    parser.add_argument("--rounds", type=int, help=f"({ROUNDS_FULL}; quick: {ROUNDS_QUICK})")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes (benchmarks/results.json)")
    given = parser.parse_args(arguments)
    claims = given.claims if given.claims is not None else CLAIMS_QUICK if given.quick else CLAIMS_FULL
    rounds = given.rounds if given.rounds is not None else ROUNDS_QUICK if given.quick else ROUNDS_FULL
    if claims < 1_000 or rounds < 1:
        parser.error("--claims must be at least 1000 and --rounds at least 1")
    return Plan(given.quick, given.only, claims, rounds, given.output)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; exit code 0 when all was measured and every answer was right."""
    plan = plan_of(arguments)
    console, progress = Console(), Console(stderr=True)
    # As Ctrl-C does: whatever runs is stopped on the way out, and the cluster removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measure(plan, console, progress)
    except KeyboardInterrupt:
        progress.print("interrupted: the cluster is stopped and removed")
        return INTERRUPTED
    except FAILURES as error:
        progress.print(f"error: {error}", markup=False)
        return getattr(error, "exit_code", 1)
    return 0


def measure(plan: Plan, console: Console, progress: Console) -> None:
    """Measure, show, write."""
    start = time.monotonic()

    def tell(line: str) -> None:
        progress.print(f"{time.monotonic() - start:6.1f} s  {line}", markup=False, highlight=False)

    if plan.wants("peers"):
        tell("building the Kafka Streams peer, where its sources changed")
        peer.build()
    tell("starting Kafka and Postgres")
    with servers() as running:
        description = machine.describe(running)
        if machine.is_busy(description):
            tell(f"this machine is busy (load {description['load_average_at_start']}): the figures will be too low")
        findings = Suite(plan, running, tell).run()
    document = results.to_json(plan, description, findings, time.monotonic() - start)
    report.show(console, findings)
    plan.output.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    console.print(f"{plan.output} has it all, each round's figures included")


if __name__ == "__main__":
    sys.exit(main())
