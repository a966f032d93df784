"""Numbers in sentences: one is told as one."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from voucher_ledger.core.wording import counted
from voucher_ledger.ledger import audit_command
from voucher_ledger.ledger.audit import AuditReport, CheckResult
from voucher_ledger.replay.seek.plan import Standing, plan

CHECK = CheckResult("balances", "Balances are right.", 1, ({"account": "pool"},), 0.1)
STANDING = Standing(
    topic="claim.commands", partition=3, decided=50, committed=49, low=10, high=80, answered=48, moved=-1,
    unpublished=1, outbox_end=50,
)  # fmt: skip


@pytest.mark.parametrize(
    ("count", "told", "batches"),
    [(0, "0 rows", "0 batches"), (1, "1 row", "1 batch"), (1_200, "1,200 rows", "1,200 batches")],
)
def test_a_count_takes_its_noun(count: int, told: str, batches: str) -> None:
    assert counted(count, "row") == told
    assert counted(count, "batch", "batches") == batches


def test_a_check_is_broken_by_one_row() -> None:
    console = Console(file=io.StringIO(), width=120)
    for count in (1, 2):
        audit_command.show(AuditReport("now", (replace(CHECK, offending_count=count),)), console)
    written: Any = console.file
    told: str = written.getvalue()
    assert "Broken by 1 row:" in told
    assert "Broken by 2 rows:" in told


def test_a_seek_tells_of_one_batch_and_one_offset() -> None:
    told = " ".join(plan(STANDING, 51).steps)
    assert "not published: 1 batch in the outbox" in told
    assert "skip 1 offset: " in told
