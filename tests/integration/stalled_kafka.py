"""A Kafka whose transactions do not end: every EndTxn waits in a proxy until the test lets it through."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.proxies import END_TRANSACTION, TransactionEndHeld
from tests.integration.world import World, kill

# Neither the broker nor librdkafka may give the held transaction up while the test looks at it.
_TRANSACTION_TIMEOUT_MS = 120_000


class TransactionEndStalled(TransactionEndHeld):
    """Holds every EndTxn back until `release` is set; the connection stays as it is, and nothing is sent twice.

    `held` is set once the first is there: all records of its transaction are then on the broker.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(target, nth=0)

    def request(self, api_key: int, client: socket.socket, frame: bytes) -> None:
        if api_key == END_TRANSACTION:
            self.held.set()
            self.release.wait(WAIT_SECONDS_MAX)

    def close(self) -> None:
        """End all connections; what is held back is lost."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        super().close()
        self.release.set()


@contextmanager
def stalled_kafka(world: World) -> Iterator[tuple[TransactionEndStalled, dict[str, str]]]:
    """The proxy before the world's broker, and the environment that leads a processor through it. The world's
    processors are killed at its end."""
    host, port = world.settings.kafka.split(":")
    proxy = TransactionEndStalled((host, int(port)))
    environment = {
        "VOUCHER_LEDGER_KAFKA": f"127.0.0.1:{proxy.port}",
        "VOUCHER_LEDGER_TRANSACTION_TIMEOUT_MS": str(_TRANSACTION_TIMEOUT_MS),
    }
    try:
        yield proxy, environment
    finally:
        kill(world.children)
        proxy.close()
