"""Where the schemas lie: at the top of a checkout, inside the package once it is installed as a wheel."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "schemas"
_CHECKOUT = _PACKAGE.parent.parent / "schemas"


@cache
def schema_root() -> Path:
    """Return the folder that holds `commands/`, `events/`, `postgres/` and `topics.toml`.

    Raises:
        FileNotFoundError: neither a checkout nor a complete installation is around this file.
    """
    # `topics.toml` is looked for, not the folder: an emptied folder must not pass for the schemas.
    for candidate in (_INSTALLED, _CHECKOUT):
        if (candidate / "topics.toml").is_file():
            return candidate
    message = (
        f"no schemas in {_INSTALLED} or {_CHECKOUT}: install voucher-ledger again, or run it from a whole checkout"
    )
    raise FileNotFoundError(message)
