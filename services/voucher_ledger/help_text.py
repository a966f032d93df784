"""What `voucher-ledger --help` says below the commands: the variables that are read, and the exit codes."""

from collections.abc import Iterator
from textwrap import wrap

from rich.markup import escape

from voucher_ledger.run.exit_codes import MEANINGS
from voucher_ledger.runtime.settings import CACHE, KAFKA_PREFIX, PREFIX, Settings

# Help has a margin of one column on either side of a terminal's 80.
_COLUMNS = 78


def epilog() -> str:
    """Two lists in two columns."""
    variables = "\n".join(("Environment variables:", *_columns(dict(_variables()))))
    codes = "\n".join(("Exit codes:", *_columns({str(code): meaning for code, meaning in MEANINGS.items()})))
    return f"{variables}\n\n{codes}"


def _variables() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        if name == "kafka_properties":
            yield f"{KAFKA_PREFIX}*", "any librdkafka property, with _ for each dot of its name"
            continue
        default = "needed" if field.is_required() else f"default {field.default}"
        yield f"{PREFIX}{name.upper()}", f"{field.description} ({default})"
    yield CACHE, "where the embedded Kafka's jars are kept (default: the user's cache)"


def _columns(texts: dict[str, str]) -> Iterator[str]:
    width = max(map(len, texts)) + 2
    for name, text in texts.items():
        first, *others = wrap(text, _COLUMNS - width)
        yield f"{name:<{width}}{escape(first)}"
        yield from (" " * width + escape(line) for line in others)
