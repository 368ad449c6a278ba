"""Scans a folder from time to time, in steps: what is new, and what is gone."""

import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from attachd.core.folder_ledger import FolderLedger
from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.errors import FileError, FileGone
from attachd.folders import reach, walk
from attachd.folders.backlog import FirstCount
from attachd.folders.existing import ExistingFiles
from attachd.folders.looks import Looks
from attachd.folders.root import Root
from attachd.folders.scan import BATCH, Batch, scan
from attachd.folders.sieve import Sieve
from attachd.model import FolderRecord

SHORTEST_PAUSE = 10.0
"""Seconds between scans of a folder where hints turned out to be missing."""

log = structlog.get_logger("attachd")


@dataclass(slots=True)
class _Tally:
    seen: int = 0
    directories: int = 0
    last_directory: str | None = None
    news: int = 0
    unreadable: int = 0
    first_unreadable: str = ""


class Rounds:
    """The scans of one folder. Owned by the folder's thread.

    A round is a whole scan and then a sweep over the paths whose absence would matter. Directories that
    a hint told of are scanned in between, at once.

    Attributes:
        first_count: what the folder held before its first scan.
        hints_expected: whether the folder is watched for events, so that a scan should find nothing new.
        names_changed: whether other names than in the last whole round may be ignored. Any thread may set it.
        completed: whole rounds in this run.
        last_scan_at: end of the last complete scan, UTC.
        scanned_at: the same on the monotonic clock; before the first scan, when watching began.
        files_seen: regular files in it.
        directories: those that it read.
        unreadable: the directories that it could not read, in words, or "".
    """

    def __init__(
        self,
        *,
        root: Root,
        record: FolderRecord,
        ledger: FolderLedger,
        sieve: Sieve,
        looks: Looks,
        existing: ExistingFiles,
        clock: Clock,
    ) -> None:
        self._root = root
        self._record = record
        self._ledger = ledger
        self._sieve = sieve
        self._looks = looks
        self._existing = existing
        self._clock = clock
        self._first_done = record.first_scan_done
        self.first_count = FirstCount(root.path, sieve, clock)
        self._round: Iterator[None] | None = None
        self._branch: Iterator[None] | None = None
        self._branches: dict[str, None] = {}
        self._ended_at = -math.inf
        self._pause = math.inf
        self.hints_expected = False
        self.names_changed = True
        self.completed = 0
        self.last_scan_at: datetime | None = None
        self.scanned_at = clock.monotonic()
        self.files_seen = self.directories = 0
        self.unreadable = ""

    @property
    def is_active(self) -> bool:
        """Say whether a step is to be made."""
        return self._round is not None or self.has_branches

    @property
    def has_branches(self) -> bool:
        """Say whether a directory that a hint told of is to be read, or read on."""
        return self._branch is not None or bool(self._branches)

    @property
    def is_scanning(self) -> bool:
        """Say whether a whole round is under way."""
        return self._round is not None

    def due_at(self, base: float) -> float:
        """Give the time of the next round: `base` seconds after the last, sooner after hints were missed."""
        self._pause = min(self._pause, base)
        return self._ended_at + self._pause

    def begin(self) -> None:
        """Begin a round; the caller asks `is_scanning` before."""
        self._round = self._steps()

    def add_branch(self, directory: str) -> None:
        """Have a directory scanned at once, because a hint told of it; one above it brings it as well."""
        above = directory
        while above:
            above = above.rpartition("/")[0]
            if above in self._branches:
                return
        self._branches[directory] = None

    def step(self) -> None:
        """Read one batch of entries; hinted directories go first.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        if self._branch is None and self._branches:
            directory = next(iter(self._branches))
            del self._branches[directory]
            self._branch = self._scan(directory, _Tally(), hinted=True)
        if self._branch is not None:
            if _is_over(self._branch):
                self._branch = None
        elif self._round is not None and _is_over(self._round):
            self._round = None

    def abandon(self) -> None:
        """Stop scanning: the folder is out. The next round is due at once."""
        self._round = self._branch = None
        self._branches.clear()
        self._ended_at = -math.inf
        self.names_changed = True

    def _steps(self) -> Iterator[None]:
        tally = _Tally()
        if not self._first_done and not self._existing.is_wanted:
            yield from self.first_count.steps()
        began = self._clock.monotonic()
        yield from self._scan("", tally, hinted=False)
        if problem := self._root.problem():
            raise walk.RootOut(problem)
        self._finish_scan(tally, began)
        yield from self._sweep()
        yield from self._forget_ignored()
        yield from self._look_at_parked()
        missed = self.hints_expected and self.completed > 0 and tally.news > 0
        self._ended_at = self._clock.monotonic()
        self._pause = next_pause(self._pause, missed=missed)
        self.completed += 1

    def _scan(self, start: str, tally: _Tally, *, hinted: bool) -> Iterator[None]:
        batches = scan(
            self._root.path,
            start,
            known=lambda directory: self._ledger.known(self._record.id, directory),
            among=lambda directory, names: self._ledger.known_among(self._record.id, directory, names),
            ignores=self._sieve.ignores,
        )
        for batch in batches:
            self._take(batch, tally, hinted=hinted)
            yield

    def _take(self, batch: Batch, tally: _Tally, *, hinted: bool) -> None:
        tally.seen += batch.seen
        tally.directories += batch.directory != tally.last_directory
        tally.last_directory = batch.directory
        if batch.trouble and not batch.directory:
            raise walk.RootOut(f"the folder itself cannot be read: {batch.trouble}")
        if batch.trouble or batch.odd_entry:
            what = escape(batch.trouble or batch.odd_entry)
            tally.unreadable += 1
            tally.first_unreadable = tally.first_unreadable or f"{escape(batch.directory) or '.'}: {what}"
        existing = []
        for found in batch.found:
            if not hinted and self._existing.covers(found.path, found.signs):
                existing.append((found.path, found.signs))
            else:
                tally.news += self._looks.consider(found, hinted=hinted) and found.kind is None
        if existing:
            self._ledger.record_existing(self._record.id, existing, self._clock.now())

    def _finish_scan(self, tally: _Tally, began: float) -> None:
        if not self._first_done:
            self._ledger.finish_first_scan(self._record.id)
            self._first_done = True
        self.first_count.end()
        self._existing.end()
        self.last_scan_at = self._clock.now()
        self.scanned_at = self._clock.monotonic()
        self.files_seen = tally.seen
        self.directories = tally.directories
        self.unreadable = _name_unreadable(tally)
        say = log.info if tally.news or not self.completed else log.debug
        say(
            "scan_finished",
            folder=escape(self._root.path),
            files=tally.seen,
            news=tally.news,
            unreadable=tally.unreadable,
            seconds=round(self._clock.monotonic() - began, 3),
        )

    def _sweep(self) -> Iterator[None]:
        for number, path in enumerate(self._ledger.pending_paths(self._record.id), start=1):
            if self._is_gone(path):
                self._looks.report_gone(path)
            if number % BATCH == 0:
                yield

    def _forget_ignored(self) -> Iterator[None]:
        """Report as gone what was noted before its name was ignored, or became the name of a marker."""
        if not self.names_changed:
            return
        self.names_changed = False
        for number, path in enumerate(self._ledger.noted_paths(self._record.id), start=1):
            if self._sieve.ignores(path, is_directory=False):
                self._looks.report_gone(path)
            if number % BATCH == 0:
                yield

    def _look_at_parked(self) -> Iterator[None]:
        """Take up what is whole by now although nothing of it changed: its marker came, or other rules."""
        for path in self._ledger.parked_paths(self._record.id):
            if self._looks.settler.room >= BATCH and path not in self._looks.settler:
                self._looks.reconsider(path)
            yield

    def _is_gone(self, path: str) -> bool:
        """Say whether no file is there any more; a directory in its place is none."""
        try:
            if not stat.S_ISDIR(reach.look(self._root.path, path).st_mode):
                return False
        except walk.RootOut:
            raise
        except FileError as error:  # where nobody knows, or a link is above it, the worker finds that
            if not isinstance(error, FileGone):
                return False
        if problem := self._root.problem():
            raise walk.RootOut(problem)
        return True


def next_pause(pause: float, *, missed: bool) -> float:
    """Decide how long to rest: half as long after a scan found what hints should have told, else twice.

    The caller caps it at the folder's `rescan`.
    """
    return max(min(pause, SHORTEST_PAUSE), pause / 2) if missed else pause * 2


def _is_over(steps: Iterator[None]) -> bool:
    return next(steps, steps) is steps


def _name_unreadable(tally: _Tally) -> str:
    if not tally.unreadable:
        return ""
    count = "one directory" if tally.unreadable == 1 else f"{tally.unreadable} directories"
    first = "" if tally.unreadable == 1 else "first "
    return f"{count} cannot be read, {first}{tally.first_unreadable}"
