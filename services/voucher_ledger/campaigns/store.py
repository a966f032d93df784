"""The campaigns room's part of the books.

Tables are written in the order campaign, campaign_command, category_budget, account, transfer, rows within each in the
order of their keys. Campaign rows are locked FOR NO KEY UPDATE: a lease that is made meanwhile needs the key only, and
does not wait.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
import psycopg

from voucher_ledger.campaigns.decide import decide
from voucher_ledger.campaigns.evolve import evolve
from voucher_ledger.campaigns.rules import opened_rules
from voucher_ledger.campaigns.state import Answer, CampaignBook, Campaigns
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger import accounts
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Role

_LOAD = """
SELECT campaign_id, command_id, state::text, quota, budget_minor, state::text
FROM books.campaign WHERE campaign_id = ANY(%s) ORDER BY campaign_id"""

_LOCKED = " FOR NO KEY UPDATE"

_LOAD_ANSWERS = """
SELECT a.campaign_id, a.command_id, a.type, a.content::text, a.outcome::text
FROM unnest(%s::text[], %s::text[]) AS k (campaign_id, command_id)
JOIN books.campaign_command a USING (campaign_id, command_id)"""

_INSERT = """
INSERT INTO books.campaign (campaign_id, command_id, state, name, currency, quota, budget_minor, voucher_kind,
    face_value_minor, percent_bp, min_spend_minor, starts_at_ms, ends_at_ms, per_user_limit, voucher_ttl_ms,
    hold_ttl_ms, categories, overspend, when_empty, release_at_ms, release_quota, vouchers_per_order_max, limits)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r (campaign_id text, command_id text, state books.campaign_state,
    name text, currency text, quota bigint, budget_minor bigint, voucher_kind text, face_value_minor bigint,
    percent_bp integer, min_spend_minor bigint, starts_at_ms bigint, ends_at_ms bigint, per_user_limit integer,
    voucher_ttl_ms bigint, hold_ttl_ms bigint, categories text[], overspend text, when_empty text,
    release_at_ms bigint[], release_quota bigint[], vouchers_per_order_max integer, limits jsonb)
ORDER BY campaign_id COLLATE "C\""""

# One statement locks its rows in no order of ours: they are locked in order first.
_LOCK = "SELECT 1 FROM books.campaign WHERE campaign_id = ANY(%s) ORDER BY campaign_id FOR NO KEY UPDATE"

_UPDATE = """
UPDATE books.campaign c
SET state = d.state, quota = c.quota + d.quota, budget_minor = c.budget_minor + d.budget_minor
FROM unnest(%s::text[], %s::books.campaign_state[], %s::books.campaign_state[], %s::bigint[], %s::bigint[])
  AS d (campaign_id, stored_state, state, quota, budget_minor)
WHERE c.campaign_id = d.campaign_id AND c.state = d.stored_state"""

_INSERT_ANSWERS = """
INSERT INTO books.campaign_command (campaign_id, command_id, type, content, outcome)
SELECT * FROM jsonb_to_recordset(%s::jsonb)
  AS r (campaign_id text, command_id text, type text, content jsonb, outcome jsonb)
ORDER BY campaign_id COLLATE "C", command_id COLLATE "C\""""

_INSERT_CATEGORY_BUDGETS = """
INSERT INTO books.category_budget (campaign_id, category, budget_minor)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])"""


def _row(campaign: CampaignBook, command: Command) -> dict[str, Any]:
    """The row of a campaign that was opened in this batch: its rules go by the names of their columns."""
    data = command.data
    columns = asdict(opened_rules(data))
    tranches = columns.pop("tranches")
    return {
        **columns,
        "command_id": campaign.command_id,
        "state": campaign.state,
        "name": data["name"],
        "quota": campaign.quota,
        "budget_minor": campaign.budget_minor,
        "categories": data.get("categories"),  # in the order in which they were sent
        "release_at_ms": [at_ms for at_ms, _ in tranches],
        "release_quota": [quota for _, quota in tranches],
    }


class CampaignsRoom:
    """Opens campaigns and changes them: quota and budget come into the ledger here and nowhere else."""

    name = "campaigns"
    command_topic = "campaign.commands"
    event_topic = "campaign.events"
    key_field = "campaign_id"

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command], *, lock: bool) -> Campaigns:
        """An empty working set: nothing has to be done ahead of the batch."""
        del connection, commands, lock
        return Campaigns(Journal(self.command_topic))

    def load(
        self, connection: psycopg.Connection, state: Campaigns, commands: Sequence[Command], *, lock: bool
    ) -> None:
        """The campaigns of the batch, and the answers that its commands got before."""
        keys = sorted({(command.data["campaign_id"], command.id) for command in commands})
        campaign_ids = sorted({campaign_id for campaign_id, _ in keys})
        for row in connection.execute(_LOAD + (_LOCKED if lock else ""), (campaign_ids,)):
            state.campaigns[row[0]] = CampaignBook(*row)
        columns = ([campaign_id for campaign_id, _ in keys], [command_id for _, command_id in keys])
        for campaign_id, command_id, type_, content, outcome in connection.execute(_LOAD_ANSWERS, columns):
            event = orjson.loads(outcome)
            answer = Answer(type_, orjson.loads(content), Event(event["type"], event["data"]))
            state.answers[campaign_id, command_id] = answer

    decide = staticmethod(decide)
    evolve = staticmethod(evolve)

    def write(self, connection: psycopg.Connection, state: Campaigns) -> None:
        """Campaigns, answers, category budgets, and last the journal with the accounts.

        Raises Contended where a campaign changed since it was loaded, psycopg.errors.UniqueViolation where it was
        opened (or a command accepted) meanwhile through another partition.
        """
        self._write_campaigns(connection, state)
        self._write_answers(connection, state)
        budgets = [
            (campaign_id, category, budget_minor)
            for campaign_id, command in sorted(state.opened.items())
            for category, budget_minor in sorted(command.data.get("category_budgets_minor", {}).items())
        ]
        if budgets:
            connection.execute(_INSERT_CATEGORY_BUDGETS, [list(column) for column in zip(*budgets, strict=True)])
        if state.opened:
            accounts.ensure(
                connection,
                [
                    (campaign_id, role, 0)
                    for campaign_id in state.opened
                    for role in (Role.FUNDING, Role.POOL, Role.LOSS)
                ],
            )
        accounts.write_journal(connection, state.journal)

    def _write_campaigns(self, connection: psycopg.Connection, state: Campaigns) -> None:
        changed = sorted(
            (campaign for campaign in state.campaigns.values() if campaign.changed),
            key=lambda campaign: campaign.campaign_id,
        )
        if changed:
            campaign_ids = [campaign.campaign_id for campaign in changed]
            connection.execute(_LOCK, (campaign_ids,))
            columns = (
                campaign_ids,
                [campaign.stored_state for campaign in changed],
                [campaign.state for campaign in changed],
                [campaign.added_quota for campaign in changed],
                [campaign.added_budget_minor for campaign in changed],
            )
            written = connection.execute(_UPDATE, columns).rowcount
            if written != len(changed):
                raise Contended(f"{len(changed) - written} of {len(changed)} campaigns changed meanwhile")
        if state.opened:
            rows = [_row(state.campaigns[campaign_id], command) for campaign_id, command in state.opened.items()]
            connection.execute(_INSERT, (orjson.dumps(rows).decode(),))

    def _write_answers(self, connection: psycopg.Connection, state: Campaigns) -> None:
        if not state.answered:
            return
        rows = [
            {
                "campaign_id": campaign_id,
                "command_id": command_id,
                "type": answer.command_type,
                "content": answer.content,
                "outcome": {"type": answer.outcome.type, "data": answer.outcome.data},
            }
            for campaign_id, command_id in state.answered
            for answer in (state.answers[campaign_id, command_id],)
        ]
        connection.execute(_INSERT_ANSWERS, (orjson.dumps(rows).decode(),))
