"""Limits by user and day, by device and by channel, given / when / then: each boundary, and who is not bounded."""

from typing import Any

import orjson
import pytest

from tests.unit.given import HOUR_MS, NOW_MS, PARTITION, campaign, command, outcome, voucher
from voucher_ledger.campaigns.rules import opened_rules
from voucher_ledger.claims import limits
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims, Lease
from voucher_ledger.core.records import Event
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Limits, Voucher

DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = NOW_MS // DAY_MS * DAY_MS + DAY_MS
OPENING: dict[str, Any] = orjson.loads((schema_root() / "commands" / "campaign.open.json").read_bytes())["examples"][0]


def given(rules: Limits | None, *vouchers: Voucher, per_user_limit: int = 9) -> Claims:
    """`spring` with these limits, open for two days around its first midnight."""
    found = campaign(
        limits=rules, per_user_limit=per_user_limit, starts_at_ms=MIDNIGHT_MS - DAY_MS, ends_at_ms=MIDNIGHT_MS + DAY_MS
    )
    state = Claims(Journal("claim.commands"), {"spring": found}, {"spring": Lease(PARTITION, 99, 99 * 2500)})
    for held in vouchers:
        state.by_user.setdefault((held.campaign_id, held.user_id), []).append(held)
    return state


def claim(state: Claims, offset: int, at_ms: int = NOW_MS, user_id: str | None = None, **more: Any) -> Event:
    data = {"campaign_id": "spring", "user_id": user_id or f"u-{offset}", **more}
    return outcome(decide, evolve, state, command("voucher.claim", data, at_ms=at_ms, offset=offset))


def answers(*events: Event) -> list[str]:
    """`granted`, or the refusal as reason and detail."""
    return [
        f"{event.data['reason']}: {event.data.get('detail')}" if event.type == "voucher.rejected" else "granted"
        for event in events
    ]


def test_a_user_may_have_so_many_a_day_and_as_many_the_next_day() -> None:
    state = given(Limits(per_user_day=2))
    moments = [MIDNIGHT_MS - 2, MIDNIGHT_MS - 2, MIDNIGHT_MS - 1, MIDNIGHT_MS, MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS - 1]
    events = [claim(state, offset, at_ms, "u-1") for offset, at_ms in enumerate(moments)]
    assert answers(*events) == ["granted", "granted", "user_limit: 2 a day"] * 2


@pytest.mark.parametrize(
    ("offset_minutes", "begins_ms"),
    [(480, MIDNIGHT_MS - 8 * HOUR_MS), (-720, MIDNIGHT_MS - 12 * HOUR_MS), (840, MIDNIGHT_MS - 14 * HOUR_MS),
     (-1, MIDNIGHT_MS + 60_000), (0, MIDNIGHT_MS)],
)  # fmt: skip
def test_a_day_begins_at_midnight_of_the_campaigns_own_clock(offset_minutes: int, begins_ms: int) -> None:
    state = given(Limits(per_user_day=1, day_utc_offset_minutes=offset_minutes))
    events = [claim(state, n, at_ms, "u-1") for n, at_ms in enumerate([begins_ms - 1, begins_ms, begins_ms + 1])]
    assert answers(*events) == ["granted", "granted", "user_limit: 1 a day"]


def test_a_day_counts_the_users_expired_vouchers_and_nobody_elses() -> None:
    state = given(
        Limits(per_user_day=1), voucher(state="expired"), voucher(user_id="u-3", granted_at_ms=NOW_MS - DAY_MS)
    )
    assert answers(*[claim(state, n) for n in (1, 2, 3)]) == ["user_limit: 1 a day", "granted", "granted"]


def test_the_limit_in_all_holds_beside_the_limit_a_day_and_tells_no_detail() -> None:
    state = given(Limits(per_user_day=1), voucher(granted_at_ms=NOW_MS - DAY_MS), per_user_limit=1)
    assert answers(claim(state, 1)) == ["user_limit: None"]


def test_a_device_counts_for_all_its_users_together() -> None:
    state = given(Limits(per_device=3))
    state.limit_counts["device", "spring", "d-1"] = 1
    events = [claim(state, n, device_id="d-1") for n in range(3)] + [claim(state, 3, device_id="d-2")]
    assert answers(*events) == ["granted", "granted", "user_limit: device", "granted"]
    assert state.limit_added == {("device", "spring", "d-1"): 2, ("device", "spring", "d-2"): 1}


def test_a_channel_has_its_quota_and_others_none() -> None:
    state = given(Limits(channel_quotas={"app": 2, "kiosk": 0}))
    channels = ["app", "kiosk", "app", "app", "web", "web", "web"]
    events = [claim(state, n, channel=channel) for n, channel in enumerate(channels)]
    refused = {1: "user_limit: channel kiosk: 0", 3: "user_limit: channel app: 2"}
    assert answers(*events) == [refused.get(n, "granted") for n in range(len(channels))]
    assert state.limit_added == {("channel", "spring", "app"): 2}


def test_a_claim_that_names_neither_device_nor_channel_is_bounded_by_neither() -> None:
    state = given(Limits(per_device=1, channel_quotas={"app": 0}))
    assert answers(*[claim(state, n) for n in range(3)]) == ["granted"] * 3
    assert state.limit_added == {}


def test_what_one_limit_refuses_takes_no_place_of_another() -> None:
    state = given(Limits(per_user_day=1, per_device=1, channel_quotas={"app": 9}))
    given_twice = [claim(state, n, user_id="u-1", device_id=f"d-{n}", channel="app") for n in (1, 2)]
    same_device = claim(state, 3, device_id="d-1", channel="app")
    other = claim(state, 4, device_id="d-2", channel="app")
    expected = ["granted", "user_limit: 1 a day", "user_limit: device", "granted"]
    assert answers(*given_twice, same_device, other) == expected
    assert state.limit_counts["channel", "spring", "app"] == 2


def test_nothing_is_counted_where_nothing_is_limited() -> None:
    state = given(None)
    assert answers(*[claim(state, n, device_id="d-1", channel="app") for n in range(3)]) == ["granted"] * 3
    assert state.limit_counts == {}


def test_an_expired_voucher_gives_its_places_back_to_nobody() -> None:
    state = given(Limits(per_device=1, channel_quotas={"app": 1}))
    granted = claim(state, 1, device_id="d-1", channel="app")
    expire = {"campaign_id": "spring", "user_id": "u-1", "voucher_id": granted.data["voucher_id"]}
    expired = outcome(decide, evolve, state, command("voucher.expire", expire, at_ms=NOW_MS + 24 * HOUR_MS, offset=2))
    assert expired.type == "voucher.expired"
    events = [claim(state, 3, device_id="d-1"), claim(state, 4, channel="app")]
    assert answers(*events) == ["user_limit: device", "user_limit: channel app: 1"]


def test_a_claim_sent_again_is_answered_before_any_limit_is_asked() -> None:
    state = given(Limits(per_user_day=1, per_device=1, channel_quotas={"app": 1}))
    first = claim(state, 1, device_id="d-1", channel="app")
    again = claim(state, 1, device_id="d-1", channel="app")
    assert again == Event("voucher.granted", {**first.data, "duplicate": True})
    assert state.limit_counts == {("device", "spring", "d-1"): 1, ("channel", "spring", "app"): 1}


@pytest.mark.parametrize("other", [{"device_id": "d-2"}, {}])
def test_a_claim_sent_again_with_another_device_is_a_conflict(other: dict[str, Any]) -> None:
    state = given(None)
    claim(state, 1, device_id="d-1")
    assert answers(claim(state, 1, **other)) == ["conflict: None"]


def test_a_bound_that_the_campaign_does_not_have_is_not_made_up() -> None:
    with pytest.raises(ValueError, match="does not limit the channel web"):
        limits.most(campaign(limits=Limits(channel_quotas={"app": 1})), ("channel", "spring", "web"))


def test_the_limits_of_the_opening_are_the_campaigns() -> None:
    assert opened_rules(OPENING["data"]).limits == Limits(1, 3, {"app": 30_000}, 480)
    unlimited: tuple[dict[str, Any], ...] = ({}, {"day_utc_offset_minutes": 480}, {"channel_quotas": {}})
    for none in unlimited:
        assert opened_rules({**OPENING["data"], "limits": none}).limits is None


@pytest.mark.parametrize(
    ("given_limits", "fault"),
    [
        ({"per_user_day": 0}, "data.limits.per_user_day"),
        ({"per_user_day": 1_001}, "data.limits.per_user_day"),
        ({"per_user_day": 1.0}, "data.limits.per_user_day: 1.0 is not an integer"),
        ({"per_device": 0}, "data.limits.per_device"),
        ({"per_device": 1_000_001}, "data.limits.per_device"),
        ({"channel_quotas": {"app": -1}}, "data.limits.channel_quotas.app"),
        ({"channel_quotas": {"app": 2.0}}, "is not an integer"),
        ({"channel_quotas": {"": 1}}, "data.limits.channel_quotas: a key is refused"),
        ({"channel_quotas": {f"c-{n}": 1 for n in range(101)}}, "data.limits.channel_quotas"),
        ({"day_utc_offset_minutes": -721}, "data.limits.day_utc_offset_minutes"),
        ({"day_utc_offset_minutes": 841}, "data.limits.day_utc_offset_minutes"),
        ({"per_city": 1}, 'data.limits: unknown field "per_city"'),
    ],
)
def test_limits_out_of_bounds_are_dead_lettered_by_name(given_limits: dict[str, Any], fault: str) -> None:
    envelope = {**OPENING, "data": {**OPENING["data"], "limits": given_limits}}
    with pytest.raises(Undecidable) as raised:
        CommandDecoder("campaign.commands").decode(orjson.dumps(envelope), OPENING["data"]["campaign_id"].encode())
    assert fault in str(raised.value)
