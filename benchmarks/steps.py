"""What each step of a claim costs: the claims room called in this process, a batch at a time, on the real database."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import zstandard

from benchmarks import traffic
from benchmarks.world import World
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.records import Command, Event
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.outbox import COMPRESSION_LEVEL

BATCH = 5_000
BATCHES = 12
# Statements are prepared and the lease is drawn in the first batches.
BATCHES_NOT_COUNTED = 3
CLAIMS = BATCH * BATCHES
PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class Step:
    """Nanoseconds a claim, medians over batches: of this process's CPU, and until the step was done, which for the
    steps that speak to Postgres includes waiting for it.
    """

    cpu_nanoseconds: float
    elapsed_nanoseconds: float


@dataclass(slots=True)
class _Stopwatch:
    taken: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        cpu, elapsed = time.thread_time_ns(), time.perf_counter_ns()
        yield
        spent = (time.thread_time_ns() - cpu, time.perf_counter_ns() - elapsed)
        self.taken.setdefault(name, []).append(spent)

    def steps(self) -> dict[str, Step]:
        """The medians of the batches that count."""
        found = {}
        for name, batches in self.taken.items():
            cpu, elapsed = zip(*batches[BATCHES_NOT_COUNTED:], strict=True)
            found[name] = Step(statistics.median(cpu) / BATCH, statistics.median(elapsed) / BATCH)
        return found


def measure(world: World) -> dict[str, Step]:
    """The steps in their order, on a campaign with at least CLAIMS vouchers; all claims are granted."""
    stopwatch = _Stopwatch()
    room = ClaimsRoom(PARTITIONS)
    decoder = CommandDecoder(room.command_topic)
    encode = encoder(room.name, room.command_topic, 0)
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
    records = list(traffic.claims(CLAIMS))
    time_ms = time.time_ns() // 1_000_000
    with postgres.connect(world.settings.postgres, application="steps", batch=True) as connection:
        for start in range(0, CLAIMS, BATCH):
            batch = records[start : start + BATCH]
            with stopwatch.step("parse_json_alone"):
                for _, value in batch:
                    orjson.loads(value)
            with stopwatch.step("decode_and_validate"):
                commands = []
                for offset, (key, value) in enumerate(batch, start):
                    decoded = decoder.decode(value, key)
                    commands.append(Command(decoded.type, decoded.id, decoded.data, 0, offset, time_ms))
            with connection.transaction():
                with stopwatch.step("load"):
                    state = room.prepare(connection, commands, lock=False)
                    room.load(connection, state, commands, lock=False)
                events: list[Event] = []
                with stopwatch.step("decide_and_evolve"):
                    for command in commands:
                        event = room.decide(state, command)
                        room.evolve(state, command, event)
                        events.append(event)
                with stopwatch.step("encode_events"):
                    encoded = [encode(event, command) for event, command in zip(events, commands, strict=True)]
                with stopwatch.step("write"):
                    room.write(connection, state)
                with stopwatch.step("compress_outbox"):
                    compressor.compress(b"\n".join(encoded))
            assert all(event.type == "voucher.granted" for event in events), "only grants are to be measured"
    return stopwatch.steps()
