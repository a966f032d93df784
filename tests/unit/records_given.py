"""A consumed record, or the end of a partition, as a reader of topics sees it."""

from confluent_kafka import KafkaError


class Record:
    """A record at an offset of `place`, or with a `code` the end of the partition there."""

    def __init__(self, place: tuple[str, int], offset: int, code: int | None = None) -> None:
        self._place, self._offset, self._code = place, offset, code

    def error(self) -> KafkaError | None:
        return None if self._code is None else KafkaError(self._code)

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset
