"""Values in the text format of COPY (PostgreSQL manual, COPY, "Text Format"). No IO."""

NULL = r"\N"


def escape(value: str | int | None) -> str:
    r"""`\N` for None; a backslash doubled. Line breaks and tabs cannot come: the schemas refuse control characters."""
    if value is None:
        return NULL
    if isinstance(value, int):
        return str(value)
    return value.replace("\\", "\\\\") if "\\" in value else value
