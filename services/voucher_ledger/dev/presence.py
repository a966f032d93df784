"""Which directory is looked at, and whether it has a cluster: elsewhere the default is another directory."""

from pathlib import Path

from voucher_ledger.dev import kafka_server, ports, postgres_server


def located(directory: Path) -> Path:
    """The directory in full: what a relative one is depends on where the caller stands."""
    return directory.expanduser().resolve()


def holds_cluster(directory: Path) -> bool:
    """Whether the directory has a cluster, up or down: something of one is in it, or a server of it still runs."""
    directory = located(directory)
    kept = (directory / ports.FILE_NAME, directory / kafka_server.DATA, postgres_server.link_path(directory))
    # A link whose target is gone is a cluster's too, and a directory may be deleted under servers that run.
    return (
        any(path.exists() or path.is_symlink() for path in kept)
        or kafka_server.find(directory) is not None
        or postgres_server.find(directory) is not None
    )
