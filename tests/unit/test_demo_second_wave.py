"""The second wave's two days, what of their growth is taken for the catalogue's, and when day two is closed."""

import math
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.demo.closing import ClosingWhenOut
from voucher_ledger.demo.growth import Growth, Orders, day_over_day
from voucher_ledger.demo.second_wave import CARDS, CLAIMS, GRANTED_AGAIN, SecondWave, first_day, second_day
from voucher_ledger.simulate.catalogue import CATALOGUE, GROWTH, TIERS
from voucher_ledger.simulate.plan import opening
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally

DECODERS: dict[str, CommandDecoder] = {topic: CommandDecoder(topic) for topic in COMMANDS_BY_TOPIC}


def opened(scenario: Scenario) -> dict[str, Any]:
    """The data of the command that opens the campaign itself; each of its openings is one that its processor takes."""
    for command in opening(scenario, 1):
        DECODERS[command.topic].decode(command.value, command.key)
    data: dict[str, Any] = orjson.loads(next(opening(scenario, 1)).value or b"")["data"]
    return data


def test_cards_grow_as_the_catalogues_orders_do() -> None:
    first, second = first_day(CLAIMS, CARDS), second_day(CLAIMS, CARDS)
    assert second.cards * (1 + GRANTED_AGAIN) / first.cards == pytest.approx(GROWTH, rel=0.001)
    assert (first.wave, second.wave) == (1, 2)
    assert first.campaign_id != second.campaign_id
    for day in (first, second):
        assert opened(day)["category_budgets_minor"] == {}  # else hotels could not grow


def test_day_two_comes_in_tranches_until_cards_come_back_and_its_claimants_wait() -> None:
    second = second_day(CLAIMS, CARDS)
    data = opened(second)
    assert data["when_empty"] == "queue"
    at_once = data["quota"] - sum(tranche["quota"] for tranche in data["release"])
    assert len(data["release"]) == 5
    assert at_once >= data["release"][0]["quota"] > 0
    assert second.release_s[-1] > second.voucher_ttl_s
    assert not {"when_empty", "release"} & opened(first_day(CLAIMS, CARDS)).keys()


def test_fewer_claims_than_two_a_card_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two for each"):
        SecondWave(9, 5, 1)


def orders(first: int, *, hotels: float = 4.0) -> list[Orders]:
    """Orders as the catalogue has them, `first` of them in day one; hotels grow otherwise."""
    found = []
    for vertical in CATALOGUE:
        grown = hotels if vertical.category == "hotel" else vertical.second_wave / vertical.first_wave
        count = vertical.first_wave * first / 100
        for tier, (one, two) in enumerate(zip(TIERS[1], TIERS[2], strict=True), 1):
            of_first, of_second = count * one / sum(TIERS[1]), count * grown * two / sum(TIERS[2])
            found.append(Orders(vertical.category, tier, False, round(of_first), round(of_first) * 100))
            found.append(Orders(vertical.category, tier, True, round(of_second), round(of_second) * 100))
    return found


def test_growth_as_in_the_catalogue_passes() -> None:
    found = day_over_day(orders(100_000))
    assert all(verdict.passed for verdict in found.verdicts())
    times = {growth.name: growth.times for growth in found.verticals}
    assert times["hotel"] == pytest.approx(4, rel=0.01)
    assert times["flight"] == pytest.approx(3, rel=0.01)
    assert found.whole.times == pytest.approx(GROWTH, rel=0.01)
    assert [growth.times for growth in found.tiers] == sorted(growth.times for growth in found.tiers)
    assert (found.whole.first, found.whole.first_discount_minor) == (
        sum(growth.first for growth in found.tiers),
        sum(growth.first_discount_minor for growth in found.verticals),
    )


@pytest.mark.parametrize(("hotels", "passed"), [(3.0, False), (3.9, True), (4.1, True), (5.2, False)])
def test_hotels_that_grew_otherwise_are_found(hotels: float, passed: bool) -> None:
    found = {verdict.claim: verdict for verdict in day_over_day(orders(20_000, hotels=hotels)).verdicts()}
    assert found["hotels grew about fourfold"].passed is passed


def test_cities_that_grew_alike_are_found() -> None:
    alike = [
        Orders(vertical.category, tier, day, count, 0)
        for vertical in CATALOGUE
        for tier in range(1, 7)
        for day, count in ((False, vertical.first_wave * 100), (True, vertical.second_wave * 100))
    ]
    failed = [verdict.claim for verdict in day_over_day(alike).verdicts() if not verdict.passed]
    assert failed == ["large cities (tiers 1 and 2) grew least", "small cities (tiers 5 and 6) grew most"]


def test_a_vertical_that_nobody_ordered_proves_nothing() -> None:
    none = Growth("hotel", 0, 10, 0, 0, 4.0, 4.0)
    assert (none.times, none.margin, none.as_expected) == (0.0, math.inf, False)
    assert not Growth("hotel", 10, 0, 0, 0, 4.0, 4.0).as_expected
    found = day_over_day([row for row in orders(1_000) if row.category != "tea" or row.on_day_two])
    assert not found.verdicts()[0].passed


class Broker:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, commands: list[Any]) -> None:
        self.sent += commands


def test_day_two_is_closed_once_when_the_last_tranche_and_what_came_back_are_granted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(seconds=0.0)
    clock = SimpleNamespace(time=lambda: now.seconds, time_ns=lambda: round(now.seconds * 1e9))
    monkeypatch.setattr("voucher_ledger.demo.closing.time", clock)
    scenario = Scenario(0, claims=300, cards=100, release_s=(10, 20), when_empty="queue")
    broker = Broker()
    said: list[str] = []
    closing = ClosingWhenOut(scenario, broker, said.append)  # type: ignore[arg-type]
    tally = Tally("p:", scenario.campaign_id, phase="answers")

    def sent_after(seconds: float, **change: object) -> int:
        now.seconds = seconds
        for name, value in change.items():
            setattr(tally, name, value)
        closing.look(tally)
        return len(broker.sent)

    tally.answers["voucher.expired"] = 30
    assert sent_after(19.9, granted=130) == 0  # more than the cards, but the last tranche is to come
    assert sent_after(20.0, phase="claims") == 0
    tally.answers["voucher.expired"] = 40
    assert sent_after(20.1, phase="answers") == 0
    tally.answers["voucher.expired"] = 60  # what comes back later is not waited for: that would go on and on
    assert sent_after(21.0, granted=139) == 0
    assert sent_after(22.0, granted=140) == 1
    assert sent_after(23.0, granted=160) == 1
    assert orjson.loads(broker.sent[0].value)["type"] == "campaign.close"
    assert said == ["the cards are out and 0 claimants wait: the campaign is closed"]
