"""The results as one JSON object, whose shape benchmarks/README.md describes."""

import statistics
from dataclasses import asdict
from typing import Any

from benchmarks.plan import Plan
from benchmarks.suite import PROCESSES, Findings
from benchmarks.throughput import Round


def to_json(plan: Plan, machine: dict[str, Any], findings: Findings, took_seconds: float) -> dict[str, Any]:
    """Everything that was measured; a part that was not is null."""
    summaries = {label: summary(rounds) for label, rounds in findings.rounds.items()}
    ours, streams = summaries.get("claims"), summaries.get("kafka_streams_rocksdb")
    return {
        "machine": machine,
        "plan": {"quick": plan.quick, "only": plan.only, "claims": plan.claims, "rounds": plan.rounds},
        "took_seconds": round(took_seconds, 1),
        "claims": {
            "ours_per_second": ours and ours["per_second"]["median"],
            "kafka_streams_per_second": streams and streams["per_second"]["median"],
            "ratio_to_kafka_streams": ratio(findings),
            f"with_{PROCESSES}_processes": ours,
            "with_1_process": summaries.get("claims_1_process"),
            "sold_out": summaries.get("claims_sold_out"),
            "kafka_streams_rocksdb": streams,
            "kafka_streams_memory": summaries.get("kafka_streams_memory"),
            "row_at_a_time": summaries.get("row_at_a_time"),
            "steps": {name: asdict(step) for name, step in findings.steps.items()} or None,
        },
        "rules": {
            "many_campaigns": summaries.get("claims_many_campaigns"),
            "queued": summaries.get("queued"),
            "admitted": summaries.get("admitted"),
            **rules_ratios(findings),
        },
        "orders": summaries.get("orders"),
        "payments": summaries.get("payments"),
        "latency": [asdict(found) for found in findings.latencies] or None,
    }


def ratio(findings: Findings) -> float | None:
    """Our claims a second over those of Kafka Streams with RocksDB, by their medians; None where one is missing."""
    ours, streams = findings.rounds.get("claims"), findings.rounds.get("kafka_streams_rocksdb")
    if not ours or not streams:
        return None
    return round(median_per_second(ours) / median_per_second(streams), 3)


def rules_ratios(findings: Findings) -> dict[str, float]:
    """What the campaign rules are held to, by their titles: those that were measured."""
    rounds, found = findings.rounds, {}
    if "claims" in rounds and "claims_many_campaigns" in rounds:
        hot, many = (median_per_second(rounds[label]) for label in ("claims", "claims_many_campaigns"))
        found["claims of one campaign / of many"] = round(hot / many, 3)
    if "claims" in rounds and "admitted" in rounds:
        admitted, claimed = (median_per_second(rounds[label]) for label in ("admitted", "claims"))
        found["admissions / claims"] = round(admitted / claimed, 3)
    if findings.lease_draws_per_thousand_claims:
        found["lease draws for 1,000 claims"] = round(statistics.median(findings.lease_draws_per_thousand_claims), 3)
    return found


def median_per_second(rounds: list[Round]) -> float:
    """Of all rounds."""
    return statistics.median(measured.per_second for measured in rounds)


def median_cpu(rounds: list[Round]) -> dict[str, float]:
    """CPU seconds a million records, by who spent them."""
    return {
        name: round(statistics.median(each.per_million(getattr(each.cost, name)) for each in rounds), 2)
        for name in ("own", "kafka", "postgres", "elsewhere", "stolen")
    }


def summary(rounds: list[Round]) -> dict[str, Any]:
    """The rounds of one label: minimum, median and maximum, and each round's own figures."""
    rates = [measured.per_second for measured in rounds]
    return {
        "records": rounds[0].records,
        "runtime": rounds[0].runtime,
        "per_second": {"min": round(min(rates)), "median": round(statistics.median(rates)), "max": round(max(rates))},
        "cpu_seconds_per_million": {_named(name, rounds[0]): value for name, value in median_cpu(rounds).items()},
        "resident_peak_mib": round(max(max(measured.resident_peak_mib) for measured in rounds), 1),
        "rounds": [_round(measured) for measured in rounds],
    }


def _round(measured: Round) -> dict[str, Any]:
    return {
        "per_second": round(measured.per_second),
        "per_second_from_release": round(measured.records / measured.seconds_from_release),
        "seconds": round(measured.seconds, 3),
        "cpu_seconds": {
            _named(name, measured): round(getattr(measured.cost, name), 2)
            for name in ("own", "kafka", "postgres", "elsewhere", "stolen")
        },
        "resident_peak_mib": [round(peak, 1) for peak in measured.resident_peak_mib],
    }


def _named(name: str, measured: Round) -> str:
    """What the contestant itself spends goes by its language."""
    return measured.runtime if name == "own" else name
