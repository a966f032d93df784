"""The moments between which a processor may die. Tests pass their own to stop a process exactly there."""


class Windows:
    """Called at each moment of a batch's way; does nothing."""

    def before_decide(self) -> None:
        """The batch is in hand; nothing of it is in Postgres."""

    def before_commit(self) -> None:
        """Everything is written in the batch's transaction, nothing is committed."""

    def after_commit(self) -> None:
        """Postgres has committed; nothing of the batch is on its way to Kafka."""

    def in_transaction(self) -> None:
        """The events and offsets are sent in an open Kafka transaction."""

    def after_publish(self) -> None:
        """The Kafka transaction is committed; the outbox is not yet pruned."""
