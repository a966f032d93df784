"""Takes a static member out of its group on a clean stop, so that its partitions move at once.

librdkafka never sends LeaveGroup for a static member (a restart is to find its place again), and its admin client has
no removal by instance id (KIP-345), so the one request is written here (Kafka protocol guide: LeaveGroup v3).
Where the cluster asks for TLS or SASL this is not done: the partitions then move after the session timeout.
"""

import socket
import struct

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from voucher_ledger.runtime.kafka import admin_config
from voucher_ledger.runtime.settings import Settings

_LEAVE_GROUP, _VERSION, _CORRELATION = 13, 3, 1
LEAVE_SECONDS_MAX = 5.0
_ANSWER_BYTES_MAX = 65_536


def leave_group(settings: Settings, group: str, instance: str) -> bool:
    """Remove the static member `instance` from `group`; False where that was not possible (a timeout will do it)."""
    if settings.kafka_properties.get("security.protocol", "plaintext").lower() != "plaintext":
        return False
    try:
        admin = AdminClient(admin_config(settings))
        answer = admin.describe_consumer_groups([group], request_timeout=LEAVE_SECONDS_MAX)[group]
        described = answer.result(LEAVE_SECONDS_MAX + 1)  # its TimeoutError is an OSError
        if described.coordinator is None:
            return False
        address = (described.coordinator.host, described.coordinator.port)
        with socket.create_connection(address, LEAVE_SECONDS_MAX) as connection:
            connection.sendall(_request(group, instance))
            return _succeeded(connection)
    except (KafkaException, OSError):
        return False


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _request(group: str, instance: str) -> bytes:
    header = struct.pack(">hhi", _LEAVE_GROUP, _VERSION, _CORRELATION) + _string("voucher-ledger")
    body = _string(group) + struct.pack(">i", 1) + _string("") + _string(instance)
    return struct.pack(">i", len(header) + len(body)) + header + body


def _succeeded(connection: socket.socket) -> bool:
    """Read the answer: throttle_time_ms, error_code, then an error code a member."""
    size = struct.unpack(">i", _exactly(connection, 4))[0]
    if not 10 <= size <= _ANSWER_BYTES_MAX:
        return False
    answer = _exactly(connection, size)
    return bool(struct.unpack_from(">h", answer, 8)[0] == 0)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionResetError("the coordinator closed the connection")
        received += part
    return received
