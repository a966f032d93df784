"""Cards of named figures, each a line with a bar below it."""

from collections.abc import Sequence
from typing import NamedTuple

from voucher_ledger.report.picture.sheet import CARD, INK, LINE, SOFT, Sheet
from voucher_ledger.report.picture.words import whole

ROWS_MAX = 8
_ROW_PIXELS = 36
_INSET_PIXELS = 18
_MORE_PIXELS = 94
_BAR_PIXELS = 5
# A few among a million are not nothing.
_FILLED_PIXELS_MIN = 2


class Row(NamedTuple):
    """A name, how many there are in all, and what else is told (`more`, at the right end)."""

    name: str
    total: int
    more: str = ""


class Frame(NamedTuple):
    """A card's frame on the sheet, in pixels."""

    x: float
    y: float
    width: float
    height: float


def bounded(rows: Sequence[Row]) -> list[Row]:
    """The largest first, ROWS_MAX at most; what is past them is summed in the last, which says of how many."""
    ordered = sorted(rows, key=lambda row: (-row.total, row.name))
    if len(ordered) <= ROWS_MAX:
        return ordered
    rest = ordered[ROWS_MAX - 1 :]
    return [*ordered[: ROWS_MAX - 1], Row(f"other ({len(rest)} more)", sum(row.total for row in rest))]


def card(sheet: Sheet, frame: Frame, title: str) -> None:
    """An empty card with its title."""
    sheet.box(*frame, colour=CARD, edge=LINE)
    sheet.text(frame.x + _INSET_PIXELS, frame.y + 32, title, pixels=20, bold=True)


def draw_rows(
    sheet: Sheet,
    frame: Frame,
    title: str,
    heads: tuple[str, str],
    rows: Sequence[Row],
    *,
    colour: str,
    nothing: str,
    note: str = "",
) -> None:
    """A card of rows, at most ROWS_MAX. `heads` are the column's names over count and `more`, `nothing` stands where
    there are no rows, `note` below them.
    """  # fmt: skip
    card(sheet, frame, title)
    left, right = frame.x + _INSET_PIXELS, frame.x + frame.width - _INSET_PIXELS
    more_pixels = _MORE_PIXELS if heads[1] else 0
    if rows:
        sheet.text(right - more_pixels, frame.y + 58, heads[0], pixels=14, colour=SOFT, right=True)
        sheet.text(right, frame.y + 58, heads[1], pixels=14, colour=SOFT, right=True)
    else:
        sheet.text(left, frame.y + 66, nothing, colour=SOFT)
    most = max((row.total for row in rows), default=0)
    for number, row in enumerate(rows[:ROWS_MAX]):
        base = frame.y + 86 + number * _ROW_PIXELS
        counted = sheet.text(right - more_pixels, base, whole(row.total), pixels=17, right=True)
        sheet.text(right, base, row.more, pixels=17, colour=SOFT, right=True)
        sheet.text(left, base, row.name, pixels=17, colour=INK, width_pixels=right - left - more_pixels - counted - 12)
        sheet.box(left, base + 7, right - left, _BAR_PIXELS, colour=LINE)
        if row.total:
            filled = max(_FILLED_PIXELS_MIN, (right - left) * row.total / most)
            sheet.box(left, base + 7, filled, _BAR_PIXELS, colour=colour)
    if note:
        sheet.text(left, frame.y + frame.height - 12, note, pixels=14, colour=SOFT, width_pixels=right - left)
