"""What a folder tells others: files and their fates through a sink, its own health as a value."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from attachd.model import ErrorInfo, SettledFile, Signs


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What lay in a folder when it was started for the first time, and is to be uploaded.

    `is_whole`: everything was counted; otherwise there is more than that.
    """

    files: int
    size: int
    is_whole: bool


class Sink(Protocol):
    """Who takes what a folder finds. Called from the threads of all folders.

    Every method may block while there is too much to do, which slows the folder down as it should, and
    returns at once when the service stops. The same file may be told of more than once.
    """

    def settled(self, file: SettledFile) -> None:
        """Take a file that nobody is writing any more."""
        ...

    def unmatched(self, folder_id: int, path: str, signs: Signs, reason: ErrorInfo) -> None:
        """Take something that is no regular file."""
        ...

    def parked(self, folder_id: int, path: str, signs: Signs, reason: ErrorInfo) -> None:
        """Take a file that is quiet and still not complete."""
        ...

    def gone(self, folder_id: int, path: str) -> None:
        """Take that a path is gone whose absence matters; the folder was there when this was seen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderHealth:
    """How a folder fares.

    Attributes:
        path: absolute, in `os.fsdecode` form.
        watch: `events`, or `scan` where no events are to be had.
        healthy: False while the folder is out, or a part of it cannot be read.
        is_out: the folder is not there: its deliveries have to wait.
        detail: what is wrong, in words, or "".
        last_scan_at: end of the last complete scan in this run, UTC.
        scanned_at: the same on the monotonic clock; before the first scan, when watching began.
        files_seen: regular files in the last complete scan.
        found_by_hint: files that settled in this run, first noticed by a hint.
        found_by_scan: files that settled in this run, first noticed by a scan.
        directories: those that the last complete scan read.
        watches: directories that bring events.
        watch_limit: how many the kernel lets one user watch; None where that is not known.
        backlog: what the first run of the folder found there, while its first scan is not complete.
        scanning: whether a scan is under way.
        settling: files that are being waited for.
        is_idle: a scan is complete and nothing is left to look at, to wait for or to report.
    """

    path: str
    watch: str
    healthy: bool
    is_out: bool
    detail: str
    last_scan_at: datetime | None
    scanned_at: float
    files_seen: int
    found_by_hint: int
    found_by_scan: int
    directories: int
    watches: int
    watch_limit: int | None
    backlog: Backlog | None
    scanning: bool
    settling: int
    is_idle: bool
