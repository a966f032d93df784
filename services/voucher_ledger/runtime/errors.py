"""How a processor may fail, told apart by what is to be done about it."""


class Unreachable(Exception):
    """Kafka or Postgres does not answer (exit code 3)."""


class SessionLost(Exception):
    """Connection, producer or partitions are lost: leave everything, start a new session and recover."""


class Fenced(SessionLost):
    """Kafka refused this instance's name or transactional id: another has it, or Kafka itself gave this one up (after a
    pause, or a broker's crash). The next session begins only if this process still holds the name in Postgres.
    """


class Inconsistent(Exception):
    """Positions, offsets, outbox or topics contradict each other: a person must look before anything is decided."""
