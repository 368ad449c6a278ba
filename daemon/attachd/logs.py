"""Log lines: structlog rendered through the standard library's handlers.

So the records of libraries come out in the same shape, and every line passes the redaction and the
path escaping here.

Event names are snake_case, one per kind of event, all of them in `log_events`; everything else is a field.
"""

import contextlib
import logging
import os
import re
import select
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import Context
from typing import Any, TextIO

import structlog

from attachd.log_repeats import Repeats
from attachd.printable import safe_text, without_secrets

log = structlog.get_logger("attachd")

_SIGNED_QUERY = re.compile(r"(?i)((?:https?://|\burl: /)[^\s\"'<>?]*)\?[^\s\"'<>]*")
_USER = re.compile(r"(?i)\b(https?://)[^\s/@\"'<>]+@")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|authorization\W{1,4}(?:token|basic)?)\s*[A-Za-z0-9._~+/=-]{8,}")
_SIGNATURE = re.compile(
    r"(?i)\b(x-(?:amz|goog)-(?:signature|credential|security-token)|signature|(?<=[?&])sig|awsaccesskeyid"
    r"|access_token|refresh_token|client_secret)=[^&\s\"'<>]+"
)
_SYSLOG_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_SILENT = ("watchdog", "fsevents")  # what they lose the folder tells; urllib3 is silenced where it is used

_repeats = Repeats()

_PIPE_BUF = 4096
"""What a pipe that is ready to be written takes at once (pipe(7)); a journal's socket takes more."""

_PATIENCE_MS = 1000


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, and never lets anybody wait for whoever reads them.

    Falls silent when the other end takes nothing any more (full disk, closed pipe). Where nobody reads a full
    pipe, lines are dropped after a second, and counted: deliveries matter more than what is said about them.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._descriptor = _descriptor_of(stream)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, called with the handler's lock."""
        if self._descriptor is None:
            super().emit(record)
            return
        try:
            line = self.format(record) + self.terminator
            self._write(self._descriptor, line.encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 - as in logging's own handlers: a log line never raises
            self.handleError(record)

    def _write(self, descriptor: int, line: bytes) -> None:
        # A reader who has not read for a second is not waited for again until he reads.
        if not _takes(descriptor, 0 if self._dropped else _PATIENCE_MS):
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            Context().run(_tell_dropped, dropped)  # comes back here, and is written before this line
        while line and _takes(descriptor, _PATIENCE_MS):
            line = line[os.write(descriptor, line[:_PIPE_BUF]) :]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
            return
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor has none to replace
            # Else what stands in the buffer fails once more at exit, and the exit code with it.
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), self.stream.fileno())


def _tell_dropped(lines: int) -> None:
    log.error("log_lines_dropped", lines=lines)


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # a stream without a descriptor
        return None


def _takes(descriptor: int, milliseconds: int) -> bool:
    """Say whether a write of at most `_PIPE_BUF` bytes would not block, after a while at most."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(milliseconds))  # true for a closed pipe too: the write then says so


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process, to stderr unless `stream` is given.

    Args:
        level: `debug`, `info`, `warning` or `error`. With `debug` nothing is grouped.
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
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            *([] if level == "debug" else [_group]),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def tell_repeated(*, at_once: bool = False) -> None:
    """Write a line for each trouble that came again within its minute, once the minute is over.

    Every line that is logged does so too; somebody has to call it where there are none.

    Args:
        at_once: do not wait for the minute's end: the service ends.
    """
    for line in _repeats.due(time.monotonic(), at_once=at_once):
        Context().run(_tell, line)  # what this thread has to do right now is no part of it


def _tell(line: dict[str, Any]) -> None:
    level = logging.getLevelNamesMapping()[str(line.pop("level", "info")).upper()]
    structlog.get_logger("attachd").log(level, "repeated", **line)


def _group(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    tell_repeated()
    if not _repeats.take(dict(event), time.monotonic()):
        raise structlog.DropEvent
    return event


def redact(text: str) -> str:
    """Take user and query of every URL, every authorization value and every known secret out of a text.

    A URL may stand there without its host, as in urllib3's errors: what makes it a key goes all the same.
    """
    text = _USER.sub(r"\1***@", _SIGNED_QUERY.sub(r"\1?***", without_secrets(text)))
    return _SIGNATURE.sub(r"\1=***", _AUTHORIZATION.sub(r"\1 ***", text))


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact and escape every text of an event (a structlog processor)."""
    for key, value in event.items():
        if key == "exception":
            event[key] = "\n".join(safe_text(line) for line in redact(str(value)).split("\n"))
        else:
            event[key] = _harmless(value)
    return event


def _harmless(value: Any) -> Any:
    if isinstance(value, str | BaseException):
        return safe_text(redact(str(value)))
    if isinstance(value, Mapping):
        return {key: _harmless(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(each) for each in value]
    return value


def _renderers(form: str, stream: TextIO) -> list[Any]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if form == "auto" and is_journal(stream):
        return [_journal_line]
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    return [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, sort_keys=False)]


def is_journal(stream: TextIO) -> bool:
    """Say whether a stream is the one that `$JOURNAL_STREAM` names."""
    journal = os.environ.get("JOURNAL_STREAM", "")
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream without a descriptor is no journal
        return False
    return journal == f"{stat.st_dev}:{stat.st_ino}"


def with_priority(lines: Sequence[str], level: str) -> list[str]:
    """Begin each line with its priority, as the journal reads it (sd-daemon(3))."""
    return [f"<{_SYSLOG_PRIORITY.get(level, 6)}>{line}" for line in lines]


def _journal_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    # sd-daemon(3): a leading "<N>" is the priority; the journal has the time itself.
    event.pop("timestamp", None)
    level = str(event.pop("level", "info"))
    name = event.pop("event", "")
    trace = event.pop("exception", "")
    fields = " ".join(f"{key}={value!r}" for key, value in event.items())
    lines = [f"{name} {fields}".rstrip(), *str(trace).splitlines()]
    return "\n".join(with_priority(lines, level))
