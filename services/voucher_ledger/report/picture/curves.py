"""The two curves of a day: claims a minute, and cards and budget left."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from voucher_ledger.core.currency import money, short
from voucher_ledger.monitor.buckets import MINUTE_SECONDS
from voucher_ledger.monitor.burn_down import MINUTES_SHOWN_MAX
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.view import RECENT_STEP_SECONDS
from voucher_ledger.report.picture.rows import Frame, card
from voucher_ledger.report.picture.sheet import CRITICAL, GRANTED, LINE, ORDERS, PLAN, REFUSED, SOFT, Sheet
from voucher_ledger.report.picture.words import moment, percent

_TICKS_MAX = 7
_STEPS_SECONDS = (5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_DAY_SECONDS = 86_400
_ABOVE = 1.06
_FAINT = 0.18
# Lines upon it stay visible.
_FILLED = 0.5
_BUDGET_PIXELS = 56


def draw_demand(sheet: Sheet, frame: Frame, campaign: dict[str, Any]) -> None:
    """Claims a minute, granted and refused one upon the other, orders, and the cards that the plan gives a minute."""
    minutes = campaign["minutes"]
    # As on the page: a campaign of less than two minutes has its seconds only.
    by_minute = len(minutes["at"]) > 1
    curve, step = (minutes, MINUTE_SECONDS) if by_minute else (campaign["recent"], RECENT_STEP_SECONDS)
    cut = by_minute and len(minutes["at"]) >= MINUTES_SHOWN_MAX
    card(sheet, frame, "Claims a minute" + (f", last {MINUTES_SHOWN_MAX // 60} h" if cut else ""))
    if not curve["at"] or not any(map(any, (curve["granted"], curve["refused"], curve["orders"]))):
        sheet.text(frame.x + 18, frame.y + 66, "no claims and no orders", colour=SOFT)
        return
    edges = [*curve["at"], curve["at"][-1] + step]
    granted, refused, orders = (
        [MINUTE_SECONDS * rate for rate in curve[name]] for name in ("granted", "refused", "orders")
    )
    claims = [out + not_out for out, not_out in zip(granted, refused, strict=True)]
    axes = _axes(sheet, frame, bottom_pixels=0)
    axes.stairs(granted, edges, fill=True, color=GRANTED, alpha=_FILLED, linewidth=0)
    axes.stairs(claims, edges, baseline=granted, fill=True, color=REFUSED, alpha=_FILLED, linewidth=0)
    axes.stairs(orders, edges, baseline=None, color=ORDERS, linewidth=2.5)
    planned = _planned(campaign["burn_down"], edges[0], edges[-1])
    for start, end, rate in planned:
        axes.plot([start, end], [rate, rate], color=PLAN, linewidth=2, linestyle=(0, (4, 2)))
    _scale(axes, edges[0], edges[-1], max(*claims, *orders, *(rate for _, _, rate in planned)))
    entries = [(GRANTED, "granted"), (REFUSED, "refused"), (ORDERS, "orders")]
    _legend(sheet, frame, [*entries, (PLAN, "plan: cards")] if planned else entries)


def draw_burn_down(sheet: Sheet, frame: Frame, campaign: dict[str, Any]) -> None:
    """Cards left, as they were, as planned and as the trend goes on; below it how much of the budget is used."""
    card(sheet, frame, "Cards left")
    burn, facts = campaign["burn_down"], campaign["facts"]
    if burn is None or facts is None:
        sheet.text(frame.x + 18, frame.y + 66, "the campaign is not in the ledger", colour=SOFT)
        return
    axes = _axes(sheet, frame, bottom_pixels=_BUDGET_PIXELS)
    at, left = _known(burn["at"], burn["left"])
    axes.plot(at, left, color=GRANTED, linewidth=2.5, marker="o" if len(at) == 1 else "")
    axes.fill_between(at, left, color=GRANTED, alpha=_FAINT, linewidth=0)
    axes.plot(burn["at"], burn["planned"], color=PLAN, linewidth=2, linestyle=(0, (4, 2)))
    entries = [(GRANTED, "left"), (PLAN, "plan")]
    ahead, middle = _known(burn["at"], burn["middle"])
    if len(ahead) > 1:
        axes.plot(ahead, middle, color=REFUSED, linewidth=2, linestyle=(0, (1, 1)))
        axes.fill_between(
            ahead, _known(burn["at"], burn["early"])[1], _known(burn["at"], burn["late"])[1], color=REFUSED,
            alpha=_FAINT, linewidth=0,
        )  # fmt: skip
        entries.append((REFUSED, "trend"))
    _scale(axes, burn["at"][0], burn["at"][-1], max(facts["quota"], *left))
    _legend(sheet, frame, entries)
    _budget(sheet, frame, Facts(**facts))


def ticks(start_seconds: float, end_seconds: float) -> list[float]:
    """Whole steps of the clock between two moments (seconds since 1970), _TICKS_MAX at most."""
    length = end_seconds - start_seconds
    days = _DAY_SECONDS * (1 + int(length // (_DAY_SECONDS * (_TICKS_MAX - 1))))
    step = next((step for step in _STEPS_SECONDS if length < step * (_TICKS_MAX - 1)), days)
    first = -(-start_seconds // step) * step
    return [first + step * number for number in range(_TICKS_MAX) if first + step * number <= end_seconds]


def _axes(sheet: Sheet, frame: Frame, bottom_pixels: int) -> Axes:
    return sheet.axes(frame.x + 76, frame.y + 56, frame.width - 76 - 34, frame.height - 56 - 40 - bottom_pixels)


def _known(at: Sequence[float], values: Sequence[float | None]) -> tuple[list[float], list[float]]:
    pairs = [(one, value) for one, value in zip(at, values, strict=True) if value is not None]
    return [one for one, _ in pairs], [value for _, value in pairs]


def _planned(burn: dict[str, Any] | None, start: float, end: float) -> list[tuple[float, float, float]]:
    """Spans of time and the cards a minute by which the plan's curve falls in each, within start and end."""
    if burn is None:
        return []
    at, left = burn["at"], burn["planned"]
    found: list[tuple[float, float, float]] = []
    for number in range(len(at) - 1):
        begins, ends = max(at[number], start), min(at[number + 1], end)
        if begins >= ends:
            continue
        rate = MINUTE_SECONDS * (left[number] - left[number + 1]) / (at[number + 1] - at[number])
        # Of one rate, one line: else its dashes begin anew with each minute.
        if found and abs(found[-1][2] - rate) <= 1e-6 * max(1.0, rate):
            found[-1] = (found[-1][0], ends, found[-1][2])
        else:
            found.append((begins, ends, rate))
    return found


def _scale(axes: Axes, start: float, end: float, most: float) -> None:
    end = max(end, start + MINUTE_SECONDS)
    axes.set_xlim(start, end)
    axes.set_ylim(0, max(_ABOVE * most, 1.0))
    places = ticks(start, end)
    step = places[1] - places[0] if len(places) > 1 else MINUTE_SECONDS
    form = "%H:%M:%S" if step < MINUTE_SECONDS else "%H:%M"

    def written(at: float, _: int | None) -> str:
        return moment(at, "%m-%d" if at % _DAY_SECONDS == 0 else form)

    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FuncFormatter(written))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda amount, _: short(amount)))


def _legend(sheet: Sheet, frame: Frame, entries: Sequence[tuple[str, str]]) -> None:
    x = frame.x + frame.width - 24
    for colour, name in reversed(entries):
        x -= sheet.text(x, frame.y + 32, name, pixels=16, colour=SOFT, right=True) + 22
        sheet.box(x, frame.y + 20, 14, 14, colour=colour)
        x -= 20


def _budget(sheet: Sheet, frame: Frame, facts: Facts) -> None:
    left, width, base = frame.x + 18, frame.width - 36, frame.y + frame.height - 34
    used = facts.budget_used_share
    sheet.text(left, base, f"Budget: {percent(used)} used", pixels=17, bold=True)
    told = f"{money(facts.budget_left_minor, facts.currency)} left of {money(facts.budget_minor, facts.currency)}"
    if facts.overspent_minor:
        told += f", {money(facts.overspent_minor, facts.currency)} overspent"
    sheet.text(left + width, base, told, pixels=16, colour=SOFT, right=True, width_pixels=width - 240)
    sheet.box(left, base + 9, width, 10, colour=LINE)
    if used > 0:
        sheet.box(left, base + 9, width * min(1.0, used), 10, colour=CRITICAL if used > 1 else GRANTED)
