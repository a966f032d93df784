"""What the rules of a campaign are changed to: JSON merge patches (RFC 7396) of its campaign.open's data. Pure."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import orjson

from voucher_ledger.campaigns.decide import decide
from voucher_ledger.campaigns.state import Campaigns
from voucher_ledger.core.records import Command, Undecidable
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.core.validation_schema import load_schema
from voucher_ledger.ledger.journal import Journal

CAMPAIGN_TOPIC: Final = "campaign.commands"
CAMPAIGNS_CHANGED_MAX: Final = 1_000

Json: TypeAlias = Any
# A merge patch by campaign id.
Changes = Mapping[str, dict[str, Any]]


class BadRules(Exception):
    """The changed rules are no rules; the text says which, and why."""


@cache
def rule_names() -> tuple[str, ...]:
    """The fields of campaign.open that may be changed: all but the id, which names the campaign."""
    data = load_schema("commands", "campaign.open")["properties"]["data"]["properties"]
    return tuple(name for name in data if name != "campaign_id")


def merged(target: Json, patch: Json) -> Json:
    """RFC 7396: objects are merged, null takes a field away, all else (lists too) is put in the place of what was."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def of_setting(text: str) -> Changes:
    """`spring.limits.per_user_day=2` as a patch. The value is JSON, or else a text as it stands (`when_empty=queue`).

    Raises BadRules where the text is not of that form, or names no rule.
    """
    names = "|".join(map(re.escape, rule_names()))
    found = re.fullmatch(rf"(?P<campaign>.+?)\.(?P<path>(?:{names})(?:\.[^.=]+)*)=(?P<value>.*)", text, re.DOTALL)
    if found is None:
        raise BadRules(f"{text!r} is not of the form CAMPAIGN.RULE=VALUE, with RULE one of {', '.join(rule_names())}")
    try:
        value: Any = orjson.loads(found["value"])
    except orjson.JSONDecodeError:
        value = found["value"]
    for name in reversed(found["path"].split(".")):
        value = {name: value}
    return {found["campaign"]: value}


def of_file(name: str, content: bytes) -> Changes:
    """A file's `{"CAMPAIGN": {patch}, ...}`.

    Raises BadRules where it is no such JSON, or names a field that is no rule.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRules(f"{name}: not JSON: {error.msg}") from None
    if not isinstance(document, dict) or not all(isinstance(patch, dict) for patch in document.values()):
        raise BadRules(f"{name}: must be an object of campaign ids, each with an object of the rules to change")
    for campaign_id, patch in document.items():
        strange = sorted(set(patch) - set(rule_names()))
        if strange:
            raise BadRules(f"{name}: {campaign_id}: {strange[0]!r} is no rule; there are {', '.join(rule_names())}")
    return document


def together(changes: Iterable[Changes]) -> dict[str, dict[str, Any]]:
    """All changes as one, the later ones over the earlier. Raises BadRules where they are of too many campaigns."""
    found: dict[str, dict[str, Any]] = {}
    for one in changes:
        for campaign_id, patch in one.items():
            found[campaign_id] = _over(found.get(campaign_id, {}), patch)
    if len(found) > CAMPAIGNS_CHANGED_MAX:
        raise BadRules(f"the rules of {len(found)} campaigns are changed; at most {CAMPAIGNS_CHANGED_MAX:,} can be")
    return found


def amended(command: Command, changes: Changes) -> Command:
    """The command as it would have been sent under the changed rules: another one only for a changed campaign.open."""
    patch = changes.get(command.data["campaign_id"]) if command.type == "campaign.open" else None
    if patch is None:
        return command
    data = merged(command.data, patch)
    return Command(command.type, command.id, data, command.partition, command.offset, command.time_ms, command.record)


def check(decoder: CommandDecoder, opening: Command, changes: Changes) -> None:
    """Hold an amended campaign.open against its schema, and against the decision that would be taken of it alone.

    Raises BadRules with what either has against it.
    """
    changed = amended(opening, changes)
    campaign_id = opening.data["campaign_id"]
    envelope = {
        "specversion": "1.0", "id": changed.id, "source": "voucher-ledger/what-if", "type": changed.type,
        "time": "2026-01-01T00:00:00Z", "data": changed.data,
    }  # fmt: skip
    try:
        decoder.decode(orjson.dumps(envelope), campaign_id.encode())
    except Undecidable as fault:
        raise BadRules(f"campaign {campaign_id} can't have these rules: {fault}") from None
    event = decide(Campaigns(Journal(CAMPAIGN_TOPIC)), changed)
    if event.type == "campaign.rejected":
        raise BadRules(f"campaign {campaign_id} can't have these rules: {event.data.get('detail', event.data)}")


def _over(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """One patch that does what two do one after the other: a null of either must last."""
    found = dict(earlier)
    for name, value in later.items():
        before = found.get(name)
        found[name] = _over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found
