"""Logs: one structured event per fact that is worth reading; JSON lines for machines, colours on a terminal.

Two times stand in a line: `timestamp`, when it was written, and `event_time`, when it happened in the market. Both
are UTC with milliseconds. Secrets are masked in whatever is logged (`engine.telemetry.masking`).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog

from engine.core.errors import BadInput
from engine.telemetry.masking import Secret, mask_value, masked_fields
from engine.telemetry.step_logger import StepLogger
from engine.telemetry.times import event_time

__all__ = ["Format", "Secret", "StepLogger", "configure_logging", "event_time", "mask_value"]

Format = Literal["auto", "json", "console"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_FIRST_KEYS: Final = ("timestamp", "level", "event", "event_time")
_Fields = MutableMapping[str, Any]


def configure_logging(
    *,
    format: Format = "auto",  # noqa: A002 - it is what its users call it
    level: str = "info",
    stream: TextIO | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Send all logs of this process to a stream, standard error unless another is given.

    `auto` writes for people where the stream is a terminal and JSON lines elsewhere. Records of libraries that use
    `logging` come out the same way, from their warnings up.

    Raises BadInput for an unknown format or level.
    """
    target = sys.stderr if stream is None else stream
    is_console = _is_console(format, target)
    numeric_level = _level(level)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _timestamper(now_ns),
    ]
    final: list[Any] = [structlog.processors.format_exc_info, _mask, _order, *_renderers(is_console=is_console)]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        context_class=dict,
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    _adopt_library_logs(shared, final, target, max(numeric_level, logging.WARNING))


def _is_console(wanted: str, stream: TextIO) -> bool:
    if wanted not in {"auto", "json", "console"}:
        raise BadInput(f"The log format {wanted!r} is unknown: choose auto, json or console.")
    return wanted == "console" or (wanted == "auto" and stream.isatty())


def _level(name: str) -> int:
    try:
        return _LEVELS[name.lower()]
    except KeyError:
        raise BadInput(f"The log level {name!r} is unknown: choose one of {', '.join(_LEVELS)}.") from None


def _timestamper(now_ns: Callable[[], int]) -> Callable[[Any, str, _Fields], _Fields]:
    def stamp(_logger: object, _method: str, fields: _Fields) -> _Fields:
        fields["timestamp"] = event_time(now_ns())
        return fields

    return stamp


def _mask(_logger: object, _method: str, fields: _Fields) -> _Fields:
    return masked_fields(fields)


def _order(_logger: object, _method: str, fields: _Fields) -> _Fields:
    first = {key: fields.pop(key) for key in _FIRST_KEYS if key in fields}
    return {**first, **fields}


def _renderers(*, is_console: bool) -> list[Any]:
    if is_console:
        # The traceback is text by now: rich would show local variables, and secrets are among them.
        return [
            structlog.dev.ConsoleRenderer(
                colors=True, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return [structlog.processors.JSONRenderer(serializer=_json)]


def _json(fields: object, **_settings: object) -> str:
    return msgspec.json.encode(fields).decode()


# One handler of ours on the root logger; a second call replaces it.
class _LibraryHandler(logging.StreamHandler[TextIO]):
    # The log file of a run that has ended is closed, and a library may still have something to say.
    def emit(self, record: logging.LogRecord) -> None:
        if not self.stream.closed:
            super().emit(record)


def _adopt_library_logs(shared: list[Any], final: list[Any], stream: TextIO, level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    handler = _LibraryHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root.addHandler(handler)
