"""A report is of any campaign in the ledger, however many came after it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from tests.property.by_hand import START_MS, campaign_open, step
from tests.property.deciding import Ledger
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.monitor.ledger import CAMPAIGNS_MAX, LedgerReader
from voucher_ledger.report import command
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.integration


def without_kafka(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Callable[[Settings], LedgerReader]:
    """The report, of a ledger whose topics nobody has: without demand, alerts and orders. What makes its reader."""

    def reader_of(settings: Settings) -> LedgerReader:
        made = LedgerReader(settings)
        made.close()
        looked = SimpleNamespace(look=lambda books: ([], books(ledger.connection)))
        made._reader = cast("Any", looked)
        monkeypatch.setattr(made, "close", lambda: None)
        return made

    monkeypatch.setattr(command, "LedgerReader", reader_of)
    monkeypatch.setattr(command, "read_demand", lambda *_: None)
    monkeypatch.setattr(command, "read_standing", lambda _: {})
    monkeypatch.setattr(command, "_crossing", lambda *_: {})
    return reader_of


def test_a_report_of_a_campaign_that_many_others_followed(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = [
        campaign_open(campaign_id=f"c{number:02}", ends_at=rfc3339(START_MS + 3_600_000 * (number + 1)))
        for number in range(CAMPAIGNS_MAX + 1)
    ]
    ledger.begin().play([[step(0, "campaigns", one, offset=number) for number, one in enumerate(opened)]])
    reader_of = without_kafka(monkeypatch, ledger)
    settings, out = Settings(kafka="127.0.0.1:1", postgres=ledger.dsn), tmp_path / "report.html"
    reader = reader_of(settings)
    listed = reader.read().campaigns
    assert (len(listed), "c00" in listed) == (CAMPAIGNS_MAX, False)
    wanted = reader.read(["c00"]).campaigns
    assert (len(wanted), "c00" in wanted) == (CAMPAIGNS_MAX, True)
    assert command.run(settings, "c00", out) == ExitCode.DONE
    state = orjson.loads(out.read_text(encoding="utf-8").partition('id="state">')[2].partition("</script>")[0])
    assert state["campaign"]["facts"]["ends_at"] == START_MS // 1_000 + 3_600
    assert command.run(settings, "made-up", out) == ExitCode.USAGE
    assert "no campaign made-up is in the ledger" in capsys.readouterr().out
