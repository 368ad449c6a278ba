"""Tells the files that lay in a folder before its first start, for `existing: ignore`.

Such a file is seen by the folder's first complete scan, no hint told of it or of a directory above it since
the start, and its ctime lies before the first start. In doubt it is none, and is uploaded. The first scan
begins anew after a crash; what arrived in between has a later ctime.
"""

from collections.abc import Iterator

from attachd.core.settings import Existing
from attachd.model import FolderRecord, Signs

MEMORY = 100_000
"""Hinted paths that are kept at most; beyond, every file is in doubt."""

_GRAIN = 20_000_000
"""Nanoseconds by which the coarse clock that ctime is taken from may be late: two ticks at 100 Hz."""


class ExistingFiles:
    """What was there before. Owned by the folder's thread.

    Args:
        existing: what rules.yaml says.
        record: knows when the folder was first started, and whether its first scan is done.
    """

    def __init__(self, existing: Existing, record: FolderRecord) -> None:
        self._before_ns = int(record.first_started_at.timestamp() * 1_000_000) * 1000 - _GRAIN
        self._is_wanted = existing is Existing.IGNORE and not record.first_scan_done
        self._hinted: set[str] = set()

    @property
    def is_wanted(self) -> bool:
        """Say whether any file may still count as existing."""
        return self._is_wanted

    def note_hint(self, path: str) -> None:
        """Note that a hint told of a path."""
        if not self._is_wanted:
            return
        if len(self._hinted) < MEMORY:
            self._hinted.add(path)
        else:
            self.end()

    def end(self) -> None:
        """Take no file for existing any more: the first scan is done, or hints were lost."""
        self._is_wanted = False
        self._hinted.clear()

    def covers(self, path: str, signs: Signs) -> bool:
        """Say whether a file lay there before the first start."""
        return (
            self._is_wanted
            and signs.ctime_ns < self._before_ns
            and not any(part in self._hinted for part in _with_parents(path))
        )


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
