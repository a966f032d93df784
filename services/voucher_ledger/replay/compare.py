"""Ledger and events side by side: bucket by bucket the rows of users, and at the end campaigns and balances."""

from collections.abc import Iterable, Mapping

from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold_campaigns import UNTOLD_ROLES, FoldedCampaigns
from voucher_ledger.replay.ledger_rows import LedgerFigures
from voucher_ledger.replay.rows import TABLES, ComparedTable, differing_columns, key_of
from voucher_ledger.replay.spill import Spill
from voucher_ledger.replay.verify_report import Difference, Kind, VerifyReport

_NOT_IN_LEDGER = "the ledger has no such row"
_NOT_IN_EVENTS = "no event below the positions tells of it: it was added, or a position was set back"
_DIFFERS = "differs"


# The streams of the lines that have no counterpart among the rows of their own user.
_OF_EVENTS, _OF_LEDGER = "events alone", "ledger alone"


def compare_all(report: VerifyReport, events: EventsAside, spill: Spill, ledger: LedgerFigures) -> None:
    """Compare the rows of users, of which `spill` holds the ledger's lines, and then campaigns and balances."""
    campaigns = events.campaigns()
    kinds = {table.name: report.kinds.setdefault(table.name, Kind()) for table in TABLES}
    for bucket, fold in events.folds():
        campaigns.add(fold)
        report.contradict(fold.faults)
        for table in TABLES:
            expected = set(table.lines(fold))
            kinds[table.name].compared += len(expected)
            unknown = [line for line in spill.lines(bucket, table.name) if not _taken(expected, line)]
            missing, unknown = _paired(kinds[table.name], table, expected, unknown)
            for stream, lines in ((_OF_EVENTS, missing), (_OF_LEDGER, unknown)):
                for line in lines:
                    spill.add(key_of(line).encode(), f"{table.name} {stream}", line)
    # A row whose user is another lies in that user's bucket. By key it meets the one that it is instead of.
    for bucket in range(spill.buckets):
        for table in TABLES:
            _compare_alone(kinds[table.name], table, spill, bucket)
    _compare_campaigns(report, campaigns, ledger)
    _compare_lines_of_waiting(report, campaigns, ledger)


def _taken(lines: set[bytes], line: bytes) -> bool:
    """Whether a line was among these; then it is no more."""
    if line not in lines:
        return False
    lines.discard(line)
    return True


def _paired(
    kind: Kind, table: ComparedTable, expected: Iterable[bytes], found: Iterable[bytes]
) -> tuple[list[bytes], list[bytes]]:
    """Note what differs between lines of the same key; the lines without one, of the events and of the ledger."""
    unknown = {key_of(line): line for line in found}
    missing: list[bytes] = []
    for key, line in sorted((key_of(line), line) for line in expected):
        other = unknown.pop(key, None)
        if other is None:
            missing.append(line)
        else:
            kind.note(Difference(key, _DIFFERS, differing_columns(table, line, other)))
    return missing, [line for _, line in sorted(unknown.items())]


def _compare_alone(kind: Kind, table: ComparedTable, spill: Spill, bucket: int) -> None:
    streams = (spill.lines(bucket, f"{table.name} {stream}") for stream in (_OF_EVENTS, _OF_LEDGER))
    missing, unknown = _paired(kind, table, *streams)
    for line in missing:
        kind.note(Difference(key_of(line), _NOT_IN_LEDGER, {}))
    kind.compared += len(unknown)
    for line in unknown:
        kind.note(Difference(key_of(line), _NOT_IN_EVENTS, {}))


def _compare_campaigns(report: VerifyReport, campaigns: FoldedCampaigns, ledger: LedgerFigures) -> None:
    """Compare campaigns, balances and what categories have committed."""
    report.contradict(campaigns.faults)
    told = {
        campaign_id: (c.command_id, c.state, c.quota, c.budget_minor) for campaign_id, c in campaigns.campaigns.items()
    }
    held = {
        campaign_id: (c.command_id, c.state, c.quota, c.budget_minor) for campaign_id, c in ledger.campaigns.items()
    }
    _compare(report.kinds.setdefault("campaign", Kind()), ("command_id", "state", "quota", "budget_minor"), told, held)
    balances = {
        f"{campaign_id}/{role}": amounts
        for campaign_id, campaign in campaigns.campaigns.items()
        for role, amounts in campaign.balances().items()
    }
    kind = report.kinds.setdefault("balance", Kind())
    _compare(kind, ("vouchers", "amount_minor"), balances, _ledger_balances(ledger))
    committed = {
        f"{campaign_id}/{category}": (campaigns.campaigns[campaign_id].committed_minor[category],)
        for campaign_id, category in ledger.committed_minor
        if campaign_id in campaigns.campaigns
    }
    booked = {f"{key[0]}/{key[1]}": (committed_minor,) for key, committed_minor in ledger.committed_minor.items()}
    _compare(report.kinds.setdefault("category_budget", Kind()), ("committed_minor",), committed, booked)


def _compare_lines_of_waiting(report: VerifyReport, campaigns: FoldedCampaigns, ledger: LedgerFigures) -> None:
    kind = report.kinds.setdefault("waiting_line", Kind())
    told = {
        f"{campaign_id}/{partition}": (line.head, line.next_ticket, line.admitted)
        for (campaign_id, partition), line in campaigns.lines.items()
    }
    held = {f"{campaign_id}/{partition}": line for (campaign_id, partition), line in ledger.lines.items()}
    _compare(kind, ("head", "next_ticket", "admitted"), told, held)


def _ledger_balances(ledger: LedgerFigures) -> dict[str, tuple[int, int]]:
    """Balances by campaign and role. From which of UNTOLD_ROLES a voucher was granted no event tells, so they are
    summed; where no claim is honoured past the end there is no loss, and one that is there is shown by itself.
    """
    untold = "+".join(UNTOLD_ROLES)
    found: dict[str, tuple[int, int]] = {}
    for campaign_id in ledger.campaigns:
        for role in ("funding", "granted", "held", "spent", untold):
            found[f"{campaign_id}/{role}"] = (0, 0)
    for (campaign_id, role), (vouchers, amount_minor) in ledger.balances.items():
        campaign = ledger.campaigns.get(campaign_id)
        forbidden = role == "loss" and (campaign is None or campaign.overspend != "honour")
        if forbidden and (vouchers, amount_minor) == (0, 0):
            continue
        key = f"{campaign_id}/{untold if role in UNTOLD_ROLES and not forbidden else role}"
        before = found.get(key, (0, 0))
        found[key] = (before[0] + vouchers, before[1] + amount_minor)
    return found


def _compare(
    kind: Kind,
    columns: tuple[str, ...],
    told: Mapping[str, tuple[object, ...]],
    held: Mapping[str, tuple[object, ...]],
) -> None:
    for key in sorted(told.keys() | held.keys()):
        kind.compared += 1
        if key not in held:
            kind.note(Difference(key, _NOT_IN_LEDGER, {}))
        elif key not in told:
            kind.note(Difference(key, _NOT_IN_EVENTS, {}))
        elif told[key] != held[key]:
            pairs = zip(columns, told[key], held[key], strict=True)
            kind.note(Difference(key, _DIFFERS, {column: (one, other) for column, one, other in pairs if one != other}))
