"""What `plan` reads: campaign files, forecasts, past days; each fault is told with its file and line or field."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from voucher_ledger import cli
from voucher_ledger.plan.campaign import PlannedCampaign, read_campaign
from voucher_ledger.plan.errors import BadInput
from voucher_ledger.plan.forecast import Defaults, Demand, read_forecast, within
from voucher_ledger.plan.past import read_past
from voucher_ledger.run.exit_codes import ExitCode

START = "2026-02-06T00:00:00Z"
DATA: dict[str, Any] = {
    "campaign_id": "spring",
    "name": "Spring",
    "currency": "CNY",
    "quota": 100,
    "budget_minor": 250_000,
    "voucher": {"kind": "free_order", "face_value_minor": 2_500, "min_spend_minor": 500},
    "starts_at": START,
    "ends_at": "2026-02-06T02:00:00Z",
    "voucher_ttl_s": 86_400,
    "hold_ttl_s": 900,
    "categories": ["hotel", "tea"],
}


def campaign(**changes: Any) -> PlannedCampaign:
    return read_campaign("campaign.json", orjson.dumps(DATA | changes))


def forecast(*lines: str, defaults: Defaults | None = None) -> list[Demand]:
    return read_forecast("forecast.csv", [f"{line}\n" for line in lines], campaign(), defaults or Defaults())


def tranche(minute: int, quota: int) -> dict[str, Any]:
    return {"at": f"2026-02-06T{minute // 60:02}:{minute % 60:02}:00Z", "quota": quota}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quota": -1}, "campaign.json: data.quota: "),
        ({"quota": 0}, "campaign.json: data.quota: a campaign without cards"),
        ({"quota": 5.5}, "campaign.json: data.quota: "),
        ({"colour": "red"}, "campaign.json: data: "),
        ({"campaign_id": 7}, "campaign.json: data.campaign_id: "),
        ({"voucher": {"kind": "percent_off", "face_value_minor": 1}}, "campaign.json: data.voucher"),
        ({"ends_at": START}, "campaign.json: data.ends_at: "),
        ({"release": [tranche(0, 60), tranche(60, 41)]}, "would be refused: the tranches of `release` hold 101"),
        ({"release": [tranche(0, 60), tranche(120, 40)]}, "would be refused: the tranche at 2026-02-06T02:00:00Z"),
        ({"specversion": "1.0"}, "campaign.json: a whole command"),
    ],
)
def test_a_fault_of_the_campaign_is_told_with_its_field(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        campaign(**changes)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b'{\n"quota": }', "campaign.json:2: not JSON"), (b"[]", "campaign.json: must be a JSON object")],
)
def test_a_campaign_file_that_is_none_is_told(content: bytes, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_campaign("campaign.json", content)
    assert str(caught.value).startswith(told)


def test_a_campaign_has_the_schemas_defaults() -> None:
    found = campaign(release=[tranche(0, 60), tranche(60, 40)])
    start = found.rules.starts_at_ms
    assert (found.rules.per_user_limit, found.rules.state, found.length_ms) == (1, "open", 7_200_000)
    assert found.tranches == ((start, 60), (start + 3_600_000, 40))
    assert campaign(budget_minor=99_999).cards_covered == 39


def test_what_no_tranche_names_is_there_from_the_start() -> None:
    early = {"at": "2026-02-05T00:00:00Z", "quota": 5}
    found = campaign(release=[tranche(60, 30), tranche(30, 20), tranche(60, 10), early])
    start = found.rules.starts_at_ms
    assert found.tranches == ((start, 40), (start + 1_800_000, 20), (start + 3_600_000, 40))


def test_a_forecast_by_the_minute_and_by_the_hour() -> None:
    assert forecast("minute,claims", "1,3", "", "0, 5.5") == [Demand(0, 1, 5.5), Demand(1, 1, 3)]
    assert forecast("hour,claims", "1,60") == [Demand(60, 60, 60)]


def test_columns_go_before_options() -> None:
    defaults = Defaults(0.5, 3_000)
    assert forecast("minute,claims", "0,1", defaults=defaults) == [Demand(0, 1, 1, 0.5, 3_000)]
    rows = forecast(
        "claims,minute,category,city_tier,conversion,average_order_minor", "9,0,tea,3,0.25,700", defaults=defaults
    )
    assert rows == [Demand(0, 1, 9, 0.25, 700, "tea", 3)]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "forecast.csv:1: the header must be"),
        (["minute,hour,claims"], "forecast.csv:1: the header must be"),
        (["minute,claims,colour"], "forecast.csv:1: unknown column 'colour'"),
        (["minute,claims,claims"], "forecast.csv:1: two columns 'claims'"),
        (["minute,claims", "0,1", "1"], "forecast.csv:3: 1 cells, the header has 2"),
        (["minute,claims", "x,1"], "forecast.csv:2: minute: 'x' is not a whole number"),
        (["minute,claims", "0,nan"], "forecast.csv:2: claims: nan is not from 0"),
        (["minute,claims", "0,-1"], "forecast.csv:2: claims: -1 is not from 0"),
        (["minute,claims", "0,"], "forecast.csv:2: claims: '' is not a number"),
        (["minute,claims", "0,1", "", "0,2"], "forecast.csv:4: the same time and part as in line 2"),
        (
            ["minute,claims", "120,1"],
            "forecast.csv:2: minute 120 from the start is not before the campaign's end (minute 120",
        ),
        (["minute,claims,conversion", "0,1,1.5"], "forecast.csv:2: conversion: 1.5 is not from 0 to 1"),
        (["minute,claims,category", "0,1,flight"], "forecast.csv:2: category: 'flight' is not one of the campaign's"),
        (["minute,claims,city_tier", "0,1,7"], "forecast.csv:2: city_tier: 7 is not from 1 to 6"),
        (["minute,claims,average_order_minor", "0,1,499"], "forecast.csv:2: average_order_minor: 499 is below"),
        (["minute,claims", '0,"1'], "forecast.csv:2: "),
        (["minute,claims", "0,0"], "forecast.csv: no claims are expected in it"),
    ],
)
def test_a_fault_of_the_forecast_is_told_with_its_line(lines: list[str], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        forecast(*lines)
    assert str(caught.value).startswith(told)


def test_a_row_counts_as_far_as_it_lies_within_the_campaign() -> None:
    planned = campaign(ends_at="2026-02-06T01:30:00Z")
    kept = [Demand(0, 60, 6), Demand(60, 60, 6)]
    assert within(planned, [*kept, Demand(90, 1, 5)]) == ([Demand(0, 60, 6), Demand(60, 30, 3)], 8)
    assert within(campaign(), kept) == (kept, 0)


def claim(user: str, time: str, type_: str = "voucher.claim", **data: Any) -> bytes:
    return orjson.dumps({"type": type_, "id": f"c-{user}", "time": time, "data": {"user_id": user, **data}})


def answer(user: str, time: str, type_: str, command: str = "1", **data: Any) -> bytes:
    return claim(user, time, type_, campaign_id="spring", command_id=command, **data)


def test_a_past_day_is_counted_from_its_first_claim() -> None:
    lines = [
        claim("a", "2026-01-01T10:02:59Z"),
        claim("b", "2026-01-01T10:01:00Z"),
        claim("c", "2026-01-01T10:02:00Z"),
        claim("c", "2026-01-01T10:03:00Z"),  # sent again: no claim of its own
        answer("c", "2026-01-01T10:04:00Z", "voucher.granted"),  # the claims themselves are there
        b"",
    ]
    assert read_past("day.ndjson", lines, Defaults(0.5)) == [Demand(0, 1, 1, 0.5), Demand(1, 1, 2, 0.5)]


def test_a_past_day_of_events_tells_tiers_where_all_have_one() -> None:
    lines = [
        answer("a", "2026-01-01T10:00:01Z", "voucher.granted", city_tier=2),
        answer("b", "2026-01-01T10:00:02Z", "voucher.rejected", city_tier=1),
        answer("a", "2026-01-01T10:00:03Z", "voucher.granted", city_tier=2, duplicate=True),
        answer("a", "2026-01-01T10:00:03Z", "voucher.rejected", voucher_id="v-1"),  # answers an expiry
        claim("a", "2026-01-01T10:00:03Z", "campaign.opened"),
    ]
    assert read_past("day.ndjson", lines, Defaults()) == [Demand(0, 1, 1, city_tier=1), Demand(0, 1, 1, city_tier=2)]
    lines.append(answer("d", "2026-01-01T10:00:04Z", "voucher.rejected"))
    assert read_past("day.ndjson", lines, Defaults()) == [Demand(0, 1, 3)]


def test_a_claim_that_was_answered_again_and_again_counts_once() -> None:
    lines = [
        answer("a", "2026-01-01T10:00:01Z", "voucher.rejected"),
        answer("a", "2026-01-01T10:01:01Z", "voucher.rejected"),
        answer("a", "2026-01-01T10:02:01Z", "voucher.granted"),
        answer("a", "2026-01-01T10:03:01Z", "voucher.rejected", command="2"),
        answer("b", "2026-01-01T10:03:02Z", "voucher.rejected"),
    ]
    assert read_past("day.ndjson", lines, Defaults()) == [Demand(0, 1, 1), Demand(3, 1, 2)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "day.ndjson:2: not JSON"),
        (b"[]", "day.ndjson:2: type: missing"),
        (b'{"type":"voucher.claim","data":3}', "day.ndjson:2: data: must be an object"),
        (b'{"type":"voucher.claim","data":{}}', "day.ndjson:2: time: missing"),
        (claim("a", START, "voucher.granted"), "day.ndjson:2: data.command_id: missing"),
        (claim("a", "noon"), "day.ndjson:2: time: 'noon' is not RFC 3339"),
        (claim("a", START, city_tier=9), "day.ndjson:2: city_tier: 9 is not from 1 to 6"),
        (b"", "day.ndjson: no voucher.claim commands in it"),
    ],
)
def test_a_fault_of_a_past_day_is_told_with_its_line(line: bytes, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_past("day.ndjson", [b"", line], Defaults())
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["campaign.json"], "give either a forecast or --from-events"),
        (["campaign.json", "forecast.csv", "--from-events", "day.ndjson"], "give either"),
        (["missing.json", "forecast.csv"], "missing.json: No such file"),
        (["campaign.json", "latin.csv"], "latin.csv:2: not UTF-8"),
        (["campaign.json", "forecast.csv", "--average-order-minor", "1"], "--average-order-minor: 1 is below"),
        (["campaign.json", "forecast.csv", "--uncertainty", "nan"], "Invalid value for '--uncertainty'"),
        (["campaign.json", "forecast.csv", "--runs", "1", "--html", "nowhere/x.html"], "nowhere/x.html: No such"),
    ],
)
def test_what_cannot_be_planned_ends_with_2(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("campaign.json").write_bytes(orjson.dumps(DATA))
    Path("forecast.csv").write_text("minute,claims\n0,5\n", encoding="utf-8")
    Path("latin.csv").write_bytes(b"minute,claims,category\n0,1,caf\xe9\n")
    assert cli.main(["plan", *arguments]) == ExitCode.USAGE
    assert told in capsys.readouterr().err
