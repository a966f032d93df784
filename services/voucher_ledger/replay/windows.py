"""The moments between which a tool that writes may be killed. Tests pass their own to stop one exactly there."""


class ToolWindows:
    """Called at each moment of one transaction's way; does nothing."""

    def begun(self) -> None:
        """The transaction is open; nothing is sent."""

    def sent(self) -> None:
        """The records are sent and acknowledged; what tells of them (marks, offsets) is not."""

    def before_commit(self) -> None:
        """All of the transaction is sent; nothing is committed."""

    def committed(self) -> None:
        """The transaction is committed; the tool has not noted it."""


NO_WINDOWS = ToolWindows()
