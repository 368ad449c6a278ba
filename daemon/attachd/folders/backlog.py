"""Counts what lies in a folder before its first scan, so that a large upload is announced before it begins.

Nothing can be uploaded before it is quiet for `settle`, so a short count delays nothing that matters: it ends
after `COUNTED_FOR` seconds (a local disk tells of a million files in about that time), and says then that
there is more. The scan that follows goes on where it may take as long as it likes.
"""

from collections.abc import Iterator

import structlog

from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.errors import FileError
from attachd.folders.scan import scan
from attachd.folders.sieve import Sieve
from attachd.folders.sink import Backlog

COUNTED_FOR = 2.0
"""Seconds that the count takes at most."""

LARGE_FILES, LARGE_SIZE = 1000, 1024**3
"""From so many files or bytes on it is a warning: somebody may have meant `existing: ignore`."""

log = structlog.get_logger("attachd")


class FirstCount:
    """The count of one folder. Owned by the folder's thread.

    Attributes:
        found: so far; None while there is nothing to tell.
    """

    def __init__(self, root: str, sieve: Sieve, clock: Clock) -> None:
        self._root = root
        self._sieve = sieve
        self._clock = clock
        self.found: Backlog | None = None
        self._is_told = False

    def steps(self) -> Iterator[None]:
        """Count in steps, and announce the sum with the last one; once in a run."""
        if self._is_told:
            return
        ends_at = self._clock.monotonic() + COUNTED_FOR
        files = size = 0
        is_whole = True
        try:
            for batch in scan(self._root, "", known=lambda _: set(), ignores=self._sieve.ignores):
                files += batch.seen
                size += sum(found.signs.size for found in batch.found if found.kind is None)
                if self._clock.monotonic() >= ends_at:
                    is_whole = False
                    break
                yield
        except FileError:
            is_whole = False  # the scan that follows meets the same, and says what it means
        self._is_told = True
        self.found = Backlog(files=files, size=size, is_whole=is_whole)
        self._announce(self.found)

    def end(self) -> None:
        """Forget the sum: the first scan is complete."""
        self.found = None

    def _announce(self, backlog: Backlog) -> None:
        is_large = backlog.files >= LARGE_FILES or backlog.size >= LARGE_SIZE or not backlog.is_whole
        tell = log.warning if is_large else log.info
        hint = {"hint": "`existing: ignore` would leave them alone"} if is_large else {}
        counted = {"files": backlog.files, "bytes": backlog.size, "counted_all": backlog.is_whole}
        tell("first_run", folder=escape(self._root), **counted, **hint)


def in_words(backlog: Backlog) -> str:
    """Say what is being taken up: `first run: 1200 files (3.4 GB) lay here`."""
    size, unit = float(backlog.size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    amount = f"{backlog.size} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
    least = "" if backlog.is_whole else "at least "
    return f"first run: {least}{backlog.files} files ({amount}) lay here and are taken up"
