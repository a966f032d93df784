"""Numbers in sentences."""


def counted(count: int, noun: str) -> str:
    """`1 command`, `2 commands`, `1,000 commands`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
