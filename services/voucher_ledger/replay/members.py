"""Who may be deciding: the members that a room's consumer group has."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.produce.clients import open_client
from voucher_ledger.replay.errors import KILLED_LEAVE, Refused
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config, group_of
from voucher_ledger.runtime.settings import Settings


def group_members(settings: Settings, room: str, own_instance: str | None = None) -> list[str]:
    """The members of the room's group, in words, without the one named `own_instance`. Raises Unreachable."""
    group = group_of(room)
    try:
        admin = open_client(AdminClient, admin_config(settings))
        members = admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS_MAX)[group].result().members
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise Unreachable(f"Kafka at {settings.kafka}: {error.args[0].str()}") from error
    return [
        f"group member {member.group_instance_id or member.client_id}"
        for member in members
        if member.group_instance_id != own_instance
    ]


def refuse_while_decided(settings: Settings) -> None:
    """Raise Refused where any room's group has a member, Unreachable."""
    found = [member for room in ROOM_BY_COMMAND_TOPIC.values() for member in group_members(settings, room)]
    if found:
        told = ", ".join(sorted(found))
        raise Refused(f"somebody may be deciding: {told}. Stop all processors first; {KILLED_LEAVE}")
