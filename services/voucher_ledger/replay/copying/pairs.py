"""Which topics are copied to which, and whether they may be. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, EVENT_TOPIC_BY_COMMAND_TOPIC

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_COMMANDS = frozenset(str(topic) for topic in COMMANDS_BY_TOPIC)
_EVENTS = frozenset(str(topic) for topic in EVENT_TOPIC_BY_COMMAND_TOPIC.values())


class Pair(NamedTuple):
    """Records of `source` are copied to `target`."""

    source: str
    target: str


def pairs(sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
    """The n-th source goes to the n-th target.

    Raises:
        ValueError: there are not as many of one as of the other, or a topic is named twice.
    """
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} times --from-topic and {len(targets)} times --to-topic: they go in pairs")
    for named in (sources, targets):
        twice = sorted({topic for topic in named if list(named).count(topic) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is named twice")
    return [Pair(source, target) for source, target in zip(sources, targets, strict=True)]


def refusal(copied: Sequence[Pair], *, same_cluster: bool, campaign_prefix: str | None) -> str | None:
    """Why the copy must not be: it could touch the books of a live campaign, or forge what a ledger has said.

    Args:
        copied: the pairs.
        same_cluster: the target is the cluster that is copied from, whatever address it was named by.
        campaign_prefix: what is put before ids of campaigns, orders, payments and refunds.
    """
    for source, target in copied:
        if target in _EVENTS or target.startswith(("ledger.", "__")):
            return f"{target} is written by a ledger's own programs: copy the commands, and let them be decided there"
        if not same_cluster:
            continue
        if target in _COMMANDS and not campaign_prefix:
            return (
                f"{target} on this cluster is decided into the live books: give --campaign-prefix (the copy then is of "
                "campaigns, orders and payments of its own), another topic, or another cluster (--to-kafka)"
            )
        if target == source and target not in _COMMANDS:
            return f"{source} would be copied onto itself"
    return None


def unnamed(copied: Sequence[Pair], *, cluster: str, named: str | None, campaign_prefix: str | None) -> str | None:
    """Why commands must not be copied to another cluster, by its id `cluster`: which of two clusters is the live one,
    no program can tell, so a person names (`named`) the one that is meant. Ids of their own touch no books anywhere.
    """
    if named is not None and named != cluster:
        return f"the target's cluster has the id {cluster}, and --target-cluster says {named}: is it the one meant?"
    commands = [pair.target for pair in copied if pair.target in _COMMANDS]
    if named is not None or not commands or campaign_prefix:
        return None
    return (
        f"{commands[0]} there is decided into the books of whoever runs there: look which cluster it is, and name it "
        f"by --target-cluster {cluster}, or give --campaign-prefix"
    )
