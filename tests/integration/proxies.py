"""TCP proxies that misbehave on purpose: between a processor and Postgres, and between it and Kafka."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 65_536
# Api keys of the Kafka protocol guide: EndTxn, TxnOffsetCommit.
END_TRANSACTION = 26
OFFSETS_TO_TRANSACTION = 28
# In an answer to EndTxn v0 to v2: behind its size, the correlation id and the throttle time.
_ERROR_CODE_AT = 12
_CONCURRENT_TRANSACTIONS = 51


class Proxy:
    """Forwards connections to `target`; subclasses see the bytes of each direction and may change or withhold them."""

    def __init__(self, target: tuple[str, int], port: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                upward = threading.Thread(target=self._pump, args=(client, server, self.to_server), daemon=True)
                downward = threading.Thread(target=self._pump, args=(server, client, self.to_client), daemon=True)
                upward.start()
                downward.start()

    def _pump(
        self, source: socket.socket, sink: socket.socket,
        forward: Callable[[socket.socket, socket.socket, bytes], None],
    ) -> None:  # fmt: skip
        with suppress(OSError):
            while part := source.recv(_CHUNK):
                forward(source, sink, part)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def to_server(self, client: socket.socket, server: socket.socket, part: bytes) -> None:
        """Forward what the client sent."""
        server.sendall(part)

    def to_client(self, server: socket.socket, client: socket.socket, part: bytes) -> None:
        """Forward what the server sent."""
        client.sendall(part)


class CommitAnswerLost(Proxy):
    """Postgres: the `nth` COMMIT reaches the server, and the connection dies before its answer comes back."""

    def __init__(self, target: tuple[str, int], nth: int) -> None:
        self._left = nth
        self.lost = threading.Event()
        self._cut: set[int] = set()
        super().__init__(target)

    def to_server(self, client: socket.socket, server: socket.socket, part: bytes) -> None:
        if part.startswith(b"Q") and b"COMMIT" in part:
            self._left -= 1
            if self._left == 0:
                self._cut.add(id(server))
        server.sendall(part)

    def to_client(self, server: socket.socket, client: socket.socket, part: bytes) -> None:
        if id(server) in self._cut:  # the server has answered, so the COMMIT is done
            self.lost.set()
            raise ConnectionResetError
        client.sendall(part)


class BeforeKafka(Proxy):
    """Kafka: the broker's address in answers becomes this one's; requests are seen one by one, by their api key."""

    def __init__(self, target: tuple[str, int], port: int = 0) -> None:
        self._buffers: dict[int, bytes] = {}
        self._real = target[0].encode() + struct.pack(">i", target[1])
        super().__init__(target, port)

    def request(self, api_key: int, client: socket.socket, frame: bytes) -> None:
        """Called with each request, before it is forwarded as `frame`."""

    def to_server(self, client: socket.socket, server: socket.socket, part: bytes) -> None:
        buffer = self._buffers.get(id(client), b"") + part
        while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack_from(">i", buffer)[0]:
            size = 4 + struct.unpack_from(">i", buffer)[0]
            frame, buffer = buffer[:size], buffer[size:]
            self.request(struct.unpack_from(">h", frame, 4)[0], client, frame)
            server.sendall(frame)
        self._buffers[id(client)] = buffer

    def to_client(self, server: socket.socket, client: socket.socket, part: bytes) -> None:
        own = self._real[:-4] + struct.pack(">i", self.port)
        client.sendall(part.replace(self._real, own))


class TransactionEndHeld(BeforeKafka):
    """Kafka: the `nth` EndTxn is held back until `release` is set.

    The connection that carries the held request is cut towards the client, so that librdkafka sends it again on a new
    one while the old one is still on its way to the broker. `answered` is set when that one's answer has come, which is
    `error_code`. While the broker writes down what the next transaction has asked for, it refuses: then it comes again.
    """

    def __init__(self, target: tuple[str, int], nth: int) -> None:
        self._left = nth
        self.held = threading.Event()
        self.release = threading.Event()
        self.answered = threading.Event()
        self.error_code = -1
        self._cut: socket.socket | None = None
        self._frame = b""
        super().__init__(target)

    def request(self, api_key: int, client: socket.socket, frame: bytes) -> None:
        if api_key == END_TRANSACTION:
            self._left -= 1
            if self._left == 0:
                self._cut, self._frame = client, frame
                self.held.set()
                client.shutdown(socket.SHUT_WR)
                self.release.wait(60)

    def to_server(self, client: socket.socket, server: socket.socket, part: bytes) -> None:
        super().to_server(client, server, part)
        if client is self._cut:
            self.answered.wait(60)  # the broker drops a request whose sender is gone before it is read

    def to_client(self, server: socket.socket, client: socket.socket, part: bytes) -> None:
        if client is self._cut and self.release.is_set():  # before it, answers to other requests come
            self.error_code = struct.unpack_from(">h", part, _ERROR_CODE_AT)[0]
            if self.error_code == _CONCURRENT_TRANSACTIONS:
                server.sendall(self._frame)
                return
            self.answered.set()
        super().to_client(server, client, part)


class GoneAtOffsets(BeforeKafka):
    """Kafka: gone for good, without an answer, at the first request that sends offsets to a transaction."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.gone = threading.Event()
        super().__init__(target)

    def request(self, api_key: int, client: socket.socket, frame: bytes) -> None:
        if api_key == OFFSETS_TO_TRANSACTION:
            self.gone.set()
            for one in [self._listener, *self._open]:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # close alone would not wake the threads that read
            self.close()
        if self.gone.is_set():
            raise ConnectionResetError
