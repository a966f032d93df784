"""A what-if as people read it: a table a campaign, and below it what the figures do not say."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from voucher_ledger.produce.layouts import Fitting, Rows
from voucher_ledger.replay.what_if.differences import in_words
from voucher_ledger.replay.what_if.report import BASELINE, CHANGED, RECORDED, Report, counts, shown
from voucher_ledger.replay.what_if.tally import Figures

_HEADINGS = {RECORDED: "recorded", BASELINE: "decided again", CHANGED: "changed rules"}
_WHAT, _DIFFERENCE = "what", "difference"
_SECTIONS = ("claims_refused", "orders_refused", "payments_refused", "by_category", "by_city_tier")
_NAMES = {
    "claims_refused": "claim refused", "orders_refused": "order refused", "payments_refused": "payment refused",
    "by_category": "category", "by_city_tier": "city tier", "granted": "vouchers granted", "queued": "claims queued",
    "expired": "vouchers expired", "orders": "orders reserved", "orders_cancelled": "orders cancelled",
    "orders_expired": "orders expired", "settled": "payments settled", "refunded": "refunds",
    "spend_minor": "spend, minor units", "paid_minor": "paid by users, minor units",
    "found_nothing_at": "first claim without a card", "sold_out_at": "sold out", "granted_last_at": "last card granted",
}  # fmt: skip
_DIFFERENCES_SHOWN_MAX = 20
# Before the difference of a row whose replay under the recorded rules is not what was recorded.
_INEXACT = "~"


def show(report: Report, console: Console) -> None:
    """Print the tables and the notes."""
    for campaign_id in report.campaign_ids():
        console.print(_table(report, campaign_id))
        _show_inexact(report, campaign_id, console)
    for note in report.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)
    for failed in report.audits_failed:
        console.print(f"[red]audit of a sandbox failed[/]: {escape(failed)}", soft_wrap=True, highlight=False)
    _show_check(report, console)


def _show_inexact(report: Report, campaign_id: str, console: Console) -> None:
    """The footnote of the rows that are marked: else a manager reads what the replay lost as what the rules bring."""
    found = {name: one for name, one in report.differences.get(campaign_id, {}).items() if one.by_replay}
    marked = [name for name in _rows({"all": dict.fromkeys(found, 1)}) if name in found]
    for name in marked[:_DIFFERENCES_SHOWN_MAX]:
        console.print(f"{_INEXACT} {escape(_row_name(name))}: {in_words(found[name])}", soft_wrap=True, highlight=False)
    if len(marked) > _DIFFERENCES_SHOWN_MAX:
        more = len(marked) - _DIFFERENCES_SHOWN_MAX
        console.print(f"{_INEXACT} and {more:,} more rows: see `differences` of --json", highlight=False)


def _show_check(report: Report, console: Console) -> None:
    differing = report.differing
    if not differing:
        console.print("[green]decided again under the recorded rules, every count is as it was recorded[/]")
        return
    count = sum(len(found) for found in differing.values())
    differ = "count differs" if count == 1 else "counts differ"
    console.print(f"[yellow]{count:,} {differ} between what was recorded and what was decided again[/]:")
    if CHANGED in report.sides:
        console.print(f"  they are the rows marked {_INEXACT}", highlight=False)
    else:
        _show_differing(differing, count, console)
    console.print(
        "That night each room and partition decided at its own pace; here all go by record time (docs/OPERATIONS.md "
        "says what may differ).",
        soft_wrap=True,
        highlight=False,
    )


def _show_differing(differing: dict[str, dict[str, tuple[int, int]]], count: int, console: Console) -> None:
    shown_lines = [
        f"  {campaign_id or 'no campaign known'}: {name}: recorded {one:,}, decided again {other:,}"
        for campaign_id, found in differing.items()
        for name, (one, other) in found.items()
    ]
    for line in shown_lines[:_DIFFERENCES_SHOWN_MAX]:
        console.print(escape(line), soft_wrap=True, highlight=False)
    if count > _DIFFERENCES_SHOWN_MAX:
        console.print(f"  and {count - _DIFFERENCES_SHOWN_MAX:,} more: see --json", highlight=False)


def _table(report: Report, campaign_id: str) -> Fitting:
    """A column a side; on a narrow terminal without what was recorded, where the difference is not of that, then with
    the sides below each row.
    """
    title = campaign_id or "no campaign known"
    rows = list(_lines(report, campaign_id))
    headings = [_HEADINGS[name] for name in report.sides]
    layouts: list[RenderableType] = [_columns(title, rows, headings)]
    if CHANGED in report.sides:
        layouts.append(_columns(title, rows, [name for name in headings if name != _HEADINGS[RECORDED]]))
    stacked = Rows(rows, columns=(_WHAT, _DIFFERENCE), below=[headings], right=[_DIFFERENCE])
    return Fitting(*layouts, Group(Text(title, style="table.title"), stacked))


def _columns(title: str, rows: list[dict[str, str]], headings: list[str]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    names = (_WHAT, *headings, _DIFFERENCE)
    for name in names:
        widest = max(map(cell_len, [name, *(row[name] for row in rows)]))  # half a number is another number
        table.add_column(name, justify="left" if name == _WHAT else "right", no_wrap=True, min_width=widest)
    for row in rows:
        table.add_row(*(escape(row[name]) for name in names))
    return table


def _lines(report: Report, campaign_id: str) -> Iterator[dict[str, str]]:
    """The rows by heading: counts first, then times, which have no difference."""
    sides = {_HEADINGS[name]: side.get(campaign_id, Figures()) for name, side in report.sides.items()}
    counted = {name: counts(figures) for name, figures in sides.items()}
    times = {name: shown(figures) for name, figures in sides.items()}
    *_, first, last = counted.values()
    differences = report.differences.get(campaign_id, {})
    for row in _rows(counted):
        difference = last.get(row, 0) - first.get(row, 0)
        mark = _INEXACT if row in differences and differences[row].by_replay else ""
        told = f"{mark} {difference:+,}".strip() if difference else mark
        values = {name: f"{found.get(row, 0):,}" for name, found in counted.items()}
        yield {_WHAT: _row_name(row), **values, _DIFFERENCE: told}
    for row in ("found_nothing_at", "sold_out_at", "granted_last_at"):
        if any(found[row] for found in times.values()):
            values = {name: _time(found[row]) for name, found in times.items()}
            yield {_WHAT: _NAMES[row], **values, _DIFFERENCE: ""}


def _rows(counted: dict[str, dict[str, int]]) -> list[str]:
    """Rows with a count anywhere: the plain ones in the order of the figures, then each section by name."""
    names = dict.fromkeys(name for side in counted.values() for name, value in side.items() if value)
    plain = [name for name in next(iter(counted.values())) if name in names and "." not in name]
    rest = [name for section in _SECTIONS for name in sorted(names) if name.startswith(f"{section}.")]
    return [*plain, *rest]


def _row_name(row: str) -> str:
    section, _, rest = row.partition(".")
    if not rest:
        return _NAMES[section]
    name, _, what = rest.rpartition(".")
    return f"{_NAMES[section]} {name}: {_NAMES[what]}" if name else f"{_NAMES[section]}: {rest}"


def _time(text: str | None) -> str:
    return "-" if text is None else text.replace("T", " ").removesuffix("Z")
