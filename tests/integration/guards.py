"""Takes single guards out of a processor, for the negative controls: without it, the checks must find a fault."""

from collections.abc import Callable

GUARDS: dict[str, Callable[[], None]] = {}
