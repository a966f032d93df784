"""What is wrong with what a planner was given."""


class BadInput(Exception):
    """A file can't be used; the text names the file, the line or field, and why."""
