"""The monitor's metrics of a made-up campaign."""

from tests.unit.demand_given import START, facts, row, seen
from tests.unit.monitor_exported import exported
from voucher_ledger.monitor.facts import Facts

FORECAST = "voucher_ledger_monitor_forecast_end_timestamp_seconds"


def forecast_of(campaign: Facts, at: int) -> set[tuple[str, str]]:
    """What is foretold, by `of` and `bound`, `at` seconds after START: a card a second is granted."""
    one = seen(*(row(second) for second in range(at)), facts=campaign, at=at)
    assert one.cards_end is not None
    assert one.budget_end is not None
    return {(sample.labels["of"], sample.labels["bound"]) for sample in exported(one) if sample.name == FORECAST}


def test_nothing_is_foretold_of_a_campaign_that_is_over() -> None:
    """Its end would stand first among those of the campaigns that run."""
    bounds = {(of, bound) for of in ("cards", "budget") for bound in ("early", "middle", "late")}
    assert forecast_of(facts(ends_at=START + 301), 300) == bounds
    assert forecast_of(facts(ends_at=START + 300), 300) == set()
    assert forecast_of(facts(state="closed"), 300) == set()
    assert forecast_of(facts(state="paused"), 300) == bounds
