"""How a processor may fail, told apart by what is to be done about it."""


class Unreachable(Exception):
    """Kafka or Postgres does not answer (exit code 3)."""


class SessionLost(Exception):
    """Connection, producer or partitions are lost: leave everything, start a new session and recover."""


class Fenced(Exception):
    """Another process has this instance's name: exit, so that the two do not fight."""


class Inconsistent(Exception):
    """Positions, offsets and outbox contradict each other: a person must look before anything is decided."""
