"""What the monitor's metrics say of given outlooks, as a scrape would read it."""

import pytest
from prometheus_client.samples import Sample

from voucher_ledger.monitor import alerts
from voucher_ledger.monitor.alerts import Standing
from voucher_ledger.monitor.metrics import WatchCollector
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.store import Store
from voucher_ledger.monitor.watch import Watch


class NoSource:
    """Nothing more is read: the outlooks are given."""

    store = Store()
    ready = True
    partitions_total = 1

    def partitions(self) -> list[int]:
        """The one there is."""
        return [0]

    def lag_records(self) -> int | None:
        """All is read."""
        return 0


def exported(*outlooks: Outlook) -> list[Sample]:
    """Each sample; what is alarming is told."""
    watch = Watch(NoSource(), pytest.fail, pytest.fail, {}, pytest.fail)  # type: ignore[arg-type]
    watch.outlooks = {one.campaign_id: one for one in outlooks}
    holding = [found for one in outlooks for found in alerts.conditions(one)]
    watch.standing = {one.key: Standing(one, since=0.0, held_at=0.0, told=True) for one in holding}
    return [sample for family in WatchCollector(watch, NoSource.store).collect() for sample in family.samples]
