"""JSON lines on standard output, each with the request's id where there is one."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import orjson
import structlog


def _dumps(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configure_logs(service: str, *, level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records through one JSON formatter."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()
    _SERVICE["service"] = service


_SERVICE: dict[str, str] = {}


def present_request() -> str | None:
    """Return the id of the request that is being answered, None outside of one."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def as_part_of(request_id: str | None) -> AbstractContextManager[None]:
    """Have lines name a request that was answered before, by another process."""
    if request_id is None:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(request_id=request_id)


def logger() -> Any:
    """Return a logger that names the service."""
    return structlog.get_logger(**_SERVICE)
