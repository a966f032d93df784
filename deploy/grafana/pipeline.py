"""*Pipeline*: partitions, positions, fences, outbox; the processes; the monitor."""

from typing import Any

from grafana_foundation_sdk.builders import prometheus

from deploy.grafana.board import (
    SqlQuery,
    alarming,
    board,
    curves,
    figure,
    promql,
    promql_now,
    room_variable,
    rows,
    running_out,
)  # fmt: skip

_ROOM = 'room=~"$room"'
_RATE = "[$__rate_interval]"


def build() -> dict[str, Any]:
    """The dashboard as JSON."""
    panels = [*_processes(), *_partitions(), *_batches(), *_troubles(), *_machine(), *_monitor()]
    about = "Whether each partition moves, who holds it, and what waits to be published."
    return board("pipeline", "Pipeline", about, panels, [room_variable()])


def _processes() -> list[Any]:
    return [
        figure(
            "Processes ready", "short", 4, promql_now(f"sum(voucher_ledger_ready{{{_ROOM}}})"), steps=running_out(1, 5),
            runbook="Process not ready",
        ),
        figure(
            "Ledger read", "bool_yes_no", 4, promql_now("max(voucher_ledger_ledger_read_up)"), steps=running_out(0, 1),
            runbook="Ledger not read", none="nobody reads it",
        ),
        figure(
            "Campaigns unnamed", "short", 4, promql_now("max(voucher_ledger_unnamed_campaigns)"),
            about="Campaigns that run and are among `other` in the metrics of the ledger.",
            steps=((None, "green"), (1, "orange")), runbook="Campaigns unnamed",
        ),
        figure(
            "Commands decided", "short", 4, promql_now("sum(voucher_ledger_ledger_decided_total)"),
            about="Since the ledger was made.",
        ),
        figure(
            "Dead letters", "short", 4, promql_now("sum(voucher_ledger_ledger_dead_lettered_total)"),
            about="Since the ledger was made.", steps=((None, "green"), (1, "orange")), runbook="Dead letters",
        ),
        rows("Versions", 4, promql_now("count by (version, python) (voucher_ledger_build_info)"), height=4),
    ]  # fmt: skip


def _partitions() -> list[Any]:
    each = "{{topic}}/{{partition}}"
    return [
        curves(
            "Lag in records", "short", 8, promql("voucher_ledger_lag_records", each),
            about="From the ledger's position. A producer's transaction markers count until a record follows.",
        ),
        curves("Lag in seconds", "s", 8, promql("voucher_ledger_lag_seconds", each), steps=alarming(5, 15)),
        curves(
            "Positions move", "ops", 8, promql("deriv(voucher_ledger_position_offset[1m])", each),
            about="Offsets decided a second. 0 with lag is a stuck position.",
        ),
        curves("Epochs", "short", 8, promql("voucher_ledger_position_epoch", each), about="Each step is a takeover."),
        curves("Outbox, records", "short", 8, promql("voucher_ledger_outbox_records", "{{topic}}")),
        curves("Outbox, batches", "short", 8, promql("voucher_ledger_outbox_batches", "{{topic}}")),
        rows(
            "Positions", 24,
            SqlQuery("""
SELECT p.topic, p.partition, p.instance, p.epoch, p.next_offset, p.decided, p.dead_lettered, p.record_time,
       count(o.first_offset) AS outbox_batches, min(o.first_offset) AS published_up_to
FROM ledger.position p LEFT JOIN ledger.outbox o USING (topic, partition)
GROUP BY p.topic, p.partition, p.instance, p.epoch, p.next_offset, p.decided, p.dead_lettered, p.record_time
ORDER BY p.topic, p.partition"""),
            about="published_up_to is the first offset that waits in the outbox; empty where nothing does.", height=9,
        ),
    ]  # fmt: skip


def _batches() -> list[Any]:
    stage, batch = "voucher_ledger_stage_seconds", "voucher_ledger_batch_records"
    records, batches = (f"sum by (room) (rate({batch}_{what}{{{_ROOM}}}{_RATE}))" for what in ("sum", "count"))
    commit = "voucher_ledger_record_to_commit_seconds_bucket"
    return [
        curves(
            "Commands decided", "ops", 8, promql("voucher_ledger:commands:rate1m", "{{room}}"), stacked=True
        ),
        curves(
            "Events published", "ops", 8,
            promql(f"sum by (room) (rate(voucher_ledger_events_published_total{{{_ROOM}}}{_RATE}))", "{{room}}"),
            stacked=True,
        ),
        curves(
            "Records in a batch, mean", "short", 8,
            promql(f"{records} / {batches}", "{{room}}"),
        ),
        curves(
            "Stages of a batch, 99 % within", "s", 8,
            promql(
                f"histogram_quantile(0.99, sum by (le, room, stage) (rate({stage}_bucket{{{_ROOM}}}{_RATE})))",
                "{{room}} {{stage}}",
            ),
        ),
        curves(
            "Record to commit, 99 % within", "s", 8,
            promql(
                f"histogram_quantile(0.99, sum by (le, room) (rate({commit}{{{_ROOM}}}{_RATE})))", "{{room}}"
            ),
        ),
        curves(
            "Batches that wait to be published", "short", 8,
            promql(f"voucher_ledger_publish_queue_batches{{{_ROOM}}}", "{{room}} {{instance}}"),
            about="Deciding waits at VOUCHER_LEDGER_PUBLISH_BATCHES_MAX.", steps=alarming(3, 4),
        ),
    ]  # fmt: skip


def _troubles() -> list[Any]:
    def counted(metric: str, *labels: str) -> prometheus.Dataquery:
        legend = " ".join(f"{{{{{label}}}}}" for label in ("room", *labels))
        by = ", ".join(("room", *labels))
        return promql(f"sum by ({by}) (increase({metric}{{{_ROOM}}}[$__rate_interval]))", legend)

    return [
        curves("Sessions lost", "short", 6, counted("voucher_ledger_sessions_lost_total", "cause")),
        curves("Partitions taken over", "short", 6, counted("voucher_ledger_partitions_taken_over_total")),
        curves(
            "Producers made, batches republished", "short", 6, counted("voucher_ledger_producers_made_total"),
            counted("voucher_ledger_batches_republished_total"),
        ),
        curves("Batches decided again", "short", 6, counted("voucher_ledger_batches_decided_again_total", "cause")),
        curves("Dead letters by reason", "short", 12, counted("voucher_ledger_dead_letters_total", "reason")),
        curves(
            "Latency objective, share answered late", "percentunit", 6,
            promql("voucher_ledger:answered_late:ratio_rate5m", "{{room}} 5 minutes"),
            promql("voucher_ledger:answered_late:ratio_rate30m", "{{room}} 30 minutes"), steps=alarming(0.03, 0.144),
        ),
        curves(
            "Lag objective, share of time behind", "percentunit", 6,
            promql("voucher_ledger:lagging:ratio_avg5m", "{{topic}} 5 minutes"),
            promql("voucher_ledger:lagging:ratio_avg30m", "{{topic}} 30 minutes"), steps=alarming(0.03, 0.144),
        ),
    ]  # fmt: skip


def _machine() -> list[Any]:
    each, job = "{{room}} {{instance}}", '{job="voucher-ledger"}'
    named = "* on (instance) group_left (room) voucher_ledger_ready ^ 0"
    return [
        curves("CPU", "percentunit", 8, promql(f"rate(process_cpu_seconds_total{job}{_RATE}) {named}", each)),
        curves("Memory", "bytes", 8, promql(f"process_resident_memory_bytes{job} {named}", each)),
        curves(
            "Garbage collections", "ops", 8,
            promql(f"sum by (instance, generation) (rate(python_gc_collections_total{job}{_RATE}))",
                   "{{instance}} generation {{generation}}"),
        ),
    ]  # fmt: skip


def _monitor() -> list[Any]:
    prefix = "voucher_ledger_monitor"
    return [
        figure(
            "Monitor ready", "bool_yes_no", 3, promql_now(f"max({prefix}_ready)"), steps=running_out(0, 1),
            runbook="Monitor behind", none="does not answer",
        ),
        figure(
            "Its ledger reading is old", "s", 3,
            promql_now(f"time() - max({prefix}_ledger_reading_timestamp_seconds)"), steps=alarming(10, 30),
        ),
        figure(
            "Rollups it waits for", "short", 3, promql_now(f"max({prefix}_demand_lag_records)"),
            steps=alarming(500, 1_000), runbook="Monitor behind",
        ),
        figure("Late rows", "short", 3, promql_now(f"max({prefix}_late_rows_total)")),
        curves(
            "Rollups the monitor reads", "ops", 6,
            promql(f"sum by (result) (rate({prefix}_records_total{_RATE}))", "{{result}}"),
            promql(f"sum(rate({prefix}_rows_total{_RATE}))", "rows"), height=4,
        ),
        curves(
            "Demand is known up to", "s", 6, promql(f"time() - {prefix}_as_of_timestamp_seconds", "{{campaign}}"),
            about="How old the newest second of demand is.", height=4,
        ),
    ]  # fmt: skip
