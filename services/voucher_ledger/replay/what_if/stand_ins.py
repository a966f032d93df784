"""Vouchers are named by the place of what granted them. Where a what-if grants a user his voucher by another claim of
his, or by another turn in the waiting room, his recorded orders name one that is not there: it stands in for that one.
"""

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from voucher_ledger.core.records import Command
from voucher_ledger.replay.what_if.played import ClaimPlaces, voucher_ids

_THERE = "SELECT voucher_id FROM books.voucher WHERE voucher_id = ANY(%s)"
_KNOWN = "SELECT named, voucher_id FROM what_if.stand_in WHERE named = ANY(%s)"
# The user's vouchers of the campaign that stand in for none, the first one first.
_CANDIDATES = """
SELECT n.named, v.voucher_id
FROM unnest(%s::text[], %s::text[], %s::text[]) AS n (named, user_id, campaign_id)
JOIN books.voucher v ON v.user_id = n.user_id AND v.campaign_id = n.campaign_id
WHERE NOT EXISTS (SELECT 1 FROM what_if.stand_in s WHERE s.voucher_id = v.voucher_id)
  AND NOT v.voucher_id = ANY(%s)
ORDER BY n.named, v.ordinal"""
_NOTE = "INSERT INTO what_if.stand_in (named, voucher_id) SELECT * FROM unnest(%s::text[], %s::text[])"


class StandIns:
    """Renames the vouchers of recorded orders after those of one sandbox. A name leads to the same voucher for good."""

    def __init__(self, connection: psycopg.Connection, claim_places: ClaimPlaces) -> None:
        self._connection = connection
        self._claim_places = claim_places
        self.count = 0

    def renamed(self, commands: Sequence[Command]) -> list[Command]:
        """The commands, reservations among them with the vouchers that stand in for those that were not granted."""
        owners = {
            name: command.data["user_id"]
            for command in commands
            if command.type == "order.reserve"
            for name in voucher_ids(command.data)
        }
        if not owners:
            return list(commands)
        there = {name for (name,) in self._connection.execute(_THERE, (list(owners),))}
        found = self._found({name: owner for name, owner in owners.items() if name not in there}, sorted(there))
        return [_renamed(command, found) for command in commands] if found else list(commands)

    def _found(self, missing: dict[str, str], named_now: list[str]) -> dict[str, str]:
        campaigns = {name: self._claim_places.campaign_of(name) for name in missing}
        asked = sorted(name for name in missing if campaigns[name] is not None)
        if not asked:
            return {}
        found: dict[str, str] = dict(self._connection.execute(_KNOWN, (asked,)).fetchall())
        fresh = [name for name in asked if name not in found]
        columns = (fresh, [missing[name] for name in fresh], [campaigns[name] for name in fresh], named_now)
        taken: dict[str, str] = {}
        given: set[str] = set()
        for name, voucher_id in self._connection.execute(_CANDIDATES, columns):
            if name not in taken and voucher_id not in given:
                taken[name] = voucher_id
                given.add(voucher_id)
        if taken:
            self._connection.execute(_NOTE, (list(taken), list(taken.values())))
            self.count += len(taken)
        return {**found, **taken}


def _renamed(command: Command, found: dict[str, str]) -> Command:
    data = command.data
    if command.type != "order.reserve" or not any(name in found for name in voucher_ids(data)):
        return command
    first, *more = (found.get(name, name) for name in voucher_ids(data))
    renamed = {**data, "voucher_id": first}
    if "more_voucher_ids" in data:
        renamed["more_voucher_ids"] = more
    return replace(command, data=renamed)
