"""Log lines: structlog rendered through the standard library's handlers.

So watchdog's and urllib3's records come out in the same shape, and every line passes the redaction and the
path escaping here.

Event names are snake_case, one per kind of event; everything else is a field.
"""

import contextlib
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_SIGNED_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|authorization\W{1,4}(?:token|basic)?)\s*[A-Za-z0-9._~+/=-]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]|[\udc80-\udcff]")
_SYSLOG_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_NOISY = ("watchdog", "fsevents")  # urllib3 is silenced where it is used: its records hold signed URLs


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, and falls silent when the other end takes nothing any more (full disk, closed pipe)."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
            return
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor has none to replace
            # Else what stands in the buffer fails once more at exit, and the exit code with it.
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), self.stream.fileno())


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process, to stderr unless `stream` is given.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: `auto`, `console` or `json`. `auto` is priorities under the journal (stderr is the stream
            that `$JOURNAL_STREAM` names, systemd.exec(5)), else console.
        stream: where lines go.
    """
    target = stream or sys.stderr
    handler = _Handler(target)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(form, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(text: str) -> str:
    """Take the query of every URL and every authorization value out of a text."""
    return _AUTHORIZATION.sub(r"\1 ***", _SIGNED_QUERY.sub(r"\1?***", text))


def safe_text(text: str) -> str:
    r"""Make a text safe for one log line: control characters and undecodable bytes as `\\xNN`."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact and escape every text of an event (a structlog processor)."""
    for key, value in event.items():
        if isinstance(value, str):
            text = redact(value)
            event[key] = text if key == "exception" else safe_text(text)
        elif isinstance(value, BaseException):
            event[key] = safe_text(redact(str(value)))
    return event


def _renderers(form: str, stream: TextIO) -> list[Any]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if form == "auto" and _is_journal(stream):
        return [_journal_line]
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    return [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, sort_keys=False)]


def _is_journal(stream: TextIO) -> bool:
    journal = os.environ.get("JOURNAL_STREAM", "")
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream without a descriptor is no journal
        return False
    return journal == f"{stat.st_dev}:{stat.st_ino}"


def _journal_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    # sd-daemon(3): a leading "<N>" is the priority; the journal has the time itself.
    event.pop("timestamp", None)
    level = str(event.pop("level", "info"))
    name = event.pop("event", "")
    trace = event.pop("exception", "")
    fields = " ".join(f"{key}={value!r}" for key, value in event.items())
    line = f"<{_SYSLOG_PRIORITY.get(level, 6)}>{name} {fields}".rstrip()
    return f"{line}\n{trace}" if trace else line
