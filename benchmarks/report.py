"""The results as tables for people."""

from rich.console import Console
from rich.table import Table

from benchmarks import latency, steps
from benchmarks.plan import MANY_CAMPAIGNS
from benchmarks.results import median_cpu, median_per_second, ratio, rules_ratios
from benchmarks.suite import PROCESSES, Findings
from benchmarks.throughput import Round

TITLES = {
    "claims": f"claims, {PROCESSES} processes",
    "claims_1_process": "claims, 1 process",
    "claims_sold_out": "claims, 99 % sold out",
    "claims_many_campaigns": f"claims, {MANY_CAMPAIGNS} campaigns",
    "queued": "claims that wait",
    "admitted": "admissions, sweeper included",
    "orders": f"orders, {PROCESSES} processes",
    "payments": f"payments, {PROCESSES} processes",
    "kafka_streams_rocksdb": "Kafka Streams, RocksDB",
    "kafka_streams_memory": "Kafka Streams, memory",
    "row_at_a_time": "a row at a time",
}
STEPS = {
    "parse_json_alone": "parse JSON (a part of the next)",
    "decode_and_validate": "decode and validate",
    "load": "load its part of the books",
    "decide_and_evolve": "decide and evolve",
    "encode_events": "encode the event",
    "write": "write voucher, transfer and balances",
    "compress_outbox": "compress for the outbox",
}


def show(console: Console, findings: Findings) -> None:
    """Print a table for each kind of measurement that was made."""
    if findings.rounds:
        console.print(_throughput(findings))
        console.print(_cpu(findings))
        if (found := ratio(findings)) is not None:
            console.print(f"Claims: ours / Kafka Streams (RocksDB) = [bold]{found:.2f}[/bold]")
        for title, share in rules_ratios(findings).items():
            console.print(f"{title} = [bold]{share:.2f}[/bold]")
    if findings.latencies:
        console.print(_latency(findings.latencies))
        console.print(_stages(findings.latencies))
        console.print(_cores(findings.latencies))
    if findings.steps:
        console.print(_steps(findings.steps))


def _throughput(findings: Findings) -> Table:
    table = _table("Records a second, from topic to published events", "", "median", "min", "max", "MiB")
    table.caption = "MiB: the most memory that one of its processes had resident."
    for title, rounds in _titled(findings):
        rates = [measured.per_second for measured in rounds]
        peak_mib = max(max(measured.resident_peak_mib) for measured in rounds)
        table.add_row(
            title, *(f"{figure:,.0f}" for figure in (median_per_second(rounds), min(rates), max(rates), peak_mib))
        )
    return table


def _cpu(findings: Findings) -> Table:
    table = _table("CPU seconds for a million records", "", "Python/Java", "Kafka", "Postgres", "elsewhere")
    table.caption = "Medians. Elsewhere: the benchmark itself, and whatever else ran."
    for title, rounds in _titled(findings):
        spent = median_cpu(rounds)
        table.add_row(title, *(f"{spent[name]:.2f}" for name in ("own", "kafka", "postgres", "elsewhere")))
    return table


def _titled(findings: Findings) -> list[tuple[str, list[Round]]]:
    return [(title, findings.rounds[label]) for label, title in TITLES.items() if label in findings.rounds]


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _latency(latencies: list[latency.Latency]) -> Table:
    title = f"Milliseconds from produce() to the event read, at {latency.CLAIMS_PER_SECOND:,} claims a second"
    table = _table(title, "", "median", "99 %", "99.9 %", "max", "sender late")
    table.caption = "Sender late: how far behind its schedule the sender of the claims ever was."
    for found in latencies:
        figures = [found.milliseconds[name] for name in ("median", "p99", "p999", "max")]
        late = found.sender_late_max_milliseconds
        table.add_row(found.who, *(f"{figure:.1f}" for figure in (*figures, late)))
    return table


def _stages(latencies: list[latency.Latency]) -> Table:
    table = _table("Medians of its parts", "", "to the topic", "to the decision", "to the reader")
    for found in latencies:
        if not found.stage_median_milliseconds:
            continue
        parts = (found.stage_median_milliseconds[name] for name in ("to_topic", "to_decision", "to_reader"))
        table.add_row(found.who, *(f"{part:.1f}" for part in parts))
    return table


def _cores(latencies: list[latency.Latency]) -> Table:
    table = _table("Cores used meanwhile", "", "own", "Kafka", "Postgres", "elsewhere")
    for found in latencies:
        used = (found.cores_used[name] for name in ("own", "kafka", "postgres", "elsewhere"))
        table.add_row(found.who, *(f"{cores:.2f}" for cores in used))
    return table


def _steps(found: dict[str, steps.Step]) -> Table:
    table = _table("Nanoseconds for a claim, step by step", "", "Python's CPU", "until done")
    for name, title in STEPS.items():
        table.add_row(title, f"{found[name].cpu_nanoseconds:,.0f}", f"{found[name].elapsed_nanoseconds:,.0f}")
    return table
