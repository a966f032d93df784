"""Logs go to standard error: readable on a terminal, one JSON object a line elsewhere."""

import logging
import sys

import structlog


def are_json() -> bool:
    """Whether a program reads standard error: each line of it is then to be a JSON object."""
    return not sys.stderr.isatty()


def configure(*, verbose: bool = False) -> None:
    """Set up structlog for this process; `verbose` shows retries and the Kafka client's troubles too."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if are_json() else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        # Asked for anew with each line: a stream that was replaced and closed since then must end no thread that logs.
        # Text and line break in one write: processes that share the stream would come between them.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
