"""What campaign commands are decided from: the campaigns of one batch and the answers given before. No IO."""

from dataclasses import dataclass, field
from typing import Any

from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal


@dataclass(slots=True)
class CampaignBook:
    """A campaign as its own room sees it; `budget_minor` in minor units of its currency.

    `stored_state` is the state that the row had when it was loaded (None: opened in this batch), and the `added_`
    figures are what this batch has added: the row is changed by deltas, from that state only.
    """

    campaign_id: str
    command_id: str
    state: str
    quota: int
    budget_minor: int
    stored_state: str | None = None
    added_quota: int = 0
    added_budget_minor: int = 0

    @property
    def changed(self) -> bool:
        """Whether a stored row must be written."""
        return self.stored_state is not None and (
            self.state != self.stored_state or self.added_quota > 0 or self.added_budget_minor > 0
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted command and its outcome: the same command again gets the same outcome."""

    command_type: str
    content: dict[str, Any]
    outcome: Event


AnswerKey = tuple[str, str]
"""(campaign_id, command id)."""


@dataclass(slots=True)
class Campaigns:
    """The working set: loaded by the store, changed by `evolve`, written back by the store."""

    journal: Journal
    campaigns: dict[str, CampaignBook] = field(default_factory=dict)
    answers: dict[AnswerKey, Answer] = field(default_factory=dict)
    opened: dict[str, Command] = field(default_factory=dict)
    answered: list[AnswerKey] = field(default_factory=list)
