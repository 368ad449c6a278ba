"""Looks at single files until they are settled, and reports them."""

import os
import stat
from collections import OrderedDict

import structlog

from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.core.settling import Settler, Settling, Verdict
from attachd.errors import FileError
from attachd.folders import walk
from attachd.folders.scan import Found
from attachd.folders.sieve import Sieve
from attachd.folders.sink import Sink
from attachd.model import ErrorInfo, ErrorKind, SettledFile, Signs

REPORTED_KEPT = 10_000
REPORTED_FOR = 60.0
"""How many reports are remembered, and for how many seconds: intake has written them long before."""

log = structlog.get_logger("attachd")


class Looks:
    """The files of one folder on their way to being settled. Owned by the folder's thread.

    Hinted files are not compared with the ledger: a hint for a known file is rare and costs intake one
    look-up, while asking for a whole directory at every hint would cost more the fuller the directory is.
    """

    def __init__(self, *, root: str, folder_id: int, sieve: Sieve, sink: Sink, clock: Clock) -> None:
        self._root = root
        self._folder_id = folder_id
        self._sieve = sieve
        self._sink = sink
        self._clock = clock
        self._reported = _Reported()
        self._hinted: set[str] = set()
        self.settler = Settler(0.0)
        self.found_by_hint = 0
        self.found_by_scan = 0

    def look_at_hint(self, path: str, *, doubted: bool) -> bool:
        """Look at a hinted path; True for a directory, which is to be scanned.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        if doubted:
            self._reported.forget(path)
        facts = self._facts(path)
        if facts is None:
            return False
        is_directory = stat.S_ISDIR(facts.st_mode)
        if self._sieve.ignores(path, is_directory):
            return False
        if is_directory:
            return True
        self.settler.touched(path, self._clock.monotonic())
        self.consider(Found(path=path, signs=Signs.of(facts), kind=walk.kind_of(facts.st_mode)), hinted=True)
        return False

    def look_at_due(self) -> None:
        """Look again at every file whose wait is over.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        for path in self.settler.due(self._clock.monotonic()):
            facts = self._facts(path)
            if facts is None:
                continue
            if stat.S_ISDIR(facts.st_mode):
                self._forget(path)
            else:
                self.consider(Found(path=path, signs=Signs.of(facts), kind=walk.kind_of(facts.st_mode)))

    def consider(self, found: Found, *, hinted: bool = False) -> bool:
        """Take in what one look showed; True where it is news: not reported and not waited for before."""
        now = self._clock.monotonic()
        if self._reported.holds(found.path, found.signs, now):
            self._forget(found.path)
            return False
        if found.kind is not None:
            self._report_irregular(found, found.kind, now)
            return True
        is_news = found.path not in self.settler
        if is_news and hinted:
            self._hinted.add(found.path)
        verdict = self.settler.observe(found.path, found.signs, now)
        if verdict.settling is not Settling.WAIT:
            self._report(found, verdict, now)
        return is_news

    def report_gone(self, path: str) -> None:
        """Report that a path is gone; if the same file comes back, it is news."""
        self._forget(path)
        self._reported.forget(path)
        self._sink.gone(self._folder_id, path)

    def begin(self, settle: float) -> None:
        """Wait for no file yet, and for `settle` seconds for each from now on; a scan follows."""
        self.settler = Settler(settle)
        self._hinted.clear()

    def _facts(self, path: str) -> os.stat_result | None:
        try:
            return walk.look(self._root, path)
        except walk.RootOut:
            raise
        except FileError:
            self._forget(path)  # gone, or not to be looked at: when it can be, a scan finds it
            return None

    def _forget(self, path: str) -> None:
        self.settler.forget(path)
        self._hinted.discard(path)

    def _report(self, found: Found, verdict: Verdict, now: float) -> None:
        by_hint = found.path in self._hinted
        self._forget(found.path)
        self._reported.add(found.path, found.signs, now)
        if verdict.settling is Settling.PARKED:
            self._sink.parked(self._folder_id, found.path, found.signs, _not_complete(verdict.reason))
            return
        if verdict.reason:
            log.info("settled_with_holes", folder=escape(self._root), path=escape(found.path))
        self.found_by_hint += by_hint
        self.found_by_scan += not by_hint
        self._sink.settled(
            SettledFile(folder_id=self._folder_id, path=found.path, signs=found.signs, found_by_hint=by_hint)
        )

    def _report_irregular(self, found: Found, kind: str, now: float) -> None:
        self._forget(found.path)
        self._reported.add(found.path, found.signs, now)
        self._sink.unmatched(self._folder_id, found.path, found.signs, _not_regular(kind))


class _Reported:
    """The last reports, so that a scan does not repeat what intake has not written yet."""

    def __init__(self) -> None:
        self._reports: OrderedDict[str, tuple[Signs, float]] = OrderedDict()

    def add(self, path: str, signs: Signs, now: float) -> None:
        self._reports[path] = (signs, now)
        self._reports.move_to_end(path)
        if len(self._reports) > REPORTED_KEPT:
            self._reports.popitem(last=False)

    def holds(self, path: str, signs: Signs, now: float) -> bool:
        report = self._reports.get(path)
        return report is not None and report[0] == signs and now < report[1] + REPORTED_FOR

    def forget(self, path: str) -> None:
        self._reports.pop(path, None)


def _not_regular(kind: str) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.NOT_REGULAR,
        message=f"This is {kind}; attachd attaches only regular files that lie in the folder itself.",
        hint="Put the file itself here, or add the name to the folder's `ignore`.",
    )


def _not_complete(reason: str) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.NOT_COMPLETE,
        message=f"The file looks unfinished: {reason}. An interrupted rsync leaves files like this.",
        hint="Run the transfer again to its end, or `touch` the file if it is whole; it then goes on.",
    )
