"""The manual pages that --help shows."""


def manual(text: str) -> str:
    """`text` for Typer: paragraphs, parted by empty lines, are laid out to the terminal's width and not to ours."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
