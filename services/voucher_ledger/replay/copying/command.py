"""What `voucher-ledger replay copy` does."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka.admin import AdminClient

from voucher_ledger.produce.clients import known_topics, open_client
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.bounds import Bound
from voucher_ledger.replay.copying.copier import CLAIMS, Copier
from voucher_ledger.replay.copying.merge import Merge
from voucher_ledger.replay.copying.pairs import Pair, refusal, unnamed
from voucher_ledger.replay.copying.progress import first_left, learn, refuse_holes
from voucher_ledger.replay.copying.rewrite import Rewriter
from voucher_ledger.replay.copying.schedule import Schedule
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import Operation, recorded
from voucher_ledger.replay.reading import Span, open_reader, records, spans
from voucher_ledger.replay.result_words import value_in_words
from voucher_ledger.replay.transactions import Transactions
from voucher_ledger.replay.windows import NO_WINDOWS, ToolWindows
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.errors import asking_kafka
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings

# Each waits for Kafka most of its time, and reads a partition's tail.
SCANS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be copied, and how. `speed` 0 is as fast as it goes; `count_max` None is all of it."""

    name: str
    pairs: Sequence[Pair]
    since: Bound
    until: Bound
    partitions: frozenset[int]
    to_kafka: str | None
    target_cluster: str | None
    speed: float
    rate: float | None
    count_max: int | None
    campaign_prefix: str | None
    pseudonym_key: bytes | None
    original_times: bool


def run(
    settings: Settings,
    request: Request,
    *,
    apply: bool,
    reason: str | None,
    arguments: dict[str, Any],
    json: bool,
    windows: ToolWindows = NO_WINDOWS,
) -> int:
    """Copy (`apply`), or tell what would be copied.

    Returns:
        0 done. Raises Refused, Misnamed, Unread, Unreachable, NotSetUp, SessionLost, Fenced.
    """
    target = settings if request.to_kafka is None else settings.model_copy(update={"kafka": request.to_kafka})
    if not apply:
        cluster, parts = _may_be_copied(settings, target, request, apply=False)
        left = _left(settings, target, request, parts)
        _tell({**_outlook(settings, request, left), "target_cluster": cluster}, json)
        return ExitCode.DONE
    # Before anything is looked at: an attempt that is refused is in the journal too.
    with recorded(settings, "copy", reason, arguments) as operation:
        _, parts = _may_be_copied(settings, target, request, apply=True)
        _copy(settings, target, request, parts, operation, windows)
    _tell({"applied": True, **operation.result}, json)
    return ExitCode.DONE


def _may_be_copied(settings: Settings, target: Settings, request: Request, *, apply: bool) -> tuple[str, list[Span]]:
    """The target cluster's id, and what is to be copied. Raises Refused, Misnamed, Unreachable, NotSetUp."""
    cluster = _cluster_id(target)
    same = request.to_kafka is None or _cluster_id(settings) == cluster
    prefix, named = request.campaign_prefix, request.target_cluster
    told = refusal(request.pairs, same_cluster=same, campaign_prefix=prefix)
    if told is None and (named is not None or (apply and not same)):
        told = unnamed(request.pairs, cluster=cluster, named=named, campaign_prefix=prefix)
    if told is not None:
        raise Refused(told)
    return cluster, _parts(settings, target, request)


def _copy(
    settings: Settings,
    target: Settings,
    request: Request,
    parts: list[Span],
    operation: Operation,
    windows: ToolWindows,
) -> None:
    # The producer first: it settles what was left open.
    with Transactions(target, f"copy-{request.name}", windows) as producer:
        rewriter = Rewriter(request.name, request.campaign_prefix or "", request.pseudonym_key)
        schedule = Schedule(request.speed, time.monotonic)
        copier = Copier(
            producer, dict(request.pairs), rewriter, schedule, Pace(request.rate, time.monotonic),
            original_times=request.original_times,
        )  # fmt: skip
        left = _left(settings, target, request, parts)
        claims = next((pair for pair in request.pairs if pair.source == CLAIMS), None)
        if claims is not None and left != parts:
            learn(target, claims, request.name, rewriter.vouchers)
        with Bar("copying", sum(part.end - part.start for part in left)) as bar:
            for count in copier.run(Merge(settings, left), request.count_max):
                operation.result["copied"] = count
                bar.update(count)
        operation.result.update(
            by_topic=dict(copier.copied.by_topic), left_out=copier.copied.rehearsals, blanked=rewriter.blanked,
            header_names_unreadable=copier.copied.names_unreadable,
            late_seconds_max=round(schedule.late_seconds_max, 3),
        )  # fmt: skip


def _parts(settings: Settings, target: Settings, request: Request) -> list[Span]:
    """What is to be copied, copied or not. Raises Refused where a target has fewer partitions than its source."""
    consumer = open_reader(target)
    try:
        known = known_topics(consumer, target.kafka, [pair.target for pair in request.pairs])
    finally:
        consumer.close()
    parts: list[Span] = []
    for pair in request.pairs:
        found = spans(settings, pair.source, request.partitions or None, request.since, request.until)
        there = len(known[pair.target].partitions)
        needed = _partitions(settings, pair.source)
        if there < needed:
            raise Refused(
                f"{pair.target} has {there} partitions, {pair.source} has {needed}: a copy lies in the partition "
                "of its original, so that the order is kept"
            )
        parts += found
    return parts


def _left(settings: Settings, target: Settings, request: Request, parts: list[Span]) -> list[Span]:
    """What of `parts` is not copied yet: the rest of each. Raises Refused where more than the rest is not."""
    by_source = {pair.source: pair for pair in request.pairs}
    left: list[Span] = []
    with ThreadPoolExecutor(SCANS_AT_ONCE) as scans:
        starts = list(scans.map(lambda part: first_left(target, by_source[part.topic], part, request.name), parts))
    for part, start in zip(parts, starts, strict=True):
        if start > part.start:
            done = Span(part.topic, part.partition, part.start, min(start, part.end))
            refuse_holes(settings, target, by_source[part.topic], done, request.name)
        if start < part.end:
            left.append(Span(part.topic, part.partition, start, part.end))
    return left


def _outlook(settings: Settings, request: Request, parts: list[Span]) -> dict[str, Any]:
    """What a copy of `parts` would be: records at most, since offsets have gaps; by their times, how long it takes."""
    # A few records of each end, not one, since offsets have gaps.
    heads = [Span(part.topic, part.partition, part.start, min(part.end, part.start + 10)) for part in parts]
    tails = [Span(part.topic, part.partition, max(part.start, part.end - 10), part.end) for part in parts]
    edges = [int(record.timestamp()[1]) for edge in (heads, tails) for record in records(settings, edge)]
    seconds = (max(edges) - min(edges)) / 1_000 if edges else 0.0
    return {
        "applied": False,
        "records_max": sum(part.end - part.start for part in parts),
        "by_topic": {
            pair.source: sum(part.end - part.start for part in parts if part.topic == pair.source)
            for pair in request.pairs
        },
        "original_seconds": round(seconds, 3),
        "copy_seconds": round(seconds / request.speed, 3) if request.speed else None,
    }  # fmt: skip


def _partitions(settings: Settings, topic: str) -> int:
    with closing(open_reader(settings)) as consumer:
        return len(known_topics(consumer, settings.kafka, [topic])[topic].partitions)


def _cluster_id(settings: Settings) -> str:
    admin = open_client(AdminClient, admin_config(settings))
    with asking_kafka(settings.kafka):
        return str(admin.describe_cluster(request_timeout=REQUEST_SECONDS_MAX).result().cluster_id)


def _tell(document: dict[str, Any], json: bool) -> None:
    if json:
        print(orjson.dumps(document).decode())
        return
    for name, value in document.items():
        if name != "applied":
            print(f"{name:<24} {value_in_words(name, value)}")
    print("done" if document["applied"] else "a dry run: --apply --reason WHY does it")
