"""Measures pictures before they are uploaded, in a process of their own that can do nothing else.

One process for each picture: it takes about a tenth of a second to start, and nothing that one hostile
picture does to it can reach the next. No trouble with a picture ever keeps its file from being uploaded.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePath
from threading import BoundedSemaphore, Event, Timer
from typing import IO

import structlog

from attachd.core.protocols import OpenFile
from attachd.errors import StopRequested

log = structlog.get_logger("attachd")

ENDINGS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp"))
"""Files with another ending are not looked into; what is inside is then told by the content."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is measured: all of it has to be in that process's memory."""

SECONDS = 20.0
"""After this long the process is killed."""

AT_ONCE = 2
"""Processes at a time, over all destinations: each may take 768 MiB at worst."""

_BLOCK = 1024 * 1024
_PROGRAM = Path(__file__).with_name("picture_process.py")
_ANSWER = re.compile(rb"([1-9]\d{0,8}) ([1-9]\d{0,8})\n(?:([0-9A-Za-z#$%*+,.:;=?@\[\]^_{|}~-]{28})\n)?")
_LONGEST_ANSWER = 100
_places = BoundedSemaphore(AT_ONCE)


def measure(file: OpenFile, filename: str, *, stopped: Event | None = None) -> Mapping[str, str]:
    """Give `width` and `height` in pixels as displayed, and `blur_hash`, of a picture; {} of anything else.

    Of a damaged picture, `blur_hash` is missing. Without the extra `images` nothing is measured.

    Args:
        file: read from its start; left somewhere in it.
        filename: its ending tells whether it may be a picture.
        stopped: set when a stop cannot wait any longer.

    Raises:
        FileUnreadable: the system refuses to go on reading the file.
        StopRequested: the service stops.
    """
    if PurePath(filename).suffix.lower() not in ENDINGS or not _installed():
        return {}
    said = b""
    if file.size <= LARGEST:
        with _places:
            said = _ask(file, stopped or Event())
    match = _ANSWER.match(said)
    if match is None:
        log.info("picture_not_measured", filename=filename, size=file.size)
        return {}
    names = ("width", "height", "blur_hash")
    return {name: value.decode() for name, value in zip(names, match.groups(), strict=True) if value}


@cache
def _installed() -> bool:
    return find_spec("PIL") is not None and find_spec("blurhash") is not None


def _ask(file: OpenFile, stopped: Event) -> bytes:
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program, no part of the command is a file's
            [sys.executable, "-I", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the service, which finishes its call
        )
    except OSError as error:
        log.info("picture_process_not_started", why=str(error))
        return b""
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        limit = Timer(SECONDS, process.kill)
        limit.daemon = True
        limit.start()
        try:
            _feed(file, process.stdin, stopped)
            return process.stdout.read(_LONGEST_ANSWER)
        finally:
            limit.cancel()
            process.kill()


def _feed(file: OpenFile, pipe: IO[bytes], stopped: Event) -> None:
    file.rewind()
    left = file.size
    try:
        with pipe:
            while block := file.read(min(_BLOCK, left)):
                if stopped.is_set():
                    raise StopRequested("the service stops")
                pipe.write(block)
                left -= len(block)
    except BrokenPipeError:  # it ended, or was ended; what it said until then counts
        return
