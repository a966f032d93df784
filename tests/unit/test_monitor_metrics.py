"""The monitor's metrics of a made-up campaign."""

import pytest

from tests.unit.demand_given import START, facts, row, seen
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.metrics import WatchCollector
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.store import Store
from voucher_ledger.monitor.watch import Watch

FORECAST = "voucher_ledger_monitor_forecast_end_timestamp_seconds"


class NoSource:
    """Nothing more is read: the outlooks are given."""

    store = Store()
    ready = True
    partitions_total = 1

    def partitions(self) -> list[int]:
        return [0]

    def lag_records(self) -> int | None:
        return 0


def exported(*outlooks: Outlook) -> list[tuple[str, dict[str, str], float]]:
    """Each sample: its metric's name, its labels, its value."""
    watch = Watch(NoSource(), pytest.fail, pytest.fail, {}, pytest.fail)  # type: ignore[arg-type]
    watch.outlooks = {one.campaign_id: one for one in outlooks}
    families = WatchCollector(watch, NoSource.store).collect()
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def forecast_of(campaign: Facts, at: int) -> set[tuple[str, str]]:
    """What is foretold, by `of` and `bound`, `at` seconds after START: a card a second is granted."""
    one = seen(*(row(second) for second in range(at)), facts=campaign, at=at)
    assert one.cards_end is not None
    assert one.budget_end is not None
    return {(labels["of"], labels["bound"]) for name, labels, _ in exported(one) if name == FORECAST}


def test_nothing_is_foretold_of_a_campaign_that_is_over() -> None:
    """Its end would stand first among those of the campaigns that run."""
    bounds = {(of, bound) for of in ("cards", "budget") for bound in ("early", "middle", "late")}
    assert forecast_of(facts(ends_at=START + 301), 300) == bounds
    assert forecast_of(facts(ends_at=START + 300), 300) == set()
    assert forecast_of(facts(state="closed"), 300) == set()
    assert forecast_of(facts(state="paused"), 300) == bounds
