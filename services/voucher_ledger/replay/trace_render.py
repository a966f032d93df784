"""A trace as people and programs read it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from voucher_ledger.core.clock import rfc3339, rfc3339_of
from voucher_ledger.core.wording import counted
from voucher_ledger.produce.layouts import Fitting, Rows
from voucher_ledger.replay.printing import json_text
from voucher_ledger.replay.trace import Step, Trace
from voucher_ledger.replay.trace_subject import ON_TOPICS_ONLY, Row

# What the first column of a line already says, or nobody asks for.
_UNSAID = frozenset(["command_id", "duplicate"])
_COLUMNS = {
    "vouchers": ["voucher_id", "user_id", "campaign_id", "state", "face_value_minor", "granted_at", "expires_at"],
    "orders": ["order_id", "voucher_id", "state", "category", "amount_minor", "discount_minor", "expires_at"],
    "waiting": ["campaign_id", "partition", "queue_position", "queued_at"],
    "payments": ["payment_id", "order_id", "state", "paid_minor", "discount_minor", "refunded_minor", "settled_at"],
}


def to_json(trace: Trace) -> str:
    """One JSON object: the rows, and the steps with their records."""
    subject = trace.subject
    return json_text(
        {
            "kind": subject.kind,
            "key": subject.key,
            "vouchers": subject.vouchers,
            "orders": subject.orders,
            "payments": subject.payments,
            "waiting": subject.waiting,
            "steps": [
                {
                    "cause": "/".join(map(str, step.cause)),
                    "command": step.command,
                    "command_time": _moment(step.command_time_ms),
                    "transfers": step.transfers,
                    "event": step.event,
                    "published_at": _moment(step.published_ms),
                    "notes": step.notes,
                }
                for step in trace.steps
            ],
            "left_out": trace.left_out,
        }
    )


def show(trace: Trace, console: Console) -> None:
    """Print what the ledger holds now, and below it what happened, in the order of the commands' times."""
    subject = trace.subject
    for title, columns in _COLUMNS.items():
        rows: Iterable[Row] = getattr(subject, title)
        if rows:
            console.print(_table(f"{title} now", rows, columns))
    if not trace.steps and not trace.scanned:
        console.print(f"nothing moved; {ON_TOPICS_ONLY}", highlight=False)
    else:
        console.print(_steps(trace))
    if trace.left_out:
        console.print(f"{counted(trace.left_out, 'more command')} left out: see --max", highlight=False)


def _steps(trace: Trace) -> Fitting:
    title = f"what happened to {trace.subject.kind} {trace.subject.key}"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("when", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("how")
    for step in trace.steps:
        for line in _lines(step):
            table.add_row(*(escape(part) for part in line))
        table.add_section()
    columns = ("when", "what", "how")
    rows = [dict(zip(columns, line, strict=True)) for step in trace.steps for line in _lines(step)]
    return Fitting(table, Group(Text(title, style="table.title"), Rows(rows, columns[:2], below=[columns[2:]])))


def _lines(step: Step) -> Iterable[tuple[str, str, str]]:
    cause = "/".join(map(str, step.cause))
    if step.command is not None:
        data = _data(step.command)
        yield _moment(step.command_time_ms) or "", f"command {step.command.get('type')}", f"{cause}: {data}"
    else:
        yield _moment(step.command_time_ms) or "", "command", f"{cause}: its record says nothing that can be read"
    for row in step.transfers:
        accounts = f"moved {row['debit_role']} → {row['credit_role']}"
        yield rfc3339_of(row["at"]), accounts, f"{row['vouchers']} voucher, {row['amount_minor']:,} minor units"
    if step.event is not None:
        again = ", a duplicate" if "duplicate" in step.event.get("data", {}) else ""
        yield (
            _moment(step.published_ms) or "",
            f"event {step.event.get('type')}{again}",
            _data(step.event, step.command),
        )
    for note in step.notes:
        yield "", "note", note


def _data(envelope: dict[str, Any], said: dict[str, Any] | None = None) -> str:
    """The fields of a record's data; of an event those that its command (`said`) has not said already."""
    fields, known = _fields(envelope), _fields(said or {})
    new = {name: value for name, value in fields.items() if name not in _UNSAID and known.get(name) != value}
    return ", ".join(f"{name} {value}" for name, value in new.items())


def _fields(envelope: dict[str, Any]) -> dict[str, Any]:
    data = envelope.get("data")
    return data if isinstance(data, dict) else {}


def _table(title: str, rows: Iterable[Row], columns: Sequence[str]) -> Fitting:
    """A row a line; where one is wider than the terminal, a line for each of its fields."""
    table = Table(title=title, title_justify="left")
    fields = Table.grid(padding=(0, 2))
    fields.title, fields.title_justify = title, "left"
    fields.add_column(no_wrap=True)
    fields.add_column(overflow="fold")
    for column in columns:
        table.add_column(column, justify="right" if column.endswith("_minor") else "left", no_wrap=True)
    for row in rows:
        told = [escape(_shown(row[column])) for column in columns]
        table.add_row(*told)
        for column, value in zip(columns, told, strict=True):
            fields.add_row(column, value)
        fields.add_row()
    return Fitting(table, fields)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return rfc3339_of(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms)
