"""Cards left over time as an SVG drawing: a band from the 10 % to the 90 % quantile, and the median as a line. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voucher_ledger.plan.outcome import Level

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
_STEPS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440)


@dataclass(frozen=True, slots=True)
class Series:
    """One plan's levels; `style` is the class by which the page colours it."""

    style: str
    levels: Sequence[Level]


def chart(series: Sequence[Series], cards: int, length_minutes: float, label: str) -> str:
    """An `svg` element that scales with its width; `label` says in words what it shows."""
    frame = _Frame(cards, length_minutes)
    parts = [*_grid(frame)]
    parts += [f'<path class="band {one.style}" d="{_band(frame, one.levels)}"/>' for one in series]
    parts += [f'<path class="line {one.style}" d="{_line(frame, one.levels)}"/>' for one in series]
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">\n{body}\n</svg>'


@dataclass(frozen=True, slots=True)
class _Frame:
    cards: int
    length_minutes: float

    def x(self, minute: float) -> float:
        return LEFT + minute / self.length_minutes * (WIDTH - LEFT - RIGHT)

    def y(self, cards: float) -> float:
        return HEIGHT - BOTTOM - cards / self.cards * (HEIGHT - TOP - BOTTOM)


def _line(frame: _Frame, levels: Sequence[Level]) -> str:
    return "M" + " L".join(f"{frame.x(level.minute):.1f} {frame.y(level.cards.middle):.1f}" for level in levels)


def _band(frame: _Frame, levels: Sequence[Level]) -> str:
    upper = [f"{frame.x(level.minute):.1f} {frame.y(level.cards.high):.1f}" for level in levels]
    lower = [f"{frame.x(level.minute):.1f} {frame.y(level.cards.low):.1f}" for level in reversed(levels)]
    return "M" + " L".join(upper + lower) + " Z"


def _grid(frame: _Frame) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for cards in _round_steps(frame.cards):
        y = frame.y(cards)
        yield f'<path class="grid" d="M{LEFT} {y:.1f} H{right}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(cards)}</text>'
    step = _time_step(frame.length_minutes)
    in_hours = step >= 60
    for count in range(int(frame.length_minutes / step) + 1):
        x = frame.x(count * step)
        text = f"{count * step / 60:g}" if in_hours else f"{count * step:g}"
        yield f'<path class="grid" d="M{x:.1f} {bottom} v4"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{text}</text>'
    unit = "hours" if in_hours else "minutes"
    yield f'<text x="{(LEFT + right) / 2:.1f}" y="{HEIGHT - 5}" text-anchor="middle">{unit} from the start</text>'


def _time_step(length_minutes: float) -> float:
    """The smallest usual step that makes at most eight; of long campaigns, whole days."""
    for step in _STEPS_MINUTES:
        if length_minutes / step <= 8:
            return step
    return math.ceil(length_minutes / 8 / 1_440) * 1_440


def _round_steps(cards: int) -> Iterator[int]:
    """0 and the multiples of a round number, up to `cards`, at most six of them."""
    power = 10 ** (len(str(cards)) - 1)
    # A power of ten below the quota's, times 1, 2 or 5: one of them makes at most five steps.
    sizes = [max(1, power * tenths // 10) for tenths in (1, 2, 5, 10, 20)]
    step = next(size for size in sizes if cards / size <= 5)
    yield from range(0, cards + 1, step)


def _short(cards: int) -> str:
    for size, unit in ((10**12, "tn"), (10**9, "bn"), (10**6, "M"), (10**3, "k")):
        if cards >= size:
            return f"{cards / size:g} {unit}"
    return f"{cards:,}"
