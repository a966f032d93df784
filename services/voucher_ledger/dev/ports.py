"""The ports of the embedded servers: chosen once, kept in a file, so that they stay the same over down and up."""

import json
import random
import socket
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from voucher_ledger.dev import processes
from voucher_ledger.dev.errors import SetupError

LOOPBACK = "127.0.0.1"
# In the directory of a cluster.
FILE_NAME = "ports.json"
# Below the kernel's ephemeral range (from 32768), so that an outgoing connection never takes a stopped server's port.
PORT_MIN = 20_000
PORT_MAX = 29_999
PICK_ATTEMPTS_MAX = 200
CONNECT_SECONDS_MAX = 1.0
# A killed server of many threads and much memory lets go of its port some time after it looks ended.
RELEASE_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Ports:
    """One directory's ports, all on loopback."""

    kafka: int
    controller: int
    postgres: int


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As the servers do: connections in TIME_WAIT, left by a killed server, are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def becomes_free(port: int) -> bool:
    """Whether a server could listen on this loopback port, now or within `RELEASE_SECONDS_MAX`."""
    return processes.wait_until(lambda: is_free(port), RELEASE_SECONDS_MAX)


def listens(port: int) -> bool:
    """Whether some server accepts connections on this loopback port. Unlike `is_free`, it never holds the port."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(CONNECT_SECONDS_MAX)
        return probe.connect_ex((LOOPBACK, port)) == 0


def pick_free(taken: set[int]) -> int:
    """A free port that is not in `taken`. Raises SetupError when none is found."""
    # Several clusters may start at once; a cryptographic source keeps seeded programs from picking alike.
    source = random.SystemRandom()
    for _ in range(PICK_ATTEMPTS_MAX):
        port = source.randint(PORT_MIN, PORT_MAX)
        if port not in taken and is_free(port):
            return port
    raise SetupError(f"no free port found on {LOOPBACK} between {PORT_MIN} and {PORT_MAX}.")


def pick_all() -> Ports:
    """Three free ports. Raises SetupError when there are none."""
    chosen: list[int] = []
    for _ in range(3):
        chosen.append(pick_free(set(chosen)))
    return Ports(kafka=chosen[0], controller=chosen[1], postgres=chosen[2])


def load(path: Path) -> Ports | None:
    """The ports kept at `path`; None when the file is absent or was damaged (they are then chosen anew)."""
    try:
        found = json.loads(path.read_bytes())
        ports = Ports(kafka=found["kafka"], controller=found["controller"], postgres=found["postgres"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    numbers = (ports.kafka, ports.controller, ports.postgres)
    usable = all(type(number) is int and 0 < number < 65_536 for number in numbers)
    return ports if usable else None


def save(path: Path, ports: Ports) -> None:
    """Write the ports to `path` in one step: a reader sees the old file or the new one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(asdict(ports)) + "\n")
    partial.replace(path)
