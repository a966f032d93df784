"""The claims that are expected, by the minute or the hour, from a CSV file."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from voucher_ledger.plan.campaign import MINUTE_MS, PlannedCampaign
from voucher_ledger.plan.errors import BadInput

CLAIMS_MAX: Final = 10**12
AMOUNT_MINOR_MAX: Final = 10**15
CITY_TIERS: Final = 6
_TIMES: Final = {"minute": 1, "hour": 60}
_COLUMNS: Final = ("claims", "conversion", "average_order_minor", "category", "city_tier")


@dataclass(frozen=True, slots=True)
class Demand:
    """Claims expected from `minute` on (counted from the campaign's start), evenly over `length_minutes`.

    `conversion` is the share of their vouchers that becomes an order, `average_order_minor` what such an order costs.
    """

    minute: int
    length_minutes: float
    claims: float
    conversion: float | None = None
    average_order_minor: int | None = None
    category: str | None = None
    city_tier: int | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where the file has no such column."""

    conversion: float | None = None
    average_order_minor: int | None = None


def read_forecast(name: str, lines: Iterable[str], campaign: PlannedCampaign, defaults: Defaults) -> list[Demand]:
    """The rows of a forecast in the order of their times; raises BadInput, which names file and line."""
    reader = csv.reader(lines, strict=True)
    rows: list[Demand] = []
    seen: dict[tuple[int, str | None, int | None], int] = {}
    try:
        header = [cell.strip().removeprefix("\ufeff") for cell in next(reader, [])]
        minutes = _check_header(header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            row = _row(header, cells, minutes, defaults)
            _check_row(row, campaign)
            key = (row.minute, row.category, row.city_tier)
            if key in seen:
                raise BadInput(f"the same time and part as in line {seen[key]}")
            seen[key] = reader.line_num
            rows.append(row)
    except (BadInput, csv.Error) as error:
        raise BadInput(f"{name}:{max(reader.line_num, 1)}: {error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{name}:{reader.line_num + 1}: not UTF-8") from None
    if sum(row.claims for row in rows) <= 0:
        raise BadInput(f"{name}: no claims are expected in it")
    return sorted(rows, key=lambda row: row.minute)


def _check_header(header: list[str]) -> int:
    """How many minutes a row is for."""
    known = (*_TIMES, *_COLUMNS)
    for place, column in enumerate(header):
        if column not in known:
            raise BadInput(f"unknown column {column!r}; there are {', '.join(known)}")
        if column in header[:place]:
            raise BadInput(f"two columns {column!r}")
    times = [column for column in header if column in _TIMES]
    if len(times) != 1 or "claims" not in header:
        raise BadInput("the header must be `minute,claims` or `hour,claims`, and may have more columns")
    return _TIMES[times[0]]


def _row(header: list[str], cells: list[str], minutes: int, defaults: Defaults) -> Demand:
    if len(cells) != len(header):
        raise BadInput(f"{len(cells)} cells, the header has {len(header)}")
    found = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}

    def number(column: str, least: int, most: int) -> float | None:
        return _number(column, found[column], least, most) if column in found else None

    def whole(column: str, least: int, most: int) -> int | None:
        return _whole(column, found[column], least, most) if column in found else None

    time = whole("minute" if minutes == 1 else "hour", 0, CLAIMS_MAX)
    claims = number("claims", 0, CLAIMS_MAX)
    assert time is not None
    assert claims is not None
    if found.get("category") == "":
        raise BadInput("category: empty")
    conversion = number("conversion", 0, 1)
    average_minor = whole("average_order_minor", 1, AMOUNT_MINOR_MAX)
    return Demand(
        time * minutes,
        minutes,
        claims,
        defaults.conversion if conversion is None else conversion,
        defaults.average_order_minor if average_minor is None else average_minor,
        found.get("category"),
        whole("city_tier", 1, CITY_TIERS),
    )


def _number(column: str, text: str, least: int, most: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{column}: {text[:60]!r} is not a number") from None
    if not least <= value <= most:  # which a NaN is not either
        raise BadInput(f"{column}: {text[:60]} is not from {least} to {most}")
    return value


def _whole(column: str, text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise BadInput(f"{column}: {text[:60]!r} is not a whole number") from None
    if not least <= value <= most:
        raise BadInput(f"{column}: {text[:60]} is not from {least} to {most}")
    return value


def _check_row(row: Demand, campaign: PlannedCampaign) -> None:
    rules = campaign.rules
    if row.minute * MINUTE_MS >= campaign.length_ms:
        end_minute = campaign.length_ms / MINUTE_MS
        raise BadInput(f"minute {row.minute} from the start is not before the campaign's end (minute {end_minute:g})")
    if row.category is not None and rules.categories is not None and row.category not in rules.categories:
        raise BadInput(f"category: {row.category!r} is not one of the campaign's")
    try:
        check_average(row.average_order_minor, campaign)
    except BadInput as error:
        raise BadInput(f"average_order_minor: {error}") from None


def check_average(average_order_minor: int | None, campaign: PlannedCampaign) -> None:
    """Raise BadInput where the average order could not use a voucher at all."""
    least_minor = campaign.rules.min_spend_minor
    if average_order_minor is not None and average_order_minor < least_minor:
        raise BadInput(
            f"{average_order_minor} is below the campaign's min_spend_minor of {least_minor}: such an order can't use "
            "the voucher"
        )


def within(campaign: PlannedCampaign, rows: Iterable[Demand]) -> tuple[list[Demand], float]:
    """The rows as far as they lie within the campaign, and how many of their claims are expected past its end."""
    kept: list[Demand] = []
    left_out = 0.0
    for row in rows:
        length_minutes = min(row.length_minutes, campaign.length_ms / MINUTE_MS - row.minute)
        if length_minutes <= 0:
            left_out += row.claims
        elif length_minutes < row.length_minutes:
            claims = row.claims * length_minutes / row.length_minutes
            left_out += row.claims - claims
            kept.append(replace(row, length_minutes=length_minutes, claims=claims))
        else:
            kept.append(row)
    return kept, left_out


def intervals(rows: Iterable[Demand]) -> Iterator[list[int]]:
    """The places of the rows that share a time, in the order of times; `rows` is sorted by them."""
    together: list[int] = []
    before = -1
    for place, row in enumerate(rows):
        if row.minute != before and together:
            yield together
            together = []
        together.append(place)
        before = row.minute
    if together:
        yield together
