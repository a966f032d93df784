"""What a demo has come to, as tables for people."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from voucher_ledger.demo.figures import Result, Verdict
from voucher_ledger.ledger.audit_command import show as show_audit
from voucher_ledger.ledger.model import ROLES
from voucher_ledger.replay.dead_letters.choice import kind_of
from voucher_ledger.replay.verify_render import show_faults

DEAD_LETTER_ROWS_MAX = 15
REASON_CHARACTERS_MAX = 70


def print_result(result: Result, console: Console) -> None:
    """Print all tables, and what is wrong where something is."""
    for table in (*tables(result), verdicts_table(result.verdicts())):
        console.print(table)
    print_faults(result, console)


def print_faults(result: Result, console: Console) -> None:
    """Print what is wrong with answers and ledger, where something is."""
    show_faults(result.verified, console)
    if not result.books.audit.passed:
        show_audit(result.books.audit, console)


def tables(result: Result) -> Iterator[RenderableType]:
    """The tables, in the order of the day, the verdicts left out."""
    yield _outcomes(result)
    yield _refusals(result)
    yield _ledger(result)
    yield _dead_letters(result)
    yield _balances(result)
    yield _speed(result)


def text_table(title: str, *columns: str, words: int = 1) -> Table:
    """A table whose first `words` columns are text, all others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < words else "right", no_wrap=True)
    return table


def _outcomes(result: Result) -> Table:
    first: Counter[str] = Counter()
    again: Counter[str] = Counter()
    for outcome, count in result.verified.answers.outcomes.items():
        (again if outcome.duplicate else first)[outcome.type] += count
    table = text_table("What was answered", "event", "first", "to duplicates")
    for type_ in sorted({*first, *again}):
        table.add_row(type_, f"{first[type_]:,}", f"{again[type_]:,}")
    return table


def _refusals(result: Result) -> Table:
    table = text_table("Refusals by reason", "event", "reason", "count", words=2)
    refused = {
        outcome: count for outcome, count in result.verified.answers.outcomes.items() if outcome.reason is not None
    }
    for outcome in sorted(refused, key=lambda outcome: (outcome.type, -refused[outcome])):
        table.add_row(outcome.type, outcome.reason, f"{refused[outcome]:,}")
    return table


def _ledger(result: Result) -> Table:
    books, currency = result.books, result.scenario.currency
    table = text_table("The campaign in the ledger", "what", "count", f"{currency}, minor units")
    for row in books.vouchers:
        table.add_row(f"vouchers {row.state}", f"{row.count:,}", f"{row.amount_minor:,}")
    table.add_section()
    for row in books.orders:
        table.add_row(f"orders {row.state}, their discounts", f"{row.count:,}", f"{row.amount_minor:,}")
    table.add_section()
    payments = books.payments
    table.add_row("settlements, paid by users", f"{payments.count:,}", f"{payments.paid_minor:,}")
    table.add_row("settlements, discounts", f"{payments.count:,}", f"{payments.discount_minor:,}")
    table.add_row("refunded (whole; the sum has parts too)", f"{payments.refunded:,}", f"{payments.refunded_minor:,}")
    return table


def _dead_letters(result: Result) -> Table:
    kinds: Counter[str] = Counter()
    for reason, count in result.verified.answers.dead_letter_reasons.items():
        kinds[_cut(kind_of(reason))] += count
    table = text_table("Dead letters by reason", "reason", "count")
    for kind, count in kinds.most_common(DEAD_LETTER_ROWS_MAX):
        table.add_row(escape(kind), f"{count:,}")
    rest = kinds.total() - sum(count for _, count in kinds.most_common(DEAD_LETTER_ROWS_MAX))
    if rest:
        table.add_row(f"{len(kinds) - DEAD_LETTER_ROWS_MAX} other reasons", f"{rest:,}")
    table.add_section()
    table.add_row("all", f"{kinds.total():,}")
    return table


def _cut(kind: str) -> str:
    return kind if len(kind) <= REASON_CHARACTERS_MAX else f"{kind[: REASON_CHARACTERS_MAX - 1]}…"


def _balances(result: Result) -> Table:
    balances = result.books.balances
    table = text_table("Balances of the campaign", "unit", *ROLES)
    for unit in ("VOUCHER", result.scenario.currency):
        label = unit if unit == "VOUCHER" else f"{unit}, minor units"
        table.add_row(label, *(f"{balances.get((role, unit), 0):,}" for role in ROLES))
    return table


def _speed(result: Result) -> Table:
    table = text_table("Speed on this machine, generator, Kafka and Postgres beside it", "what", "measured")
    table.add_row("claims sent a second, at most", f"{result.throughput.sent_max:,.0f}")
    table.add_row("claims decided a second, best second", f"{result.throughput.peak:,.0f}")
    table.add_row("claims decided a second, mean from first to last", f"{result.throughput.mean:,.0f}")
    takeover = result.takeover
    if takeover is not None:
        table.add_row(
            f"{takeover.instance} killed after {takeover.after_claims:,} claims, decided again after",
            f"{takeover.seconds:.2f} s",
        )
    return table


def verdicts_table(verdicts: Iterable[Verdict]) -> Table:
    """What must hold, and whether it does."""
    table = Table(title="Checks", title_justify="left", title_style="bold")
    table.add_column("what must hold")
    table.add_column("", no_wrap=True)
    table.add_column("found")
    for verdict in verdicts:
        word = "[green]passed[/]" if verdict.passed else "[bold red]FAILED[/]"
        table.add_row(verdict.claim, word, verdict.found)
    return table
