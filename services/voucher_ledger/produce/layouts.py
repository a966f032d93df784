"""Tables for terminals of any width: half an id or half a number is a wrong one, so what has no room stands below its
row or is left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# Wider than any terminal: what a table would take if it had all the room it wants.
_CELLS_WIDEST = 10_000


class Fitting:
    """The first of some layouts that fits the terminal, the last where none does."""

    def __init__(self, *layouts: RenderableType) -> None:
        """From the widest to the narrowest."""
        self._layouts = layouts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update_width(_CELLS_WIDEST)
        for layout in self._layouts[:-1]:
            if Measurement.get(console, wide, layout).minimum <= options.max_width:
                yield layout
                return
        yield self._layouts[-1]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (texts by column) as a table of `columns`, each of them on one line but for `folded` ones, which are at
    least so wide (no layout has both these and lines below).

    Each of the `below` is a line under every row that tells these columns by name, where they say anything. `roomy` is
    the layout for terminals that are wide enough; others use the `short` headings.
    """

    rows: Sequence[Mapping[str, str]]
    columns: Sequence[str]
    below: Sequence[Sequence[str]] = ()
    roomy: bool = False
    title: str | None = None
    right: Collection[str] = ()
    folded: Mapping[str, int] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    styles: Sequence[str] = ()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = Measurement.get(console, options, self._table()).maximum
        spare = 0
        for name, least in self.folded.items():
            if name in self.columns:
                spare += max(0, max((cell_len(row[name]) for row in self.rows), default=0) - max(least, len(name)))
        return Measurement(whole - spare, whole)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table()
        if not self.below:
            yield table
        else:
            lines = console.render_lines(table, options, pad=False)
            above = len(lines) - len(self.rows)
            for number, line in enumerate(lines):
                yield from line
                yield Segment.line()
                if number >= above:
                    yield from self._below(self.rows[number - above])
        if self.title is not None and not self.roomy:  # a roomy one ends with its edge
            yield Segment.line()

    def _table(self) -> Table:
        has_edge = self.roomy and self.title is not None
        table = Table(title=self.title, box=SIMPLE, padding=(0, int(self.roomy)), show_edge=has_edge)
        for name in self.columns:
            table.add_column(
                name if self.roomy else self.short.get(name, name),
                justify="right" if name in self.right else "left",
                no_wrap=name not in self.folded,
                overflow="fold" if name in self.folded else "ellipsis",
            )
        for number, row in enumerate(self.rows):
            style = self.styles[number] if self.styles else ""
            # A line break in a cell would make two lines of a row.
            table.add_row(*(Text(row[name].replace("\n", " ")) for name in self.columns), style=style)
        return table

    def _below(self, row: Mapping[str, str]) -> RenderResult:
        for names in self.below:
            told = ", ".join(f"{name} {row[name]}" for name in names if row[name] not in ("", "-"))
            if told:
                yield Padding(Text(told.replace("\n", " "), overflow="fold"), (0, 0, 0, 2))
