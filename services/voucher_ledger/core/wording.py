"""Numbers in sentences."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 command`, `2 commands`, `1,000 commands`; `plural` where that is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
